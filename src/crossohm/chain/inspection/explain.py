"""What a core does, in words and numbers for people."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import final

from crossohm.chain.operation import Operation
from crossohm.chain.programming.state import CoreState
from crossohm.chain.running.digitiser import Digitiser
from crossohm.chain.running.plan import Plan, Stage


@final
@dataclass(frozen=True)
class Explanation:
    """A table of stages; prints as text, shows as a table in notebooks.

    Attributes:
        title: One line about the core and the operation.
        rows: Pairs (stage, description).
    """

    title: str
    rows: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        width = max(len(stage) for stage, _ in self.rows)
        return "\n".join([self.title, *(f"  {stage:<{width}}  {text}" for stage, text in self.rows)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{html.escape(stage)}</td><td>{html.escape(text)}</td></tr>" for stage, text in self.rows
        )
        return f"<p>{html.escape(self.title)}</p><table>{cells}</table>"


def explain_plans(state: CoreState, operation: Operation, plans: tuple[Plan, ...], vectors_left: int) -> Explanation:
    """Describe the plans of one operation (several if arrays have hardware of their own).

    Args:
        state: The core.
        operation: Which product.
        plans: One per block.
        vectors_left: How many vectors more are multiplied with these plans before wires are eliminated; 0 if there are
            none, or they have been.
    """
    symbol = "W x" if operation.forward else "x W"
    rows_held, columns_held = state.stored_shape
    title = (
        f"{operation} ({symbol}) of {state.name!r}, {rows_held} outputs x {columns_held} inputs stored, "
        f"seed {state.seed}"
    )
    rows: list[tuple[str, str]] = [("arrays", _arrays(state, operation)), ("weights", _weights(state))]
    if vectors_left:
        rows.append(("wires", _wires(vectors_left)))
    for index, plan in enumerate(plans):
        label = f"[{index}] " if len(plans) > 1 else ""
        rows += [(label + stage, text) for stage, text in _plan_rows(plan)]
    return Explanation(title, tuple(rows))


def _arrays(state: CoreState, operation: Operation) -> str:
    record, (row_parts, column_parts) = state.blocks[0].record, (state.parts(0), state.parts(1))
    slices, signs = record.conductance.shape[:2]
    sizes, unit = {"rows": _longest(column_parts), "columns": _longest(row_parts)}, ""
    if record.units:
        line = "columns" if operation.forward else "rows"
        sizes[line] += 1
        unit = f", one of the {line} a unit {line.removesuffix('s')}"
    arrays = sum(1 for block in state.blocks for _ in block.record.places())
    return (
        f"{len(row_parts)} x {len(column_parts)} partitions (outputs x inputs) x {slices} slices x {signs} signs "
        f"= {arrays} arrays of up to {sizes['rows']} rows x {sizes['columns']} columns{unit}"
    )


def _longest(parts: tuple[slice, ...]) -> int:
    return int(max(part.stop - part.start for part in parts))


def _wires(vectors_left: int) -> str:
    vectors = "NumPy vector is" if vectors_left == 1 else f"{vectors_left} NumPy vectors are"
    return f"the next {vectors} solved one by one (exact); for more, the network is eliminated once (exact)"


def _weights(state: CoreState) -> str:
    device, style = state.params.xbar.device, state.params.core.style.name
    levels = "continuous cells" if not device.cell_bits else f"{2**device.cell_bits} levels per cell"
    low, high = state.limits
    return f"{style}, range {low:.4g} to {high:.4g}, {levels}, lowest conductance {device.Gmin_norm:.4g} Gmax"


def _plan_rows(plan: Plan) -> list[tuple[str, str]]:
    rows = [("path", note) for note in plan.notes] + [("inputs", _inputs(plan)), ("DAC", _dac(plan))]
    for index, stage in enumerate(plan.stages):
        label = f" {index}" if len(plan.stages) > 1 else ""
        rows += [(name + label, text) for name, text in _stage_rows(stage)]
    return rows


def _inputs(plan: Plan) -> str:
    drive = plan.drive
    if drive.percentile is not None:
        return f"range of each vector from its own data (percentile {drive.percentile:g})"
    if plan.scaled_in_arrays:
        return "not converted; the input range cancels"
    clip = f", clipped to {drive.clip[0]:g} .. {drive.clip[1]:g}" if drive.clip else ""
    return f"divided by {drive.scale:g}{clip}"


def _dac(plan: Plan) -> str:
    dac = plan.drive.dac
    if dac.levels is None:
        return "ideal" if dac.ideal else "user model"
    text = f"{dac.levels} levels, LSB {dac.lsb:.4g} of full scale"
    if not dac.sliced:
        return text
    how = "one after another" if any(stage.bit_planes for stage in plan.stages) else "merged (the array is linear)"
    return f"{text}, {len(dac.plane_weights)} input slices {how}"


def _stage_rows(stage: Stage) -> list[tuple[str, str]]:
    rows = [("array", stage.readout.reason)]
    if stage.limit is not None:
        where = "difference of a pair" if stage.limits_difference else "each line"
        rows.append(("limit", f"{where} to +/-{stage.limit:g} normalised current"))
    if stage.pairs:
        rows.append(("subtract", "positive minus negative current, before the ADC"))
    rows.append(("ADC", _adc(stage.digitiser, stage.per_plane)))
    return rows


def _adc(digitiser: Digitiser | None, per_plane: bool) -> str:
    if digitiser is None:
        return "ideal"
    texts = []
    for bank in digitiser.converters:
        converter = bank[0]
        if converter.levels is None or converter.lsb is None:
            texts.append("user model")
            continue
        found = converter.output_levels
        span = "" if found is None else f" from {found[0]:.4g} to {found[-1]:.4g}"
        texts.append(f"{converter.levels} levels{span}, LSB {converter.lsb:.4g}")
    same = texts[0] if len(set(texts)) == 1 else "; ".join(f"bank {i}: {text}" for i, text in enumerate(texts))
    return same + (", every input slice converted" if per_plane else "")
