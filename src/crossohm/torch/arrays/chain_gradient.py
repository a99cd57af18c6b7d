"""Gradients through the converter chain: autograd follows every stage, and knows where converters clip."""

from __future__ import annotations

from torch import Tensor

from crossohm.chain import AnalogCore, Contraction, Plan
from crossohm.chain.lowering.following import following, require_followed
from crossohm.chain.programming.parts import Block


def chain_product(core: AnalogCore, contraction: Contraction, matrix: Tensor | None, x: Tensor) -> Tensor:
    """The analog product under autograd.

    Args:
        core: The arrays.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix as an expression of the parameters, or None if these need no gradient.
        x: ``(batch, features, *positions)``, in the dtype to compute in.

    Raises:
        UnsupportedError: the arrays are solved outside of autograd.
    """
    wanted = None if matrix is None else matrix.to(x.dtype)

    def amend(plan: Plan, block: Block) -> Plan:
        require_followed(plan)
        return plan if wanted is None else following(plan, block, wanted[block.rows, block.columns])

    return core.apply(x, contraction, amend=amend)
