"""`AnalogProduct`: products of a module's own code on simulated arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from crossohm.layers.hardware import Hardware
from crossohm.layers.layout import Layout
from crossohm.layers.product import DifferentiableContraction
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.products.calls import Matrices, Product
from crossohm.torch.products.derivation import Expression

#: Name of the kernel in the layouts of its matrices.
_KERNEL = "kernel"


@final
class AnalogProduct(AnalogLayer):
    """Products of a module's own code whose kernel, computed from parameters, is in analog arrays.

    It has no parameters of its own: its arrays follow the kernel that the module multiplies with, and gradients go
    through that to the parameters. Conversion with an example makes it; see `crossohm.torch.from_torch`.

    Args:
        params: The hardware: one description, or a list with one per array; for a stack of matrices, a list of these.
        expression: How the kernel is computed from parameters.
        matrices: What the kernel is: a matrix, or a stack of them.
        seed: The chip; None draws one.
        name: Name of the core.
    """

    _own = (*AnalogLayer._own, "_expression", "_kernels", "_present")
    digital_type = nn.Module
    #: The products have no bias: what is added is added digitally.
    bias = None
    analog_bias = False

    def __init__(
        self, params: Hardware, expression: Expression, matrices: Matrices, *, seed: int | None = None, name: str
    ) -> None:
        nn.Module.__init__(self)
        self._expression = expression
        self._kernels = matrices
        self._present: Tensor | None = None
        self.install(params, 0, seed, name)

    @property
    def expression(self) -> Expression:
        """How the kernel is computed from parameters."""
        return self._expression

    @property
    def kernels(self) -> Matrices:
        """What the kernel is."""
        return self._kernels

    def forward(self, product: Product, kernel: Tensor, entry: int | None) -> Tensor:
        """A product of the module's code.

        Args:
            product: The product.
            kernel: All that the arrays hold.
            entry: The matrix of the stack that is meant; None: all of them.
        """

        def multiply(index: int, vectors: Tensor, contraction: DifferentiableContraction) -> Tensor:
            matrix = self.matrices[index if entry is None else entry]
            return matrix.product(vectors, contraction)

        self._present = kernel
        try:
            return product.through(multiply)
        finally:
            self._present = None

    def layouts(self, rows: int) -> dict[str, Layout]:
        """One matrix, or those of the stack by their number."""
        found = self._kernels.layouts(_KERNEL)
        return {"": found[0]} if not self._kernels.stack else {f".{index}": one for index, one in enumerate(found)}

    def parameter_values(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The kernel that the module multiplies with, or as the parameters make it now."""
        return {_KERNEL: self._expression.value() if self._present is None else self._present}

    def held_kernel(self) -> Tensor:
        """The kernel as the arrays hold it."""
        return self._held_values()[_KERNEL]
