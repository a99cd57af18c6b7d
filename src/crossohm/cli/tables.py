"""Tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from crossohm.calibration import Calibration, ChosenRange
    from crossohm.params import CrossSimParameters
    from crossohm.studies import (
        ChipResult,
        ErrorBudget,
        HardwareReport,
        LayerReport,
        Results,
        RunResult,
    )

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


def points_table(results: Results) -> Table:
    """Every point of a study: its settings, and the measures over its chips."""
    paths = [path for axis in results.axes for path in axis.paths]
    names = [name for measure in results.measures for name in (measure, f"digital {measure}")]
    missing = "" if results.complete else f", {results.planned - len(results.chips)} chips missing"
    title = f"{results.name}: {len(results.points)} points{missing}"
    table = _table(title, [_brief(path, paths) for path in paths], ["chips", *names, "output SNR (dB)"])
    for point, chips in results.points.items():
        cells = []
        for measure in results.measures:
            found = results.spread(point, measure)
            cells += [_measure(measure, found.mean, found.std), _measure(measure, chips[0].digital[measure], None)]
        settings = [_setting(chips[0].coordinates.get(path, "")) for path in paths]
        table.add_row(*settings, str(len(chips)), *cells, f"{_power_ratio(chips):.1f}")
    return table


def points_as_dict(results: Results) -> dict[str, Any]:
    """The same as plain values; no noise at all is an output SNR of None."""
    ratios = {point: _power_ratio(chips) for point, chips in results.points.items()}
    return {
        "name": results.name,
        "folder": str(results.folder),
        "complete": results.complete,
        "points": [
            {
                "settings": chips[0].coordinates,
                "seeds": [chip.seed for chip in chips],
                "analog": {name: results.spread(point, name).as_dict() for name in results.measures},
                "digital": chips[0].digital,
                "output_snr": ratios[point] if math.isfinite(ratios[point]) else None,
            }
            for point, chips in results.points.items()
        ],
    }


def _power_ratio(chips: Sequence[ChipResult]) -> float:
    """Output SNR of all chips of a point together, dB."""
    from crossohm.studies.results import decibels

    return decibels({name: sum(chip.record["output"][name] for chip in chips) for name in ("signal", "noise")})


def _brief(path: str, others: Sequence[str]) -> str:
    """As many last names of a path as tell it from the others."""
    names = path.split(".")
    for count in range(1, len(names)):
        brief = ".".join(names[-count:])
        if sum(other.endswith(brief) for other in others) == 1:
            return brief
    return path


def budget_table(budget: ErrorBudget) -> Table:
    """What each cause of errors does, alone and by its absence."""
    name = budget.measure
    ends = " ".join(
        f"{title} {_measure(name, found.mean, found.std)}"
        for title, found in (("complete hardware", budget.complete), ("perfect", budget.perfect))
    )
    title = f"{name}: digital {_measure(name, budget.digital, None)}, {ends}; output {budget.snr_complete:.1f} dB"
    table = _table(
        title, ("cause", "layer"), ("alone", "loss alone", "absent", "gain absent", "SNR alone (dB)", "noise share")
    )
    for one in budget.contributions:
        changes = (_change(name, one.loss_alone), _change(name, one.gain_absent))
        table.add_row(
            one.label, "all" if one.layer == "*" else one.layer,
            _measure(name, one.alone.mean, one.alone.std), changes[0],
            _measure(name, one.absent.mean, one.absent.std), changes[1],
            f"{one.snr_alone:.1f}", f"{100 * one.share:.1f} %",
        )  # fmt: skip
    table.caption = (
        "alone: nothing else wrong; absent: everything else wrong; losses and gains in points of accuracy; "
        "noise share: noise power alone over that of the complete hardware"
    )
    table.caption_justify = "left"
    return table


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def ranges_table(found: Calibration) -> Table:
    """Converter ranges of every layer, with what they lose."""
    ends = f"objective {found.objective.measure}, {found.images:,} training images"
    table = _table(f"Converter ranges: {ends}", ("layer", "inputs"), ("error",))
    table.add_column("ADC inputs, least significant slice first", overflow="fold")
    for name, layer in found.layers.items():
        inputs = ("a range per vector", "") if layer.inputs is None else _limits(layer.inputs)
        adcs = ", ".join("{} (error {})".format(*_limits(one)) for one in layer.adc) or "as described"
        table.add_row(name, *inputs, adcs)
    return table


def _limits(chosen: ChosenRange) -> tuple[str, str]:
    """Range and error of a converter."""
    return f"{chosen.low:.4g}..{chosen.high:.4g}", f"{chosen.error:.2g}"


def _measure(name: str, mean: float, std: float | None) -> str:
    if name.startswith("top"):
        return _spread(mean, std)
    return f"{mean:.4g}" if std is None else f"{mean:.4g} ± {std:.2g}"


def _change(name: str, value: float) -> str:
    return f"{100 * value:.2f}" if name.startswith("top") else f"{value:.4g}"


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
