"""Products of layers and their gradients, as far as these are the same in every framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore, Contraction, Plan
from crossohm.chain.lowering.following import Following, following, require_followed, slopes_of
from crossohm.chain.programming.parts import Block
from crossohm.chain.running.core_plan import CorePlan
from crossohm.params import CrossSimParameters


class DifferentiableContraction(Contraction, Protocol):
    """A linear map that knows the gradients of the ideal product."""

    def input_gradient(self, grad: Array, matrix: Array, shape: tuple[int, ...]) -> Array:
        """Gradient of inputs of ``shape`` for that of the outputs."""

    def matrix_gradient(self, grad: Array, x: Array) -> Array:
        """Gradient of the matrix for that of the outputs."""


def with_ones(x: Array, lines: int) -> Array:
    """``(batch, features, *positions)`` with so many features of constant one behind them."""
    if not lines:
        return x
    xp = backend_of(x).xp
    return xp.concat([x, *[xp.ones_like(x[:, :1])] * lines], axis=1)


def programmed_product(
    multiply: Callable[[Array, Any], Array],
    contraction: DifferentiableContraction,
    matrix: Array | None,
    programmed: Callable[[], Array],
    x: Array,
    draws: Any = None,
    in_common: bool = False,
) -> Array:
    """``multiply(x, draws)`` with the derivatives of the ideal product.

    Converters, clipping, programming errors and noise are passed straight through: the gradient of the inputs uses the
    matrix that the arrays hold, that of the matrix the inputs before conversion.

    Args:
        multiply: The analog product.
        contraction: How inputs meet the matrix.
        matrix: The ideal matrix as an expression of the parameters, or None if these need no gradient.
        programmed: The matrix that the arrays hold, for the gradient of the inputs; called only if there is one.
        x: ``(batch, features, *positions)``.
        draws: What random draws are made from; in a loop it is another one in each turn, and so no constant of the
            product.
        in_common: The inputs of a call have something in common, see `has_common_range`.

    Returns:
        ``(batch, outputs, *positions)``.
    """
    backend = backend_of(x)
    for_x, for_matrix = backend.differentiates(x), matrix is not None and backend.differentiates(matrix)
    if not (for_x or for_matrix):
        return multiply(x, draws)
    behind = x.shape[1:]

    def gradients(grad: Array, x: Array | None, held: Array | None) -> tuple[Array | None, ...]:
        dtype, shape = backend.dtype_name(grad), (grad.shape[0], *behind)
        by_matrix = None if x is None else contraction.matrix_gradient(grad, backend.astype(x, dtype))
        by_x = None if held is None else contraction.input_gradient(grad, backend.astype(held, dtype), shape)
        return by_matrix, None, by_x

    def product(_: Array | None, draws: Any, x: Array) -> Array:
        return multiply(x, draws)

    kept = x if for_matrix else None, programmed() if for_x else None
    return backend.with_gradient(product, gradients, (matrix, draws, x), kept, batched=not in_common)


def has_common_range(core: AnalogCore) -> bool:
    """True if the input range of ``core`` follows from all inputs of a call."""
    return any(_takes_common_range(block.params) for block in core.blocks)


def _takes_common_range(params: CrossSimParameters) -> bool:
    mapping = params.core.mapping.inputs.mvm
    return mapping.percentile is not None and mapping.percentile_scope != "vector"


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
