"""Does a network fit a chip, and what does it take there?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from crossohm.chip.network import NetworkShape, Stage
from crossohm.chip.report import ResourceReport, StageReport, stage_report
from crossohm.chip.spec import ChipSpec
from crossohm.errors import MappingError, ParameterError


def check(
    network: NetworkShape | Sequence[Stage], chip: ChipSpec | None = None, *, strict: bool = True
) -> ResourceReport:
    """Hold a network against the rules of a chip.

    Args:
        network: Its shape; or stages, which may be what `NetworkShape` never makes.
        chip: The chip; None: that of the shape.
        strict: Raise an error where a rule is broken.

    Returns:
        What the network takes, with all rules that it breaks and whatever else is odd.

    Raises:
        MappingError: a rule is broken; the first one.
        ParameterError: stages without a chip.
    """
    if isinstance(network, NetworkShape):
        shape = network if chip is None else replace(network, chip=chip)
        stages, chip, broken = shape.stages, shape.chip, list(_classes(shape))
    elif chip is None:
        raise ParameterError("chip", chip, "stages do not say which chip they are for", allowed="a ChipSpec")
    else:
        stages, broken = tuple(network), []
    rows = tuple(stage_report(stage, chip) for stage in stages)
    for stage in stages:
        broken += [*_coverable(stage, chip), *_inputs(stage, chip), *_columns(stage, chip, last=stage is stages[-1])]
    broken += _grid(rows, chip)
    if strict and broken:
        raise broken[0]
    return ResourceReport(chip, rows, tuple(map(str, broken)), tuple(_odd(stages)))


def _classes(shape: NetworkShape) -> Iterator[MappingError]:
    outputs = shape.sizes[-1]
    if shape.classes > outputs:
        yield MappingError(
            shape.stages[-1].name, shape.classes, f"up to {outputs} (outputs of the last layer)",
            "classes cannot be read from the last layer", remedy="Make the last layer wider",
        )  # fmt: skip


def _coverable(stage: Stage, chip: ChipSpec) -> Iterator[MappingError]:
    """Lines and columns of all blocks are enough."""
    blocks, name = (stage.blocks_in, "core_in") if stage.kind == "dense" else (stage.blocks_out, "core_out")
    if stage.kind == "accumulator" and chip.core_out > chip.core_in:
        yield MappingError(
            stage.name, chip.core_out, f"up to {chip.core_in} (core_in)",
            "the columns of a dense core are more than the lines of its accumulator",
            remedy="Use cores with as many lines as columns",
        )  # fmt: skip
    for what, used, most, of in (
        ("inputs", stage.inputs, blocks * getattr(chip, name), f"blocks of {name} = {getattr(chip, name)}"),
        ("outputs", stage.outputs, stage.blocks_out * chip.core_out, f"blocks of core_out = {chip.core_out}"),
    ):
        if not 0 < used <= most:
            yield MappingError(
                stage.name, used, f"1 to {most} ({of})", f"its cores do not cover its {what}",
                remedy="Use more blocks, or a layer of another size",
            )  # fmt: skip


def _inputs(stage: Stage, chip: ChipSpec) -> Iterator[MappingError]:
    """What the interface takes, and what slots can be wired to."""
    if stage.input_bits is not None and stage.inputs > chip.input_lines:
        yield MappingError(
            stage.name, stage.inputs, f"up to {chip.input_lines} (input_lines)", "the network has too many inputs",
            remedy="Make its inputs smaller, or give the interface more lines",
        )  # fmt: skip
    if stage.input_bits is not None and stage.input_bits > chip.input_bits:
        yield MappingError(
            stage.name, stage.input_bits, f"up to {chip.input_bits} (input_bits)", "its inputs have too many bits",
            remedy="Make inputs binary, or give the interface more bits",
        )  # fmt: skip
    if stage.pattern is not None and (len(stage.pattern.plus), stage.pattern.slot) != (chip.slots, chip.slot):
        yield MappingError(
            stage.name, f"{len(stage.pattern.plus)} slots of {stage.pattern.slot} lines",
            f"{chip.slots} slots of {chip.slot} lines (a core)", "its slot pattern crosses the limits of a core",
            remedy="Wire slots within a block",
        )  # fmt: skip


def _columns(stage: Stage, chip: ChipSpec, last: bool) -> Iterator[MappingError]:
    """What columns end in."""
    if chip.max_phases is not None and stage.phases > chip.max_phases:
        yield MappingError(
            stage.name, stage.phases, f"up to {chip.max_phases} (max_phases)",
            "a column integrates too many passes before its comparator decides", remedy="Make the layer's inputs fewer",
        )  # fmt: skip
    if stage.adds_currents:
        yield MappingError(
            stage.name, stage.blocks_in, "1 core", "partial sums of cores are added before the comparator",
            remedy="Merge their bits by an accumulator",
        )  # fmt: skip
    if stage.ends_in == "readout" and not last:
        yield MappingError(
            stage.name, chip.readout_bits, "1 bit (a comparator)",
            "only the last stage is read with more bits than one", remedy="End it in a comparator",
        )  # fmt: skip
    elif stage.ends_in not in ("comparator", "readout"):
        allowed = "comparator, readout" if last else "comparator"
        yield MappingError(
            stage.name, stage.ends_in, allowed, "cores have no such non-linearity", remedy="End it in a comparator"
        )


def _grid(rows: Sequence[StageReport], chip: ChipSpec) -> Iterator[MappingError]:
    """The first stage that finds too few cores left."""
    taken = 0
    for row in rows:
        taken += row.physical_cores
        if taken > chip.cores:
            total = sum(each.physical_cores for each in rows)
            yield MappingError(
                row.stage.name, total, f"up to {chip.cores} (grid {chip.grid[0]} x {chip.grid[1]})",
                f"the network takes more physical cores than there are, {chip.physical_per_logical} per logical core",
                remedy="Make layers narrower or fewer, or the grid larger",
            )  # fmt: skip
            return


def _odd(stages: Sequence[Stage]) -> Iterator[str]:
    for stage in stages:
        if stage.pattern is not None and stage.pattern.dead_lines:
            yield (
                f"{stage.name}: {stage.pattern.dead_lines} lines of each core are always zero (dead slots "
                f"{list(stage.pattern.dead_slots)}); permutations that agree nowhere have none"
            )
