"""Products of layers and their gradients, as far as these are the same in every framework."""

from __future__ import annotations

from typing import Protocol

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore, Contraction, Plan
from crossohm.chain.lowering.following import following, require_followed
from crossohm.chain.programming.parts import Block


class DifferentiableContraction(Contraction, Protocol):
    """A linear map that knows the gradients of the ideal product."""

    def input_gradient(self, grad: Array, matrix: Array, shape: tuple[int, ...]) -> Array:
        """Gradient of inputs of ``shape`` for that of the outputs."""

    def matrix_gradient(self, grad: Array, x: Array) -> Array:
        """Gradient of the matrix for that of the outputs."""


def chain_product(core: AnalogCore, contraction: Contraction, matrix: Array | None, x: Array) -> Array:
    """The analog product, with the gradient of every stage of the converter chain, which knows where converters clip.

    Args:
        core: The arrays.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix as an expression of the parameters, or None if these need no gradient.
        x: ``(batch, features, *positions)``, in the dtype to compute in.

    Raises:
        UnsupportedError: the arrays are solved outside of autograd.
    """
    backend = backend_of(x)
    wanted = None if matrix is None else backend.astype(matrix, backend.dtype_name(x))

    def amend(plan: Plan, block: Block) -> Plan:
        require_followed(plan)
        return plan if wanted is None else following(plan, block, wanted[block.rows, block.columns])

    return core.apply(x, contraction, amend=amend)
