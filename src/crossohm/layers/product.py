"""Products of layers and their gradients, as far as these are the same in every framework."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore, Contraction, Plan
from crossohm.chain.lowering.following import Following, following, require_followed, slopes_of
from crossohm.chain.programming.parts import Block
from crossohm.chain.running.core_plan import CorePlan


class DifferentiableContraction(Contraction, Protocol):
    """A linear map that knows the gradients of the ideal product."""

    def input_gradient(self, grad: Array, matrix: Array, shape: tuple[int, ...]) -> Array:
        """Gradient of inputs of ``shape`` for that of the outputs."""

    def matrix_gradient(self, grad: Array, x: Array) -> Array:
        """Gradient of the matrix for that of the outputs."""


def chain_product(core: AnalogCore, contraction: Contraction, matrix: Array | None, x: Array, rng: Any = None) -> Array:
    """The analog product, with the gradient of every stage of the converter chain, which knows where converters clip.

    Args:
        core: The arrays.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix as an expression of the parameters, or None if these need no gradient.
        x: ``(batch, features, *positions)``, in the dtype to compute in.
        rng: Generator of their library for noise drawn per operation.

    Raises:
        UnsupportedError: the arrays are solved outside of autograd.
    """
    backend = backend_of(x)
    wanted = None if matrix is None else backend.astype(matrix, backend.dtype_name(x))

    def amend(plan: Plan, block: Block) -> Plan:
        require_followed(plan)
        return plan if wanted is None else following(plan, slopes_of(plan, block), wanted[block.rows, block.columns])

    return core.apply(x, contraction, rng, amend)


def followings(core: AnalogCore, plan: CorePlan) -> tuple[Following, ...]:
    """What it takes to let ``plan`` of the arrays follow their weights, as leaves.

    Raises:
        UnsupportedError: the arrays are solved outside of what differentiates.
    """
    for own in plan.plans:
        require_followed(own)
    return tuple(slopes_of(own, block) for own, block in zip(plan.plans, core.blocks, strict=True))


def followed(plan: CorePlan, how: tuple[Following, ...], matrix: Array) -> CorePlan:
    """``plan`` with the gradient of the mapping by the ideal ``matrix``, of its library and dtype."""
    pairs = zip(plan.plans, how, strict=True)
    return replace(plan, plans=tuple(following(own, one, matrix[one.rows, one.columns]) for own, one in pairs))
