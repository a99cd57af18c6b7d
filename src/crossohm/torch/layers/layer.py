"""What all analog layers have in common: matrices in arrays, formed from the layer's parameters."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from crossohm.errors import UnsupportedError
from crossohm.layers.array_layer import ArrayLayer
from crossohm.layers.hardware import Hardware, MatrixHardware
from crossohm.layers.layout import Layout
from crossohm.torch.arrays.held import HeldMatrix
from crossohm.torch.arrays.saved import pack_chip, unpack_chip
from crossohm.torch.arrays.witness import token
from crossohm.torch.tracing import tracing_by

#: For parameters that were moved to another dtype or device: fingerprints before and after. A parameter that several
#: layers share is moved with the first; the others have to recognise what they hold.
_MOVES: Any = WeakIdKeyDictionary()


class AnalogLayer(ArrayLayer, nn.Module):
    """Base of the analog layers: a mixin before the torch layer, which owns the parameters.

    The arrays are written when the layer is made, and again before they are next used whenever the values of a
    parameter they hold have changed in any way (optimizer step, ``load_state_dict``, initialiser, ``weight.data``); see
    `sync`. Each write draws new programming errors.

    A layer kind says where its parameters lie in its matrices (`layouts`), and multiplies with these in its forward:
    ``self.matrices[i].product(x, contraction)``. Its constructor ends with `install`.
    """

    #: The torch layer this kind stands for.
    digital_type: ClassVar[type[nn.Module]]
    #: What must hold of a layer of that type so that it can be converted.
    convertible: ClassVar[staticmethod[[Any], bool]] = staticmethod(lambda module: True)

    #: It is a place of its own in a network, which torch may pass by or record.
    _stands_alone: ClassVar[bool] = True

    _matrices: tuple[HeldMatrix, ...]

    # --- what a kind supplies -----------------------------------------------------------------------------------------

    def parameter_values(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Parameters, or the expressions that stand for them, by name."""
        own: dict[str, Any] = self._parameters
        return {name: _getter(name)(self) if (value := own.get(name)) is None else value for name in names}

    def parameter_tokens(self, names: Sequence[str]) -> tuple[int, ...]:
        """Numbers that are the same in two calls only if these parameters cannot have changed in between."""
        return tuple([token(value) for value in self.parameter_values(names).values()])

    def _configure(self) -> None:
        """Take the choices that only some kinds have, as keywords; called before `install`."""

    # --- conversion ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_torch(
        cls,
        layer: nn.Module,
        params: Hardware,
        bias_rows: Any = 0,
        *,
        seed: int | None = None,
        name: str = "core",
        **choices: Any,
    ) -> Self:
        """An analog layer that shares the parameters of ``layer``, and has its training flag, hooks and attributes.

        Args:
            layer: Exactly of the type this kind stands for.
            params: The hardware.
            bias_rows: Matrix columns that hold the bias; 0 adds it digitally.
            seed: The chip.
            name: Name of the core.
            **choices: What only some kinds have: ``grouping`` of convolutions.

        Raises:
            UnsupportedError: ``layer`` is of another type.
        """
        if not cls.converts(layer):
            raise UnsupportedError(
                f"{cls.__name__}.from_torch takes a plain torch.nn.{cls.digital_type.__name__} with ordinary "
                f"parameters, got {type(layer).__name__}; convert a whole model with crossohm.torch.from_torch"
            )
        analog = _recast(layer, cls)
        analog._configure(**choices)
        analog.install(params, bias_rows, seed, name)
        return analog

    @classmethod
    def converts(cls, module: nn.Module) -> bool:
        """True if ``module`` is exactly the layer this kind stands for, and nothing else about it forbids it."""
        return type(module) is cls.digital_type and cls.convertible(module)

    def to_torch(
        self,
        physical_weights: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> nn.Module:
        """The plain torch layer, with parameters of its own.

        Args:
            physical_weights: Take the weights the arrays hold, programming errors included, instead of the ideal ones.
            device: Where to put it; by default where this layer is.
            dtype: Of its parameters; by default as here.

        Raises:
            UnsupportedError: physical weights of a layer whose weights are computed from other parameters.
        """
        held = self._held_values() if physical_weights else {}
        computed = held.keys() - dict(self.named_parameters(remove_duplicate=False)).keys()
        if computed:
            raise UnsupportedError(
                f"physical weights of {type(self).__name__} {self.name!r}: {', '.join(sorted(computed))} is computed "
                "from other parameters (pruning, normalisation), and cannot be given the values in the arrays. Make it "
                "a parameter first, with torch.nn.utils.prune.remove or remove_weight_norm, say"
            )
        layer = _recast(self, self.digital_type)
        for attribute in self._own:
            layer.__dict__.pop(attribute, None)
        hooks = [(key, hook) for key, hook in layer._forward_pre_hooks.items() if hook is not _stand_alone]
        layer._forward_pre_hooks = OrderedDict(hooks)
        for key, parameter in self.named_parameters(remove_duplicate=False):
            owner, _, leaf = key.rpartition(".")
            setattr(layer.get_submodule(owner), leaf, _copied(held.get(key, parameter), like=parameter))
        return layer.to(device=device, dtype=dtype)

    # --- the arrays ---------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the core, or the beginning of the names of the cores."""
        return self._core_name

    def _held(self, layout: Layout, hardware: MatrixHardware, seed: int, name: str) -> HeldMatrix:
        return HeldMatrix(self, layout, hardware, seed, name)

    def install(self, params: Hardware, rows: Any, seed: int | None, name: str) -> None:
        """Write the parameters into new arrays. Nothing changes if the hardware is impossible."""
        super().install(params, rows, seed, name)
        if self._stands_alone and _stand_alone not in self._forward_pre_hooks.values():
            self.register_forward_pre_hook(_stand_alone)

    def get_core_weights(self) -> tuple[Tensor | None, ...]:
        """The parameters as the arrays hold them, in torch's shapes and order; digital ones are themselves."""
        held = self._held_values()
        return tuple(held.get(key, parameter) for key, parameter in self._parameters.items())

    def __prepare_scriptable__(self) -> Self:
        """Torch asks for this before it compiles a model by `torch.jit.script`."""
        raise UnsupportedError(
            f"{type(self).__name__} {self.name!r} cannot be compiled by torch.jit.script; use torch.compile, or script "
            "to_torch(model, physical_weights=True)"
        )

    # --- keeping arrays and parameters together -----------------------------------------------------------------------

    def get_extra_state(self) -> Tensor:
        """The chip, as one tensor of bytes that travels with ``state_dict``; see `crossohm.layers.saved_chip`."""
        return pack_chip(self)

    def set_extra_state(self, state: Any) -> None:
        """Take over hardware and chip from another layer's `get_extra_state`.

        Raises:
            DataError: the state is damaged, or belongs to a layer of another kind or shape.
        """
        chip = unpack_chip(self, state)
        rows = self._checked_rows(chip.rows)
        self._matrices = chip.matrices(self, self.layouts(rows).values(), HeldMatrix)
        self._params, self._rows, self._core_name = chip.params, rows, chip.name

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str], *rest: Any
    ) -> None:
        """A digital checkpoint has no chip: the arrays follow the loaded parameters as `sync` says.

        A chip is taken over once all parameters it holds are there, those of layers inside this one included.
        """
        held = (name for matrix in self._matrices for name in matrix.layout.parameters)
        for owner in sorted({name.rpartition(".")[0] for name in held} - {""}):
            inner = self.get_submodule(owner)
            inner._load_from_state_dict(state_dict, f"{prefix}{owner}.", local_metadata, strict, [], [], [])
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *rest)
        if prefix + "_extra_state" in missing_keys:
            missing_keys.remove(prefix + "_extra_state")

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Moving the parameters to another device or dtype leaves the chip as it is."""
        moves: dict[int, int] = {}
        for parameter in self.parameters():
            moves |= _MOVES.get(parameter, {})
        written = [matrix for matrix in self._matrices if matrix.is_written(moves)]
        super()._apply(fn, recurse)
        for matrix in written:
            before = matrix.written
            matrix.mark_written()
            moves |= zip(before, matrix.written, strict=True)
        for parameter in self.parameters():
            _MOVES[parameter] = moves
        return self

    def _rows_text(self) -> str:
        return f"bias_rows={self._rows}"

    def extra_repr(self) -> str:
        """Torch's text, then the hardware."""
        core = self._matrices[0].built
        parts = [super().extra_repr(), self._rows_text(), core.params.core.style.name]
        slices, signs = core.blocks[0].record.conductance.shape[:2]
        parts.append(f"arrays={core.num_cores_row}x{core.num_cores_col}x{slices}x{signs}")
        bits = {"dac": core.params.get("xbar.dac.mvm.bits"), "adc": core.params.get("xbar.adc.mvm.bits")}
        parts += [f"{kind}={count} bits" if count else f"{kind}=ideal" for kind, count in bits.items()]
        return ", ".join(parts)


def owns(*names: str) -> Callable[[nn.Module], bool]:
    """A condition for `AnalogLayer.convertible`: these are parameters of the layer's own, not computed from others."""
    return lambda module: all(module._parameters.get(name) is not None for name in names)


@cache  # asked for several times in every product
def _getter(name: str) -> Any:
    return attrgetter(name)


def reshaped(y: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A contiguous result that nothing else refers to, in another shape: no view, which torch guards from changes."""
    return y if y.shape == shape else torch.ops.aten._unsafe_view.default(y, shape)


def _stand_alone(layer: nn.Module, args: Any) -> None:
    """A forward hook that every analog layer has.

    Torch's fused transformer kernels read the parameters of layers past their forward; they are not used where a layer
    has hooks.

    Raises:
        UnsupportedError: the layer is being traced, which cannot record what arrays do.
    """
    if tracing_by(args):
        refuse_recording(f"{type(layer).__name__} {layer.name!r}", args)


def refuse_recording(what: str, args: Any) -> None:
    """Refuse to compute where operations on ``args`` are recorded as a graph.

    Raises:
        UnsupportedError: they are.
    """
    how = tracing_by(args)
    if how:
        raise UnsupportedError(
            f"{what} cannot be recorded by {how}: what its arrays do is no graph of torch operations. Record a plain "
            "model instead: to_torch(model, physical_weights=True) has the weights that the arrays hold"
        )


def _recast(layer: nn.Module, kind: Any) -> Any:
    """A layer of another class with the same parameters, buffers, hooks, flags and attributes."""
    twin = kind.__new__(kind)
    for name, value in vars(layer).items():
        twin.__dict__[name] = copy(value) if isinstance(value, dict | set | list) else value
    for name, child in layer._modules.items():
        twin._modules[name] = None if child is None else _recast(child, type(child))
    return twin


def _copied(value: Tensor, like: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(value.detach().clone(), requires_grad=like.requires_grad)
