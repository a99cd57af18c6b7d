"""Kinds of layers that are made as they are met: for subclasses of torch's layers, and for layers of other packages."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor, nn

from crossohm.chain import Dense, dense_map
from crossohm.errors import ShapeError
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import dense
from crossohm.torch.layers.layer import AnalogLayer, reshaped
from crossohm.torch.layers.weighted import WeightedLayer
from crossohm.torch.tracing import untraced

#: What a subclass may say anew of its base without computing anything else.
_HARMLESS = frozenset(
    [
        "__init__",
        "__module__",
        "__doc__",
        "__qualname__",
        "__annotations__",
        "__annotate__",
        "__annotate_func__",
        "__constants__",
        "__parameters__",
        "__orig_bases__",
        "__firstlineno__",
        "__static_attributes__",
        "__dict__",
        "__weakref__",
        "__repr__",
        "extra_repr",
        "reset_parameters",
    ]
)


def inherits_forward(kind: type[nn.Module], base: type[nn.Module]) -> bool:
    """True if layers of ``kind`` compute as ``base`` does: nothing that this is made of is defined anew."""
    order = kind.__mro__
    inherited = {name for one in base.__mro__ for name in vars(one)}
    return all(vars(one).keys() & inherited <= _HARMLESS for one in order[: order.index(base)])


@cache
def derived_kind(kind: Any, digital: Any) -> type[AnalogLayer]:
    """An analog kind that computes as ``kind`` and is a ``digital`` in everything else."""
    own = {
        "digital_type": digital,
        "__module__": kind.__module__,
        "__doc__": f"`{digital.__qualname__}` whose products run on analog arrays.",
        "__reduce_ex__": _reduced,
        "__deepcopy__": None,  # that of the digital layer would make a digital one
        "_derived_from": kind,
    }
    return type(f"Analog{digital.__name__}", (kind, digital), own)


def _reduced(layer: Any, protocol: Any) -> Any:
    """Layers are copied and saved with the kinds theirs is made of: that one has no place in any module."""
    return _empty, (layer._derived_from, layer.digital_type), object.__reduce_ex__(layer, 2)[2]


def _empty(kind: Any, digital: Any) -> Any:
    made = derived_kind(kind, digital)
    return made.__new__(made)


class ForeignLinear(WeightedLayer):
    """Base of dense layers that other packages define: a mixin before them; ``(*, inputs)`` to ``(*, outputs)``."""

    #: The weight is ``(inputs, outputs)``.
    inputs_first = False

    _save_to_state_dict = nn.Module._save_to_state_dict
    __repr__ = nn.Module.__repr__

    @property
    def _sizes(self) -> tuple[int, int]:
        """Outputs and inputs."""
        first, second = self.weight.shape
        return (second, first) if self.inputs_first else (first, second)

    @untraced
    def forward(self, x: Tensor) -> Tensor:
        """Multiply all vectors along the last axis."""
        outputs, inputs = self._sizes
        if x.ndim == 0 or x.shape[-1] != inputs:
            raise ShapeError(
                f"input of shape {tuple(x.shape)} does not fit {type(self).__name__} {self.name!r}; "
                f"expected (*, {inputs})"
            )
        return reshaped(self._through_arrays(x.reshape(x.shape[:-1].numel(), inputs)), (*x.shape[:-1], outputs))

    @property
    def _bias_lines(self) -> int:
        return self._bias_columns

    def _contraction(self) -> Dense:
        ones = self._bias_columns
        return dense_map(self._sizes[1] + ones, ones)

    def layout(self, bias_columns: int) -> Layout:
        """Where weight and bias lie in the matrix, with so many columns for the bias."""
        return dense(*self._sizes, bias_columns, inputs_first=self.inputs_first)


class InputsFirstLinear(ForeignLinear):
    """The same with a weight ``(inputs, outputs)``."""

    inputs_first = True


def foreign_kind(digital: type[nn.Module]) -> type[ForeignLinear] | None:
    """How a dense layer that another package defines computes; None if ``digital`` is none that is known."""
    return FOREIGN.get(f"{digital.__module__}.{digital.__qualname__}")


def is_dense(layer: nn.Module) -> bool:
    """True for layers that multiply what lies along the last axis: torch's, and those of other packages."""
    return isinstance(layer, nn.Linear) or foreign_kind(type(layer)) is not None


#: Layers of packages that are not imported here, by module and name.
FOREIGN: dict[str, type[ForeignLinear]] = {
    "transformers.pytorch_utils.Conv1D": InputsFirstLinear,
    "torch_geometric.nn.dense.linear.Linear": ForeignLinear,
}
