"""A programmed core made ready to multiply: everything that is worked out once and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Contraction
from crossohm.chain.contraction.part import ColumnPart
from crossohm.chain.lowering.lower import lower
from crossohm.chain.lowering.wire_setup import WireSetup
from crossohm.chain.lowering.wires import has_effective_matrix
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.chain.programming.record import Programmed
from crossohm.chain.programming.state import CoreState
from crossohm.chain.running.plan import PartTap, Plan, Tap, multiply

#: Makes the plan to run of the plan of a block.
Amend = Callable[[Plan, Block], Plan]


@final
class Lowered:
    """The plans of one state of a core, for every operation, map, array library, dtype and device that was asked for.

    Attributes:
        state: What is programmed.
        has_wires: True if there are wires that an elimination would put into the matrix.
        direct: By NumPy dtype, the effective matrix where a whole MVM is one noise-free product; None where it is not.
    """

    def __init__(self, state: CoreState) -> None:
        self.state = state
        self.has_wires = any(has_effective_matrix(block.params) for block in state.blocks)
        self.direct: dict[Any, np.ndarray | None] = {}
        self._wires: dict[Operation, WireSetup] = {}
        self._plans: dict[Any, tuple[Plan, ...]] = {}

    def wires(self, operation: Operation) -> WireSetup:
        """The arrays with their wires."""
        found = self._wires.get(operation)
        if found is None:
            found = self._wires[operation] = WireSetup(self.state.blocks, operation)
        return found

    def plans(
        self, operation: Operation, like: Array, contraction: Contraction, tapped: bool, solves: bool = False
    ) -> tuple[Plan, ...]:
        """One plan per block; see `lower`."""
        key = (operation, contraction, tapped, solves, *backend_of(like).key(like))
        plans = self._plans.get(key)
        if plans is None:
            with backend_of(like).eager():
                records = self._records(operation, like, solves)
                plans = tuple(
                    lower(record, b.params, operation, self._piece(contraction, b, operation), like, tapped, solves)
                    for b, record in zip(self.state.blocks, records, strict=True)
                )
            self._plans[key] = plans
        return plans

    def multiply(self, operation: Operation, plans: tuple[Plan, ...], x: Array, rng: Any, tap: Tap | None) -> Array:
        """Run the plans of all blocks.

        Arrays with hardware of their own are added over input partitions and put together over output partitions.

        Args:
            operation: Which product.
            plans: Of its blocks.
            x: Inputs ``(batch, features, *positions)``, in the user's units.
            rng: The array library's generator; used only if a plan draws noise.
            tap: Looks at inputs and at what ADCs see.
        """
        if len(plans) == 1:
            return multiply(plans[0], x, rng, tap)
        axis, blocks = operation.axis, self.state.blocks
        inputs = self.state.parts(1 - axis)
        if tap is not None:
            tap.xbar_inputs(x, operation.value, plans[0].contraction.constants)
        sums: dict[int, Any] = {}
        for block, plan in zip(blocks, plans, strict=True):
            driven, start = block.part(1 - axis), block.part(axis).start
            own = None if tap is None else PartTap(tap, inputs.index(driven))
            part = multiply(plan, x, rng, own)
            sums[start] = sums[start] + part if start in sums else part
        return backend_of(x).xp.concat([sums[start] for start in sorted(sums)], axis=1)

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
