"""What a core is made of, as numbers: arrays, operations and conversions of a product, levels and ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from crossohm.chain.lowering.inputs import build_drive
from crossohm.chain.lowering.lower import converters
from crossohm.chain.lowering.ranges import Limits, adc_limits
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.chain.programming.record import adc_banks
from crossohm.chain.programming.state import CoreState
from crossohm.chain.running.digitiser import Digitiser
from crossohm.chain.running.drive import Drive
from crossohm.mapping import build_mapping
from crossohm.params import CrossSimParameters


@final
@dataclass(frozen=True)
class ArraySize:
    """One physical array.

    Attributes:
        name: Its name.
        rows: Input lines.
        columns: Output lines, with a unit line if there is one.
    """

    name: str
    rows: int
    columns: int


@final
@dataclass(frozen=True)
class Description:
    """A core in one operation.

    Attributes:
        outputs: Of the matrix as it is stored, in this operation.
        inputs: The same.
        arrays: Every physical array.
        planes: Input slices that drive the arrays one after another.
        operations: Array operations per vector: every plane drives every array once.
        conversions: By ADCs per vector; 0 without ADCs.
        cell_levels: Conductance levels of a cell; None: continuous.
        input_range: Lowest and highest input, in the user's units; None: a range per vector.
        dac_levels: Levels of the inputs; None: not quantised, or the DAC model does not tell.
        adc_levels: Levels of the outputs; None: not quantised, or the ADC model does not tell.
        adc_ranges: Limits of the ADCs for each weight slice, least significant first, the widest of all arrays, in
            normalised current; empty: no ADC.
    """

    outputs: int
    inputs: int
    arrays: tuple[ArraySize, ...]
    planes: int
    operations: int
    conversions: int
    cell_levels: int | None
    input_range: Limits | None
    dac_levels: int | None
    adc_levels: int | None
    adc_ranges: tuple[Limits, ...]


def describe(state: CoreState, operation: str = "mvm") -> Description:
    """What a core is made of. Nothing is lowered, and no wires are eliminated.

    Args:
        state: The core.
        operation: ``"mvm"`` (W x) or ``"vmm"`` (x W).
    """
    which = Operation(operation)
    drive, digitisers = converters(state.blocks[0].record, state.params, which)
    sizes = state.stored_shape
    return Description(
        outputs=sizes[which.axis],
        inputs=sizes[1 - which.axis],
        arrays=tuple(ArraySize(array.name, array.rows, array.columns) for array in state.arrays()),
        planes=_planes(state.params, which),
        operations=sum(_planes(block.params, which) * sum(1 for _ in block.record.places()) for block in state.blocks),
        conversions=sum(_conversions(block, which) for block in state.blocks),
        cell_levels=_cell_levels(state.params),
        input_range=_input_range(drive),
        dac_levels=drive.dac.levels,
        adc_levels=_adc_levels(digitisers),
        adc_ranges=_adc_ranges(state.blocks, which),
    )


def _planes(params: CrossSimParameters, operation: Operation) -> int:
    return max(1, len(build_drive(params, operation).dac.plane_weights))


def _conversions(block: Block, operation: Operation) -> int:
    """Every line of every partition, a unit line too, by each bank; plane by plane where planes are digitised so."""
    spec = operation.adc(block.params)
    if not spec.converts:
        return 0
    record, inputs = block.record, 1 - operation.axis
    parts = (record.row_parts, record.column_parts)
    outputs = parts[operation.axis]
    lines = sum(part.stop - part.start for part in outputs)
    units = 0 if record.units.get(operation.value) is None else len(outputs)
    banks = adc_banks(build_mapping(block.params), block.params)
    times = _planes(block.params, operation) if spec.adc_per_ibit else 1
    return int(banks * times * len(parts[inputs]) * (lines + units))


def _cell_levels(params: CrossSimParameters) -> int | None:
    bits = build_mapping(params).slice_bits or params.xbar.device.cell_bits
    return 2**bits if bits else None


def _input_range(drive: Drive) -> Limits | None:
    if drive.percentile is not None:
        return None
    return drive.clip or (-drive.scale, drive.scale)


def _adc_levels(digitisers: Sequence[Digitiser] | None) -> int | None:
    return digitisers[0].converters[0][0].levels if digitisers else None


def _adc_ranges(blocks: Sequence[Block], operation: Operation) -> tuple[Limits, ...]:
    if not operation.adc(blocks[0].params).converts:
        return ()
    found = [
        adc_limits(block.params, build_mapping(block.params), operation, lines)
        for block in blocks
        for lines in {
            part.stop - part.start
            for part in (block.record.column_parts if operation.forward else block.record.row_parts)
        }
    ]
    return tuple(
        (min(low for low, _ in limits), max(high for _, high in limits)) for limits in zip(*found, strict=True)
    )
