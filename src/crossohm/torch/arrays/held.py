"""`HeldMatrix`: one matrix in analog arrays that follows PyTorch parameters, and products with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple, Protocol, TypeVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from crossohm.backends import backend_of
from crossohm.backends.torch_gradient import is_transforming
from crossohm.chain import AnalogCore, CorePlan, Dense
from crossohm.chain.dtypes import counts_steps, output_dtype
from crossohm.layers.held_matrix import HeldArrays, Owner
from crossohm.layers.maps.convolution import Convolution, with_all_cells
from crossohm.layers.product import (
    DifferentiableContraction,
    chain_product,
    has_common_range,
    programmed_product,
    with_ones,
)
from crossohm.layers.wires import through_wires
from crossohm.params import OutputDType
from crossohm.torch.tracing import untraced
from crossohm.torch.transforms import refuse_transforms

Form = TypeVar("Form")


class _Way(NamedTuple):
    """How inputs without gradient, of one dtype with the parameters and the result, meet the arrays.

    Attributes:
        kernel: What they meet if nothing but the matrix acts; None: more has to happen.
        plan: What the core does with them; None: that depends on more.
    """

    kernel: Any
    plan: CorePlan | None


_ROUND_ABOUT = _Way(None, None)
#: Of a matrix from which nothing has been made.
_NOTHING_FORMED = {"_formed": (None, None), "_direct": (None, _ROUND_ABOUT)}
#: Of a matrix whose parameters have not been looked at. No parameters have these tokens: there are some.
_NO_LOOK: tuple[tuple[int, ...], tuple[int, ...]] = (), ()


class _Owner(Owner, Protocol):
    """A layer of torch that has a matrix."""

    def parameter_tokens(self, names: Sequence[str]) -> tuple[int, ...]:
        """Numbers that are the same in two calls only if these parameters cannot have changed in between."""


@final
class HeldMatrix(HeldArrays):
    """One matrix of a layer in analog arrays; see `HeldArrays` for how it follows parameters.

    Products have the gradients that `AnalogLayer.gradient` asks for.
    """

    _layer: _Owner

    #: Parameters as they were looked at with those of the whole model: each with its version then, and fingerprint.
    glance: list[tuple[Tensor, int, int]] | None = None

    #: Tokens of the parameters when they were last looked at, and what was found.
    _last_look: tuple[tuple[int, ...], tuple[int, ...]] = _NO_LOOK

    #: A kernel, and what was made of it.
    _formed: tuple[Any, Any] = (None, None)

    #: A kind of inputs without gradient, and the way they take.
    _direct: tuple[Any, _Way] = (None, _ROUND_ABOUT)

    def looked_at(self) -> list[Tensor]:
        """What fingerprints are taken of: what the matrix holds of each parameter, with actual values."""
        return [backend_of(value).concrete(value) for value in self._stored()]

    def ideal(self) -> Tensor:
        """The ideal matrix without gradient, in memory of its own.

        NumPy gets this one when arrays are written: changes of a parameter that NumPy has had cannot be counted.
        """
        return super().ideal().clone()

    def _stamps(self) -> tuple[int, ...]:
        if self.glance is None:
            return self._looked_at_if_changed()
        pairs = zip(self.looked_at(), self.glance, strict=True)
        same = all(now.data_ptr() == then.data_ptr() and now._version == version for now, (then, version, _) in pairs)
        return tuple(stamp for *_, stamp in self.glance) if same else super()._stamps()

    def _looked_at_if_changed(self) -> tuple[int, ...]:
        tokens = self._layer.parameter_tokens(self.layout.parameters)
        if tokens != self._last_look[0]:
            self._last_look = tokens, super()._stamps()
        return self._last_look[1]

    def mark_written(self) -> None:
        """Take the present values of the parameters for what the arrays hold."""
        super().mark_written()
        self._direct = None, _ROUND_ABOUT

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "glance": None, "_last_look": _NO_LOOK, **_NOTHING_FORMED}

    @untraced
    def product(self, x: Tensor, contraction: DifferentiableContraction, bias: Tensor | None = None) -> Tensor:
        """The analog product plus a digital bias, with gradients as `AnalogLayer.gradient` says.

        The gradient of the matrix goes on through `form`. Without gradient, where nothing but the matrix acts, all is
        one call of torch's own.

        Args:
            x: ``(batch, features, *positions)``, with ones for the bias columns.
            contraction: How inputs meet the matrix.
            bias: ``(outputs,)``, or None.

        Returns:
            ``(batch, outputs, *positions)``.
        """
        core = self.core
        way = self._way_of(core, x, contraction)
        if way.kernel is not None and (bias is None or bias.dtype == x.dtype):
            if type(contraction) is Dense:
                return F.linear(x, way.kernel.rows, bias)
            assert isinstance(contraction, Convolution)  # no other has a kernel that is alone
            return contraction.contract(x, way.kernel, bias)
        if way.plan is None or self._layer.gradient == "wires":
            y = self._multiplier(core, contraction)(x)
        else:
            y = core.apply(x, contraction, plan=way.plan)
        if bias is None:
            return y
        if y.ndim > 2:
            bias = bias.reshape(-1, *(1,) * (y.ndim - 2))
        return y + bias if torch.is_grad_enabled() or y.dtype != bias.dtype else y.add_(bias)

    @untraced
    def plain_kernel(self, x: Tensor, contraction: DifferentiableContraction) -> Any:
        """What ``x`` meets without gradient where nothing but the matrix acts: no converters, no noise, one array.

        Returns:
            The kernel that ``contraction`` takes; None elsewhere.
        """
        return self._way_of(self.core, x, contraction).kernel

    def _way_of(self, core: AnalogCore, x: Tensor, contraction: DifferentiableContraction) -> _Way:
        """How ``x`` meets arrays that follow the parameters; it is found once for inputs of a kind."""
        if not self._is_plain(x):
            return _ROUND_ABOUT
        kind = core.lowered, contraction, x.dtype, x.device, self._like.dtype
        if self._direct[0] != kind:
            self._direct = kind, self._found_way(core, x, contraction)
        return self._direct[1]

    def _found_way(self, core: AnalogCore, x: Tensor, contraction: DifferentiableContraction) -> _Way:
        if not self._is_one_dtype(core, x):
            return _ROUND_ABOUT
        computed = x.dtype in (torch.float32, torch.float64) and not (core.is_tapped or core.complex_valued)
        plan = core.plan(x, contraction=contraction) if computed else None
        kernel = core.direct_kernel(x, contraction) if isinstance(contraction, Convolution | Dense) else None
        alone = isinstance(contraction, Convolution) or kernel is None or kernel.features is None
        return _Way(kernel if alone else None, plan)

    def _is_plain(self, x: Tensor) -> bool:
        """Whether products with ``x`` are without gradient and not counted."""
        return not (torch.is_grad_enabled() or self.vectors is not None or is_transforming() or _is_autocast(x))

    def _is_one_dtype(self, core: AnalogCore, x: Tensor) -> bool:
        return x.dtype == self._like.dtype and _keeps_dtype(core.params.core.output_dtype, x.dtype)

    @untraced
    def sequence(self, inputs: Sequence[Tensor], ones: int, late: slice) -> Callable[[Tensor], Tensor] | None:
        """Products one after another without gradient, whose inputs are known beforehand but for late features.

        Only in single precision: sums are rounded otherwise than in whole products, which in double precision may tell
        on which side of a decision level they lie (`counts_steps`).

        Args:
            inputs: The other features of each product but the ones, ``(batch, features)``.
            ones: Features of constant one.
            late: The matrix columns that meet the late features.

        Returns:
            A function that takes the late features of the next product; None where that is not the same as `product`.
        """
        core, first = self.core, inputs[0]
        steps = counts_steps(backend_of(first).dtype_name(first))
        if not (steps and self._is_plain(first) and self._is_one_dtype(core, first)):
            return None
        early, sizes = with_ones(torch.cat(list(inputs)), ones), [len(x) for x in inputs]
        found = core.sequence(early, Dense(self.built.shape[1], ones), late, sizes)
        return None if found is None else partial(self._next, found)

    @untraced
    def _next(self, product: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return product(x)

    def plain_form(self, x: Tensor, ones: int, form: Callable[[Tensor], Form]) -> Form | None:
        """What ``form`` makes of the weights ``(outputs, features)`` where vectors ``x`` meet nothing else.

        It is kept until the arrays are written again.

        Args:
            x: As for `plain_kernel`.
            ones: Features of constant one.
            form: What is wanted of the weights.
        """
        kernel = self.plain_kernel(x, Dense(self.built.shape[1], ones))
        if kernel is None:
            return None
        if self._formed[0] is not kernel:
            self._formed = kernel, form(kernel.weights.T)
        return self._formed[1]

    @untraced
    def multiplier(self, contraction: DifferentiableContraction) -> Callable[[Tensor], Tensor]:
        """`product` for several inputs in a row: parameters are looked at, and the matrix formed, only once."""
        return self._multiplier(self.core, contraction)

    def _multiplier(self, core: AnalogCore, contraction: DifferentiableContraction) -> Callable[[Tensor], Tensor]:
        """As `multiplier`, of arrays that follow the parameters."""
        trained = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self._stored())
        matrix = self.form() if trained else None
        if self._layer.gradient == "wires":
            matrix, contraction = None if matrix is None else _through_wires(core, matrix), with_all_cells(contraction)
        product = self._through_chain if self._layer.gradient == "chain" else self._programmed
        return partial(product, core, contraction, matrix)

    @untraced
    def _programmed(
        self, core: AnalogCore, contraction: DifferentiableContraction, matrix: Tensor | None, x: Tensor
    ) -> Tensor:
        if matrix is None and not (x.requires_grad and torch.is_grad_enabled()) and not is_transforming():
            return self.multiply(core, contraction, x)

        def multiply(x: Tensor, _: None) -> Tensor:
            return self.multiply(core, contraction, x)

        held = partial(self.read_for_inputs, core)
        return programmed_product(multiply, contraction, matrix, held, x, in_common=has_common_range(core))

    def multiply(self, core: AnalogCore, contraction: DifferentiableContraction, x: Tensor) -> Tensor:
        """What the arrays of ``core`` return, without gradient."""
        return self._converted(core, x, _exactly(lambda working: core.apply(working, contraction)))

    @untraced
    def _through_chain(
        self, core: AnalogCore, contraction: DifferentiableContraction, matrix: Tensor | None, x: Tensor
    ) -> Tensor:
        refuse_transforms("chain")
        if not torch.is_grad_enabled() or (matrix is None and not x.requires_grad):
            return self.multiply(core, contraction, x)
        if matrix is None:
            x = x.clone()  # a layer without trained weights lets its input be changed afterwards
        return self._converted(core, x, _exactly(lambda working: chain_product(core, contraction, matrix, working)))


def _is_autocast(x: Tensor) -> bool:
    """True if autocast may choose the dtype of a product with ``x``."""
    return torch._C._is_any_autocast_enabled() and torch.is_autocast_enabled(x.device.type)


@cache  # asked for in every product
def _keeps_dtype(output: OutputDType, dtype: torch.dtype) -> bool:
    name = str(dtype).removeprefix("torch.")
    return output_dtype(output, name, name) == name


def _through_wires(core: AnalogCore, matrix: Tensor) -> Tensor:
    refuse_transforms("wires")
    return through_wires(lambda: core, matrix)


def _exactly(product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``product`` in the dtype of its inputs, whatever autocast wants."""

    def call(x: Tensor) -> Tensor:
        if not _is_autocast(x):
            return product(x)
        with torch.autocast(x.device.type, enabled=False):
            return product(x)

    return call
