"""A plan after a few cells were written: the leaves that hold them change there, nothing is lowered anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Dense, DensePiece
from crossohm.chain.lowering.arrays import build_readout
from crossohm.chain.lowering.lower import merged_readout
from crossohm.chain.lowering.setup import Setup, make_setup
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.chain.running.plan import Plan, Stage
from crossohm.chain.running.readout import LinearReadout, NoisyReadout, Readout

#: Matrix rows and columns, sorted, of cells that were written.
Rectangle = tuple[np.ndarray, np.ndarray]


def patched(plan: Plan, block: Block, rectangles: Sequence[Rectangle], like: Array) -> Plan | None:
    """The plan of a block after cells were written; None if it has to be lowered anew.

    Args:
        plan: Before the write, for inputs like ``like``.
        block: The arrays as they are now, without wires, of the same weight range.
        rectangles: Rows and columns of the block that were written.
        like: Any array of the library, dtype and device of the inputs.
    """
    if not isinstance(plan.contraction, Dense) or block.record.units or plan.drive.dac.plane_offset:
        return None
    for rows, columns in rectangles:
        operation = Operation(plan.operation)
        outputs, inputs = operation.order(rows, columns)
        stages = []
        for stage, part in zip(plan.stages, _input_parts(plan, block, operation), strict=True):
            here = inputs[(inputs >= part.start) & (inputs < part.stop)]
            changed = _stage(plan, stage, block, (outputs, here), part.start, like) if len(here) else stage
            if changed is None:
                return None
            stages.append(changed)
        plan = replace(plan, stages=tuple(stages))
    return plan


def _input_parts(plan: Plan, block: Block, operation: Operation) -> tuple[slice, ...]:
    """Inputs of each stage."""
    _, length = operation.order(*block.record.shape)
    _, parts = operation.order(block.record.row_parts, block.record.column_parts)
    return (slice(0, length),) if plan.merged else parts


def _stage(plan: Plan, stage: Stage, block: Block, cells: Rectangle, start: int, like: Array) -> Stage | None:
    """A stage with the cells of ``(outputs, inputs)``, of its part that begins at input ``start``, as they are now."""
    setup = _setup_of(plan, block, cells, like)
    found = _readout(plan, stage, setup)
    if type(found) is not type(stage.readout) or bool(setup.reason_for_stages) == plan.merged:
        return None
    held, outputs, inputs = stage.readout, *cells
    lines = (np.arange(held.banks)[:, np.newaxis] * held.lines + outputs).ravel()
    place = (inputs - start, lines)
    if isinstance(held, LinearReadout) and isinstance(found, LinearReadout):
        return replace(stage, readout=replace(held, kernel=_put(held.kernel, place, found.kernel)))
    if isinstance(held, NoisyReadout) and isinstance(found, NoisyReadout):
        kernel, variance = _put(held.kernel, place, found.kernel), _put(held.variance, place, found.variance)
        return replace(stage, readout=replace(held, kernel=kernel, variance=variance))
    return None


def _setup_of(plan: Plan, block: Block, cells: Rectangle, like: Array) -> Setup:
    """What is known of the cells alone, as if they were an array of their own."""
    operation = Operation(plan.operation)
    rows, columns = operation.order(*cells)
    record = block.record
    alone = replace(
        record,
        matrix=record.matrix[np.ix_(rows, columns)],
        conductance=record.conductance[:, :, rows[:, np.newaxis], columns],
        row_parts=(slice(0, len(rows)),),
        column_parts=(slice(0, len(columns)),),
    )
    return make_setup(alone, block.params, operation, Dense(len(cells[1])), like, tapped=False)


def _readout(plan: Plan, stage: Stage, setup: Setup) -> Readout:
    if plan.merged:
        return merged_readout(setup)
    counting = stage.digitiser.counting if stage.digitiser else None
    return build_readout(setup, setup.input_parts[0], counting.levels if counting else None)


def _put(held: DensePiece, place: Rectangle, found: DensePiece) -> DensePiece:
    """A piece with other values at some of its inputs and lines."""
    backend = backend_of(held.weights)
    inputs, lines = (backend.indices(index, held.weights) for index in place)
    return replace(held, weights=backend.assigned(held.weights, (inputs[:, None], lines), found.weights))
