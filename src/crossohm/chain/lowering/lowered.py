"""A programmed core made ready to multiply: everything that is worked out once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Contraction, Dense
from crossohm.chain.contraction.part import ColumnPart
from crossohm.chain.lowering.lower import lower
from crossohm.chain.lowering.patch import Rectangle, patched
from crossohm.chain.lowering.wire_setup import WireSetup
from crossohm.chain.lowering.wires import has_effective_matrix
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.chain.programming.record import Programmed
from crossohm.chain.programming.state import CoreState
from crossohm.chain.running.core_plan import CorePlan
from crossohm.chain.running.leaves import join, split
from crossohm.chain.running.plan import Plan
from crossohm.chain.running.sequence import parted

#: Place of the device in what `Backend.key` says; libraries without devices of their own have none.
_DEVICE = 2
#: Makes the plan to run of the plan of a block.
Amend = Callable[[Plan, Block], Plan]


@final
class Lowered:
    """The plans of one state of a core, for every operation, map, array library, dtype and device that was asked for.

    Attributes:
        state: What is programmed.
        has_wires: True if there are wires that an elimination would put into the matrix.
        direct: By NumPy dtype, the effective matrix where a whole MVM is one noise-free product, its plan where it is
            noise-free in one piece; None elsewhere.
    """

    def __init__(self, state: CoreState) -> None:
        self.state = state
        self.has_wires = any(has_effective_matrix(block.params) for block in state.blocks)
        self.direct: dict[Any, np.ndarray | Plan | None] = {}
        self._wires: dict[Operation, WireSetup] = {}
        self._plans: dict[Any, tuple[CorePlan, Array]] = {}
        self._parted: dict[Any, tuple[CorePlan, CorePlan | None]] = {}

    def after(self, state: CoreState, rectangles: Sequence[Rectangle] | None) -> Lowered:
        """What is worked out for another state of the same core.

        Args:
            state: After a write.
            rectangles: Rows and columns of the stored matrix that were written, sorted; None: all of it.
        """
        found = Lowered(state)
        if rectangles is None or self.has_wires:
            return found
        for key, (plan, like) in self._plans.items():
            pairs = zip(plan.plans, state.blocks, strict=True)
            plans = [patched(own, block, _within(block, rectangles), like) for own, block in pairs]
            if None not in plans:
                found._plans[key] = (replace(plan, plans=tuple(filter(None, plans))), like)
        return found

    def wires(self, operation: Operation) -> WireSetup:
        """The arrays with their wires."""
        found = self._wires.get(operation)
        if found is None:
            found = self._wires[operation] = WireSetup(self.state.blocks, operation)
        return found

    def plan(
        self, operation: Operation, like: Array, contraction: Contraction, tapped: bool, solves: bool = False
    ) -> CorePlan:
        """The plan for inputs of the library, dtype and device of ``like``; see `lower`."""
        key = (operation, contraction, tapped, solves, *backend_of(like).key(like))
        known = self._plans.get(key) or self._moved(key, like)
        if known is None:
            state, axis = self.state, operation.axis
            with backend_of(like).eager():
                records = self._records(operation, like, solves)
                plans = tuple(
                    lower(record, b.params, operation, self._piece(contraction, b, operation), like, tapped, solves)
                    for b, record in zip(state.blocks, records, strict=True)
                )
                nothing = backend_of(like).asarray(np.zeros(1), like)
            plan = CorePlan(
                plans,
                outputs=tuple(block.part(axis).start for block in state.blocks),
                inputs=tuple(state.first_partition(block)[1 - axis] for block in state.blocks),
                needs_draw=any(plan.needs_draw for plan in plans),
            )
            known = self._plans[key] = (plan, nothing)
        return known[0]

    def parted(self, like: Array, contraction: Dense, late: slice) -> CorePlan | None:
        """The plan of an MVM in two, for products one after another; see `crossohm.chain.running.sequence`."""
        plan = self.plan(Operation.MVM, like, contraction, tapped=False)
        key = (contraction, late.start, late.stop, *backend_of(like).key(like))
        whole, found = self._parted.get(key, (None, None))
        if whole is not plan:
            with backend_of(like).eager():
                found = parted(plan, late)
            self._parted[key] = plan, found
        return found

    def _moved(self, key: tuple[Any, ...], like: Array) -> tuple[CorePlan, Array] | None:
        """A plan that was lowered for another device of the same library, with its leaves on that of ``like``."""
        backend = backend_of(like)
        device = len(key) - len(backend.key(like)) + _DEVICE
        for other, (plan, nothing) in self._plans.items():
            if len(other) > device and other[:device] == key[:device]:
                structure, leaves = split(plan)
                moved = join(structure, [backend.move(leaf, like) for leaf in leaves])
                self._plans[key] = (moved, backend.move(nothing, like))
                return self._plans[key]
        return None

    def _records(self, operation: Operation, like: Array, solves: bool) -> tuple[Programmed, ...]:
        """The arrays that are lowered: as programmed, or with their wires, a set-up that all other plans share."""
        if solves:
            return tuple(block.record for block in self.state.blocks)
        wires = self.wires(operation)
        if wires.open:
            self._plans.clear()  # no vector is solved by itself any more
        return wires.records(like)

    def _piece(self, contraction: Contraction, block: Block, operation: Operation) -> Contraction:
        """The map restricted to one block."""
        if len(self.state.blocks) == 1:
            return contraction
        inputs, first = block.part(1 - operation.axis), block.part(operation.axis).start
        group = first * contraction.row_groups // self.state.blocks[-1].part(operation.axis).stop
        return ColumnPart(contraction.row_group(group), inputs.start, inputs.stop)


def _within(block: Block, rectangles: Sequence[Rectangle]) -> list[Rectangle]:
    """The parts of rectangles that lie in a block, in its own rows and columns."""
    found = []
    for rows, columns in rectangles:
        own = [
            indices[(indices >= span.start) & (indices < span.stop)] - span.start
            for indices, span in ((rows, block.rows), (columns, block.columns))
        ]
        if len(own[0]) and len(own[1]):
            found.append((own[0], own[1]))
    return found
