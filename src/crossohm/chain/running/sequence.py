"""Products one after another whose inputs are known beforehand, all but some late features: recurrent layers.

The same arrays are evaluated as often, and each conversion sees the same sum. Only the arithmetic is ordered otherwise:
what the early features add to the currents, and to the variances of their noise, is worked out for many products at
once, which takes a fraction of the time. Sums are rounded otherwise than in one product; nothing else differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Any, final

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import DensePiece, Kernel
from crossohm.chain.running.core_plan import CorePlan
from crossohm.chain.running.plan import CACHED_ELEMENTS, Plan, Stage, multiply_at_once
from crossohm.chain.running.readout import LinearReadout, NoisyReadout

#: What becomes of a kernel; the second one is that of variances, which multiplies squares.
Change = Callable[[Kernel, bool], Kernel]


@final
@dataclass(frozen=True)
class PartedPiece:
    """A piece of a dense matrix in two.

    Attributes:
        early: What meets the features known beforehand, which come first to last as one array; None: nothing does.
        late: What meets the others.
    """

    early: DensePiece | None
    late: DensePiece | None


@final
@dataclass(frozen=True)
class BegunPiece:
    """A piece of a dense matrix in a sequence of products.

    Attributes:
        sums: What the early features add to the outputs of each product; None: nothing.
        late: What meets the late features.
    """

    sums: Iterator[Array] | None
    late: DensePiece | None

    def times(self, x: Array) -> Array:
        """Outputs ``(batch, outputs)`` of the next product, for its late features."""
        if self.late is None:
            assert self.sums is not None
            return next(self.sums)
        total = self.late.times(x)
        if self.sums is not None:
            total += next(self.sums)
        return total


def parted(plan: CorePlan, late: slice) -> CorePlan | None:
    """The plan of an MVM on vectors with its kernels in two, for `begun`; None where products are made whole.

    They are where inputs are sliced, share a range that follows from all of them, or pass a converter that may look at
    them together, and where cells are not linear.

    Args:
        plan: Of the arrays.
        late: The matrix columns that meet the late features.
    """
    if not all(map(_has_parts, plan.plans)):
        return None
    return _changed(plan, lambda piece, _: _parted(piece, late))


def longest(plan: CorePlan) -> int:
    """How many vectors one product of a sequence may have: those that are evaluated in one piece."""
    return min(own.cached_entries or 0 for own in plan.plans)


def begun(plan: CorePlan, early: Array, sizes: Sequence[int], rng: Any = None) -> Callable[[Array], Array]:
    """A function that takes the late features of one product after the other, once each, and returns its outputs.

    Args:
        plan: From `parted`.
        early: The other features of all products in the user's units, ``(vectors, features)``.
        sizes: Vectors of each product, at most `longest`.
        rng: The array library's generator; used only if the plan draws noise.
    """
    plans = tuple(_begun(own, early, sizes) for own in plan.plans)
    if len(plans) > 1:
        return partial(replace(plan, plans=plans), rng=rng)
    draw = backend_of(early).stream(rng) if plan.needs_draw else None
    return partial(multiply_at_once, plans[0], draw=draw)


def _has_parts(plan: Plan) -> bool:
    dac = plan.drive.dac
    element_wise = plan.drive.percentile is None and (dac.ideal or dac.uniform is not None) and not dac.sliced
    linear = all(isinstance(stage.readout, LinearReadout | NoisyReadout) for stage in plan.stages)
    return element_wise and linear


def _begun(plan: Plan, early: Array, sizes: Sequence[int]) -> Plan:
    signal = early if plan.scaled_in_arrays else plan.drive.signal(early)[0]

    def change(piece: PartedPiece, squared: bool) -> BegunPiece:
        if piece.early is None:
            return BegunPiece(None, piece.late)
        driven = signal * signal if squared else signal
        return BegunPiece(_sums(piece.early, driven, sizes), piece.late)

    return _changed_plan(plan, change)


def _sums(piece: DensePiece, driven: Array, sizes: Sequence[int]) -> Iterator[Array]:
    """The outputs of one product after the other, ``(size, outputs)``, made for as many as the cache holds."""
    start = 0
    for group in _groups(sizes, CACHED_ELEMENTS // piece.weights.shape[1]):
        ends = list(accumulate(group))
        found = piece.times(driven[start : start + ends[-1]])
        yield from (found[end - size : end] for end, size in zip(ends, group, strict=True))
        start += ends[-1]


def _groups(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Neighbouring sizes whose sum is at most ``most``, or single ones."""
    group: list[int] = []
    left = most
    for size in sizes:
        if group and size > left:
            yield group
            group, left = [], most
        group.append(size)
        left -= size
    if group:
        yield group


def _parted(piece: DensePiece, late: slice) -> PartedPiece:
    """A piece in two. The weights of the late part lie in memory row by row, which is faster for few vectors."""
    weights, first = piece.weights, piece.features.start if piece.features else 0
    count = weights.shape[0]
    low, high = (min(max(column - first, 0), count) for column in (late.start, late.stop))
    sides = [side for side in (weights[:low], weights[high:]) if side.shape[0]]
    backend = backend_of(weights)
    early = sides[0] if len(sides) == 1 else backend.xp.concat(sides, axis=0) if sides else None
    start = min(first, late.start) + max(first - late.stop, 0)
    at = first + low - late.start
    return PartedPiece(
        early=None if early is None else DensePiece(early, slice(start, start + early.shape[0])),
        late=DensePiece(backend.writable(weights[low:high]), slice(at, at + high - low)) if low < high else None,
    )


def _changed(plan: CorePlan, change: Change) -> CorePlan:
    """The plan with other kernels."""
    return replace(plan, plans=tuple(_changed_plan(own, change) for own in plan.plans))


def _changed_plan(plan: Plan, change: Change) -> Plan:
    return replace(plan, stages=tuple(_changed_stage(stage, change) for stage in plan.stages))


def _changed_stage(stage: Stage, change: Change) -> Stage:
    readout, combination = stage.readout, stage.combination
    assert isinstance(readout, LinearReadout | NoisyReadout)
    if isinstance(readout, NoisyReadout):
        readout = replace(readout, variance=change(readout.variance, True))
    readout = replace(readout, kernel=change(readout.kernel, False))
    if combination.ones is not None:
        combination = replace(combination, ones=change(combination.ones, False))
    return replace(stage, readout=readout, combination=combination)
