"""The plots of a report as figures to print, drawn with matplotlib."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossohm._names import unknown
from crossohm.errors import DataError
from crossohm.report.canvas import head, new_figure, rows_figure
from crossohm.report.data import Histogram, Point, ReportData
from crossohm.report.measure_figure import measure_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMATS", "histogram_figure", "measure_figure", "snr_figure", "write_figures"]

FORMATS = ("png", "svg", "pdf")


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
        if any(measure.name in point.analog for point in data.points):
            yield measure.name, partial(measure_figure, data, measure)
    last = [point for point in data.points if point.hardware is not None][-1]
    if last.layer_snr:
        yield "layer_snr", partial(snr_figure, last)
    ranges = {layer["layer"]: layer["adc_ranges"] for layer in data.hardware[last.hardware or 0].layers}
    for layer, slices in last.histograms.items():
        for number, seen in enumerate(slices):
            limits = ranges.get(layer, ())
            limit = tuple(limits[number]) if number < len(limits) else ()
            yield f"adc_{layer}_{number}", partial(histogram_figure, seen, f"{layer}, slice {number}", limit)


def snr_figure(point: Point) -> Figure:
    """Signal-to-noise ratio of every layer's outputs; layers without errors are left out."""
    found = {name: point.layer_spread(name) for name in point.layer_snr}
    finite = {name: each for name, each in found.items() if np.isfinite(each.values).all()}
    figure, ax = rows_figure(list(finite), point.label)
    errors = [each.std or 0.0 for each in finite.values()]
    ax.errorbar([each.mean for each in finite.values()], range(len(finite)), xerr=errors, fmt="o", capsize=3)
    ax.set_xlabel("SNR of the outputs (dB)")
    return figure


def histogram_figure(seen: Histogram, title: str, limits: tuple[float, ...]) -> Figure:
    """ADC inputs of one layer and slice, with the range of the ADC."""
    figure = new_figure()
    ax = figure.add_subplot()
    if seen.counts:
        ax.stairs(seen.counts, seen.edges, fill=True)
        ax.set_yscale("log")
    for limit in limits:
        ax.axvline(limit, color="C1", linestyle="--")
    ax.set(xlabel="current (of one cell at full conductance and input)", ylabel="values")
    head(figure, title, figure.get_figwidth())
    return figure
