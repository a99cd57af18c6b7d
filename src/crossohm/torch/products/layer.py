"""`AnalogProduct`: products of a module's own code on simulated arrays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple, Self, final

import torch
from torch import Tensor, nn

from crossohm.backends.torch_gradient import is_transforming
from crossohm.errors import UnsupportedError
from crossohm.layers.hardware import Hardware
from crossohm.layers.layout import Layout
from crossohm.layers.maps.grouped import USUAL_GROUPING, checked_grouping
from crossohm.layers.product import DifferentiableContraction
from crossohm.torch.arrays.witness import new_token, token
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.products.calls import Call, Form
from crossohm.torch.products.derivation import Expression
from crossohm.torch.tracing import untraced

#: Name of the kernel in the layouts of its matrices.
_KERNEL = "kernel"
#: Difference of kernels, in units of the last place of their largest number, that rounding alone can make.
_ROUNDING = 32


class _Settling(NamedTuple):
    """What a kernel was settled from.

    Attributes:
        numbers: Of the kernel as it was computed, see `AnalogProduct.forward`.
        kept: The kernel as it is kept; None: as it was computed.
        version: Of that, as torch counts its changes.
        token: As of parameters, see `crossohm.torch.arrays.witness`.
    """

    numbers: Hashable
    kept: Tensor | None
    version: int
    token: int

    @classmethod
    def of(cls, numbers: Hashable, kept: Tensor | None) -> _Settling:
        """Of a kernel that is settled now."""
        counted = kept is None or not kept.is_inference()
        return cls(numbers if counted else None, kept, 0 if kept is None or not counted else kept._version, new_token())

    def holds(self, numbers: Hashable, kept: Tensor | None) -> bool:
        """True if a kernel with these numbers needs no look."""
        return numbers == self.numbers and kept is self.kept and (kept is None or kept._version == self.version)


_NEVER = _Settling(None, None, 0, 0)


@final
class AnalogProduct(AnalogLayer):
    """Products of a module's own code whose kernel, computed from parameters, is in analog arrays.

    It has no parameters of its own: its arrays follow the kernel that the module multiplies with, and gradients go
    through that to the parameters. A kernel that is more than a part of a parameter is kept in the buffer ``kernel``,
    since computing it again may round differently. Conversion with an example makes it; see
    `crossohm.torch.from_torch`.

    Args:
        params: The hardware: one description, or a list with one per array; for a stack of matrices, a list of these.
        expression: How the kernel is computed from parameters.
        matrices: What the kernel is: a matrix, or a stack of them.
        grouping: How the groups of convolutions are stored, see `crossohm.torch.from_torch`.
        seed: The chip; None draws one.
        name: Name of the core.
    """

    _own = (*AnalogLayer._own, "_expression", "_kernels", "_present", "_grouping", "_computed", "_settling")
    digital_type = nn.Module
    kernel: Tensor | None
    #: It is called inside of a module that refuses to be recorded, and by no kernel of torch's.
    _stands_alone = False
    #: The products have no bias: what is added is added digitally.
    bias = None
    analog_bias = False

    def __init__(
        self,
        params: Hardware,
        expression: Expression,
        matrices: Form,
        grouping: str = USUAL_GROUPING,
        *,
        seed: int | None = None,
        name: str,
    ) -> None:
        nn.Module.__init__(self)
        self._grouping = checked_grouping(grouping)
        self._expression = expression
        self._kernels = matrices
        self._present: list[tuple[Tensor, int]] = []
        self._settling = _NEVER
        value = expression.value().detach()
        exact = any(shares_memory(value, leaf.value()) for leaf in expression.leaves())
        self.register_buffer("kernel", None if exact else value.clone())
        self._computed = value.dtype  # that the kernel was computed in, whatever it was moved to since
        self.install(params, 0, seed, name)

    @property
    def expression(self) -> Expression:
        """How the kernel is computed from parameters."""
        return self._expression

    @property
    def batchnorm_folded(self) -> bool:
        """True if a BatchNorm was folded into the parameters of the kernel."""
        return any(leaf.batchnorm_folded for leaf in self._expression.leaves())

    @property
    def kernels(self) -> Form:
        """What the kernel is."""
        return self._kernels

    @untraced
    def forward(
        self,
        product: Call,
        kernel: Tensor,
        entry: int | None,
        plain: Callable[[], Tensor],
        numbers: Hashable = None,
    ) -> Tensor:
        """A product of the module's code.

        Args:
            product: The product.
            kernel: All that the arrays hold.
            entry: The matrix of the stack that is meant; None: all of them.
            plain: What computes it digitally; not used.
            numbers: The same for two kernels only if they have the same numbers; None: that is not known.
        """

        def multiply(index: int, vectors: Tensor, contraction: DifferentiableContraction) -> Tensor:
            product: Tensor = self._matrices[index if entry is None else entry].product(vectors, contraction)
            return product

        self._present.append(self._settled(kernel, numbers))
        try:
            return product.through(multiply, self._grouping, self._matrices[0].built.ignores_zeros)
        finally:
            self._present.pop()

    def layouts(self, rows: int) -> dict[str, Layout]:
        """One matrix, or those of the stack by their number."""
        found = self._kernels.layouts(_KERNEL, self._grouping)
        return {"": found[0]} if not self._kernels.is_stack else {f".{index}": one for index, one in enumerate(found)}

    def parameter_values(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The kernel that the module multiplies with, or as the parameters make it now."""
        if self._present:
            return {_KERNEL: self._present[-1][0]}
        value = self._expression.value()
        return {_KERNEL: self.kernel if self._is_kept(value) else value}

    def parameter_tokens(self, names: Sequence[str]) -> tuple[int, ...]:
        """As for all layers; a kernel that was settled has the token of this."""
        return (self._present[-1][1],) if self._present else super().parameter_tokens(names)

    def _settled(self, value: Tensor, numbers: Hashable = None) -> tuple[Tensor, int]:
        """The kernel computed anew, or as it was before if nothing but rounding makes a difference; and its token."""
        kept = self._buffers["kernel"]
        if is_transforming():
            return value, new_token()
        if kept is None and numbers is None:
            return value, token(value)
        if numbers is None or not self._settling.holds(numbers, kept):
            kept = self._settle_anew(value, kept)
            self._settling = _Settling.of(numbers, kept)
        if kept is None:
            return value, self._settling.token
        return _Kept.apply(value, kept) if value.requires_grad else kept, self._settling.token

    def _settle_anew(self, value: Tensor, kept: Tensor | None) -> Tensor | None:
        """The kernel that is kept from now on."""
        if kept is None or self._is_kept(value):
            return kept
        with torch.inference_mode(False), torch.no_grad():  # its changes are counted
            kept = self.kernel = value.detach().clone()
        self._computed = value.dtype
        return kept

    def _is_kept(self, value: Tensor) -> bool:
        """True if nothing but rounding makes the kernel different from that which is kept; both may have been moved."""
        kept = self.kernel
        if kept is None or value.shape != kept.shape:
            return False
        coarse = min((value.dtype, kept.dtype, self._computed), key=lambda dtype: torch.finfo(dtype).bits)
        now, then = value.detach().to(coarse), kept.to(value.device, coarse)
        largest = torch.linalg.vector_norm(then, inf)
        return bool(torch.dist(now, then, inf) <= _ROUNDING * torch.finfo(coarse).eps * largest)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_settling": _NEVER}

    def _settle(self) -> None:
        self._settled(self._expression.value().detach())

    def synchronize(self) -> None:
        """Write the kernel into the arrays again, with new programming errors; converters keep theirs."""
        self._settle()
        super().synchronize()

    def reinitialize(self, seed: int | None = None, params: Hardware = None) -> None:
        """Build another chip from `params` and write the kernel into it; see `AnalogLayer.reinitialize`."""
        self._settle()
        super().reinitialize(seed, params)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Moving the parameters, which follow after this, leaves the chip as it is."""
        written = [matrix for matrix in self._matrices if matrix.is_written()]
        value = self._expression.value().detach()
        super()._apply(fn, recurse)
        self._present.append((fn(value) if self.kernel is None else self.kernel, new_token()))
        for matrix in written:
            matrix.mark_written()
        self._present.pop()
        return self

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str], *rest: Any
    ) -> None:
        """A digital checkpoint has no kernel: the next product computes it anew."""
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *rest)
        if prefix + "kernel" in missing_keys:
            missing_keys.remove(prefix + "kernel")

    def give_held(self, table: Mapping[int, nn.Module]) -> None:
        """Give the parameters of another model the values that the arrays hold.

        Args:
            table: Modules of the other model by the identity of those of this one.

        Raises:
            UnsupportedError: the kernel is more than a part of a parameter.
        """
        if self.kernel is not None:
            raise UnsupportedError(
                f"physical weights of {self.name!r}: its kernel is computed from {self._parameters_text()}, which "
                "cannot be given the values in the arrays"
            )
        with torch.no_grad():
            self._expression.moved(table).value().copy_(self._held_values()[_KERNEL])

    def to_torch(self, *_: Any, **__: Any) -> nn.Module:
        """Not by itself: the product belongs to the code of a module.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(f"{self.name!r} is a product of a module's own code: convert the whole model back")

    def _parameters_text(self) -> str:
        return ", ".join(dict.fromkeys(leaf.key for leaf in self._expression.leaves()))

    def extra_repr(self) -> str:
        """The parameters of the kernel, then the hardware."""
        return self._parameters_text() + super().extra_repr()


@final
class DigitalProduct(nn.Module):
    """Products of a module's own code, computed as there; hooks see them under the name their arrays would have."""

    def forward(
        self,
        product: Call,
        kernel: Tensor,
        entry: int | None,
        plain: Callable[[], Tensor],
        numbers: Hashable = None,
    ) -> Tensor:
        """As `AnalogProduct.forward`, without arrays."""
        return plain()


class _Kept(torch.autograd.Function):
    """The kernel as it was kept, with the gradient going on to how it was computed."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, kept: Tensor) -> Tensor:
        return kept.view_as(kept)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def shares_memory(value: Tensor, other: Tensor) -> bool:
    """True for a part of a tensor, or the same in other order."""
    return value.dtype == other.dtype and value.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
