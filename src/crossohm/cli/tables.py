"""Tables for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from crossohm.params import CrossSimParameters
    from crossohm.studies import HardwareReport, LayerReport, RunResult

#: Wide enough for every table where the width is unknown: in a pipe or a log file.
_LOG_WIDTH = 120


def stdout() -> Console:
    """The console for tables."""
    console = Console()
    return console if console.is_terminal else Console(width=_LOG_WIDTH)


def hardware_table(report: HardwareReport, title: str) -> Table:
    """What every layer occupies."""
    table = _table(title, ("layer", "kind", "matrix"), ("arrays", "size", "cells", "MVMs", "levels"))
    table.add_column("DAC", overflow="fold")
    table.add_column("ADC", overflow="fold")
    for layer in report.layers:
        table.add_row(*_layer_cells(layer))
    rows, columns = report.largest_array
    totals = (f"{report.arrays:,}", f"{rows}x{columns}", f"{report.devices:,}", f"{report.mvms:,}")
    table.add_section()
    table.add_row("total", "", "", *totals, "", "", "")
    table.caption = (
        "matrix: outputs x inputs; size: rows x columns of the largest array; MVMs: array operations per image; "
        "levels: of a cell; ranges: DAC in the layer's units, ADC in currents of one fully driven cell"
    )
    table.caption_justify = "left"
    return table


def _layer_cells(layer: LayerReport) -> tuple[str, ...]:
    return (
        layer.layer,
        layer.kind,
        f"{layer.outputs}x{layer.inputs}",
        f"{layer.arrays:,}",
        f"{layer.array_rows}x{layer.array_columns}",
        f"{layer.devices:,}",
        f"{layer.mvms:,}",
        f"{layer.cell_levels}" if layer.cell_levels else "continuous",
        _converter(layer.dac_levels, [layer.input_range] if layer.input_range else []),
        _converter(layer.adc_levels, layer.adc_ranges),
    )


def _converter(levels: int | None, ranges: Iterable[tuple[float, float]]) -> str:
    """Levels and limits, e.g. ``255, ±1.5``."""
    if levels is None:
        return "ideal"
    texts = [f"±{high:.3g}" if high == -low else f"{low:.3g}..{high:.3g}" for low, high in ranges]
    limits = texts[0] if len(set(texts)) == 1 else ", ".join(texts)
    return f"{levels}, {limits}" if limits else str(levels)


def accuracy_table(result: RunResult) -> Table:
    """Digital and analog accuracy side by side."""
    settings = result.settings
    title = f"{settings.model} on {len(result.labels):,} test images of {settings.dataset}"
    table = _table(title, ("accuracy",), ("digital", _chips(settings.draws), "loss (points)"))
    for k in sorted({1, settings.top_k}):
        digital, analog = result.digital_accuracy(k), result.analog_accuracy(k)
        table.add_row(
            f"top-{k}", _percent(digital), _spread(analog.mean, analog.std), f"{100 * (digital - analog.mean):.2f}"
        )
    return table


def accuracy_line(result: RunResult) -> str:
    """The main result in one line."""
    analog = result.analog_accuracy()
    return (
        f"{result.settings.model}: digital {_percent(result.digital_accuracy())}, "
        f"analog {_spread(analog.mean, analog.std)} ({_chips(result.settings.draws)})"
    )


def presets_table(presets: dict[str, CrossSimParameters]) -> Table:
    """The hardware descriptions that come with crossohm, in a few words each."""
    table = _table("", ("preset", "mapping", "arrays", "cells", "DAC", "ADC", "errors"), ())
    for name, params in presets.items():
        table.add_row(name, *_preset_cells(params))
    return table


def _preset_cells(params: CrossSimParameters) -> tuple[str, ...]:
    core, xbar = params.core, params.xbar
    device, dac, adc = xbar.device, xbar.dac.mvm, xbar.adc.mvm
    style = core.style.name.lower()
    if style == "bitsliced":
        style = f"{core.bit_sliced.num_slices} slices, {core.bit_sliced.style.name.lower()}"
    effects = ("programming_error", "drift_error", "read_noise")
    enabled = [effect.replace("_", " ") for effect in effects if getattr(device, effect).enable]
    return (
        style,
        f"{core.rows_max or 'any'} x {core.cols_max or 'any'}",
        f"{device.cell_bits} bit" if device.cell_bits else "continuous",
        f"{dac.bits} bit" if dac.bits else "ideal",
        f"{adc.bits} bit {adc.model.removesuffix('ADC')}" if adc.bits else "ideal",
        ", ".join(enabled) or "none",
    )


def _table(title: str, left: Iterable[str], right: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in left:
        table.add_column(name)
    for name in right:
        table.add_column(name, justify="right")
    return table


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def _spread(mean: float, std: float | None) -> str:
    return _percent(mean) if std is None else f"{100 * mean:.2f} ± {100 * std:.2f} %"


def _chips(count: int) -> str:
    return "1 chip" if count == 1 else f"{count} chips"
