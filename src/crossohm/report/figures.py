"""The plots of a report as figures to print, drawn with matplotlib."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crossohm._functions import unknown
from crossohm.errors import DataError, MissingDependencyError
from crossohm.report.data import Histogram, Point, ReportData
from crossohm.report.measure import Measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
_SIZE = (6.4, 4.0)


def write_figures(data: ReportData, folder: str | os.PathLike[str], form: str = "png") -> list[Path]:
    """Draw every measure over the first axis, and layer SNR and ADC inputs of the last point.

    Args:
        data: What to draw.
        folder: Where; made if it does not exist. Files of the same names are replaced.
        form: png, svg or pdf.

    Returns:
        The files written.

    Raises:
        UnknownNameError: another format.
        DataError: a file cannot be written.
        MissingDependencyError: matplotlib is not installed.
    """
    if form not in FORMATS:
        raise unknown("figures", form, FORMATS, "format")
    place, written = Path(folder), []
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, draw in _drawings(data):
            path = place / f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name)}.{form}"
            draw().savefig(path, dpi=150)
            written.append(path)
    except OSError as error:
        raise DataError(f"{place}: figures cannot be written ({error.strerror or error})") from error
    return written


def _drawings(data: ReportData) -> Iterator[tuple[str, Callable[[], Figure]]]:
    for measure in data.measures:
        if measure.name in data.points[0].analog:
            yield measure.name, partial(measure_figure, data, measure)
    last = data.points[-1]
    if last.layer_snr:
        yield "layer_snr", partial(snr_figure, last)
    ranges = {layer["layer"]: layer["adc_ranges"] for layer in data.hardware[last.hardware].layers}
    for layer, slices in last.histograms.items():
        for number, seen in enumerate(slices):
            limits = ranges.get(layer, ())
            limit = tuple(limits[number]) if number < len(limits) else ()
            yield f"adc_{layer}_{number}", partial(histogram_figure, seen, f"{layer}, slice {number}", limit)


def measure_figure(data: ReportData, measure: Measure) -> Figure:
    """A measure along the first axis, one line per combination of the others; mean, spread and single chips."""
    figure, ax = _empty()
    factor = 100 if measure.unit == "%" else 1
    groups: dict[tuple[int, ...], list[Point]] = {}
    for point in data.points:
        groups.setdefault(point.positions[1:], []).append(point)
    for others, points in groups.items():
        _draw_line(ax, data, measure, points, factor, _name(data, others))
    digital = {point.digital[measure.name] for point in data.points if measure.name in point.digital}
    if len(digital) == 1:
        ax.axhline(factor * digital.pop(), color="0.4", linestyle="--", linewidth=1, label="digital")
    if data.axes and data.axes[0].values is None:
        ax.set_xticks(range(len(data.axes[0].labels)), data.axes[0].labels, rotation=30, ha="right")
    unit = f" ({measure.unit})" if measure.unit else ""
    ax.set(xlabel=data.axes[0].name if data.axes else "chip", ylabel=f"{measure.label}{unit}", title=data.title)
    if len(groups) > 1 or ax.get_legend_handles_labels()[1]:
        ax.legend(fontsize="small")
    return figure


def snr_figure(point: Point) -> Figure:
    """Signal-to-noise ratio of every layer's outputs; layers without errors are left out."""
    figure, ax = _empty()
    finite = {name: values for name, values in point.layer_snr.items() if np.isfinite(values).all()}
    names = list(finite)
    means = [np.mean(values) for values in finite.values()]
    errors = [np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in finite.values()]
    ax.errorbar(range(len(names)), means, errors, fmt="o", capsize=3)
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set(ylabel="SNR of the outputs (dB)", title=point.label)
    return figure


def histogram_figure(seen: Histogram, title: str, limits: tuple[float, ...]) -> Figure:
    """ADC inputs of one layer and slice, with the range of the ADC."""
    figure, ax = _empty()
    if seen.counts:
        ax.stairs(seen.counts, seen.edges, fill=True)
        ax.set_yscale("log")
    for limit in limits:
        ax.axvline(limit, color="C1", linestyle="--")
    ax.set(xlabel="current (of one cell at full conductance and input)", ylabel="values", title=title)
    return figure


def _draw_line(ax: Any, data: ReportData, measure: Measure, points: list[Point], factor: float, name: str) -> None:
    if not data.axes:
        values = factor * np.asarray(points[0].analog[measure.name])
        ax.plot(np.arange(len(values)), values, "o", label=name)
        ax.set_xticks(range(len(values)), [str(seed) for seed in points[0].seeds])
        return
    axis = data.axes[0]
    x = [axis.values[p.positions[0]] if axis.values else p.positions[0] for p in points]
    order = np.argsort(x)
    found = [points[index].spread(measure.name) for index in order]
    x = [x[index] for index in order]
    means = [factor * each.mean for each in found]
    (drawn,) = ax.plot(x, means, "o-", label=name)
    ax.errorbar(
        x, means, [factor * (each.std or 0.0) for each in found], fmt="none", ecolor=drawn.get_color(), capsize=3
    )
    for place, each in zip(x, found, strict=True):
        ax.plot([place] * len(each.values), factor * np.asarray(each.values), ".", color=drawn.get_color(), alpha=0.4)


def _name(data: ReportData, others: tuple[int, ...]) -> str:
    return (
        ", ".join(f"{axis.name} = {axis.labels[at]}" for axis, at in zip(data.axes[1:], others, strict=True)) or "mean"
    )


def _empty() -> tuple[Figure, Any]:
    try:
        from matplotlib.figure import Figure as NewFigure
    except ModuleNotFoundError:
        raise MissingDependencyError("matplotlib", "plot", "A figure") from None
    figure = NewFigure(figsize=_SIZE, layout="constrained")
    return figure, figure.add_subplot()
