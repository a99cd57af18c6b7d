"""The figure of one measure: lines over the first axis of a sweep, panels for others, bars for an error budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from crossohm.report.canvas import LETTER, ROW, folded, head, new_figure, rows_figure
from crossohm.report.data import Axis, Point, ReportData
from crossohm.report.losses import loss, loss_label
from crossohm.report.measure import Measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEIGHT, _WIDTH, _PANEL = 4.0, 6.4, 3.8
_PANELS_IN_A_ROW = 6
#: Lines that a legend names; more lines of an axis of numbers have a colour scale.
_NAMED = 8
_ENTRIES_IN_A_COLUMN = 15
_MARKERS = "osD^vPX*<>"
#: Numbers that span more are drawn on a logarithmic axis.
_DECADES = 30.0


def measure_figure(data: ReportData, measure: Measure) -> Figure:
    """A measure along the first axis; mean, spread and single chips.

    The longest of the other axes gives the lines; further axes give panels. Lines of many numbers have a colour scale.
    Positions that are names have rows. The variants of an error budget have bars of what each loses, the largest first.
    """
    if data.complete is not None:
        return _budget_figure(data, measure)
    points = [point for point in data.points if measure.name in point.analog]
    others = sorted(range(1, len(data.axes)), key=lambda index: -len(data.axes[index].labels))
    style = _Style(data, measure, others[0] if others else None)
    panels: dict[tuple[int, ...], list[Point]] = {}
    for point in points:
        panels.setdefault(tuple(point.positions[index] for index in sorted(others[1:])), []).append(point)
    figure, grid = _grid(data, style, max(1, len(panels)))
    for ax, (at, members) in zip(grid, panels.items(), strict=False):
        _draw_panel(ax, data, style, members)
        names = (f"{data.axes[index].name} = {data.axes[index].labels[position]}"
                 for index, position in zip(sorted(others[1:]), at, strict=True))  # fmt: skip
        ax.set_title("\n".join(folded(name) for name in names), fontsize="small")
        ax.label_outer()
    head(figure, data.title, max(_WIDTH, _PANEL * min(len(grid), _PANELS_IN_A_ROW)))
    _explain(figure, grid, style)
    return figure


@final
@dataclass(frozen=True)
class _Style:
    """How lines are told apart.

    Attributes:
        data: What is drawn.
        measure: Of which.
        index: Axis that gives the lines; None if there is one line.
    """

    data: ReportData
    measure: Measure
    index: int | None

    @property
    def axis(self) -> Axis | None:
        return None if self.index is None else self.data.axes[self.index]

    @property
    def count(self) -> int:
        return 1 if self.axis is None else len(self.axis.labels)

    @property
    def is_scale(self) -> bool:
        """True if lines are colours of a scale instead of entries of a legend."""
        return self.axis is not None and self.axis.values is not None and self.count > _NAMED

    @property
    def factor(self) -> float:
        return 100.0 if self.measure.unit == "%" else 1.0

    def colours(self) -> list[Any]:
        """One colour per line."""
        from matplotlib import colormaps

        if self.is_scale:
            return list(colormaps["plasma"](np.linspace(0.0, 0.88, self.count)))
        return [colormaps["tab10"](line % 10) for line in range(self.count)]

    def name(self, line: int) -> str:
        """A line in words."""
        return "mean" if self.axis is None else f"{self.axis.name} = {self.axis.labels[line]}"

    @property
    def entries(self) -> tuple[str, ...]:
        """Texts of the legend, without the name of the axis; empty with a scale or a single line."""
        return () if self.axis is None or self.is_scale else tuple(map(folded, self.axis.labels))


def _grid(data: ReportData, style: _Style, panels: int) -> tuple[Figure, list[Any]]:
    """A figure with room for its panels, with a legend beside them, and rows as high as their names."""
    columns = min(panels, _PANELS_IN_A_ROW)
    height, names = _HEIGHT, 0
    if data.axes and data.axes[0].values is None:
        names = max(len(line) for label in data.axes[0].labels for line in folded(label).split("\n"))
        lines = sum(max(folded(label).count("\n") + 1, (style.count + 1) / 3) for label in data.axes[0].labels)
        height = max(height, 1.2 + ROW * lines)
    texts = [*style.entries, *(folded(style.axis.name).split("\n") if style.axis else [])]
    widest = max((len(line) for text in texts for line in text.split("\n")), default=0)
    beside = math.ceil(_legend_lines(style) / _entries(height)) * (LETTER * widest + 0.6) if style.entries else 1.0
    count = math.ceil(panels / columns)
    figure = new_figure(max(_WIDTH, _PANEL * columns) + LETTER * names + beside, height * count)
    grid = figure.subplots(count, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for ax in grid[panels:]:
        ax.remove()
    return figure, grid[:panels]


def _legend_lines(style: _Style) -> int:
    return sum(text.count("\n") + 1 for text in style.entries) + 2


def _entries(height: float) -> int:
    """Lines of a legend that fit beside a plot."""
    return max(1, int(_ENTRIES_IN_A_COLUMN * height / _HEIGHT))


def _draw_panel(ax: Any, data: ReportData, style: _Style, points: Sequence[Point]) -> None:
    measure, rows = style.measure, bool(data.axes) and data.axes[0].values is None
    for line, colour in enumerate(style.colours()):
        own = [point for point in points if style.index is None or point.positions[style.index] == line]
        if own:
            _draw_line(ax, data, style, own, line, colour)
    digital = {point.digital[measure.name] for point in points if measure.name in point.digital}
    if len(digital) == 1:
        across = ax.axvline if rows else ax.axhline
        across(style.factor * digital.pop(), color="0.4", linestyle="--", linewidth=1, label="digital")
    _name_axes(ax, data, measure)


def _name_axes(ax: Any, data: ReportData, measure: Measure) -> None:
    value = f"{measure.label} ({measure.unit})" if measure.unit else measure.label
    if not data.axes:
        ax.set(xlabel="chip", ylabel=value)
        ax.xaxis.get_major_locator().set_params(integer=True)
        return
    axis = data.axes[0]
    if axis.values is None:
        ax.set_yticks(range(len(axis.labels)), list(map(folded, axis.labels)))
        ax.set_ylim(len(axis.labels) - 0.5, -0.5)
        ax.set_xlabel(folded(value))
        return
    ax.set(xlabel=folded(axis.name), ylabel=folded(value))
    if min(axis.values) > 0 and max(axis.values) > _DECADES * min(axis.values):
        ax.set_xscale("log")


def _draw_line(ax: Any, data: ReportData, style: _Style, points: list[Point], line: int, colour: Any) -> None:
    """Means, standard deviations and single chips of one line; positions that are names go downwards."""
    name, look = style.measure.name, {"color": colour, "marker": _MARKERS[line % len(_MARKERS)], "markersize": 5}
    if not data.axes:
        values = style.factor * np.asarray(points[0].analog[name])
        ax.plot(points[0].seeds, values, linestyle="none", label=style.name(line), **look)
        return
    axis = data.axes[0]
    points = sorted(points, key=lambda point: point.positions[0])
    found = [point.spread(name) for point in points]
    shift = 0.0 if axis.values else 0.7 * ((line + 0.5) / style.count - 0.5)
    places = [axis.values[p.positions[0]] if axis.values else p.positions[0] + shift for p in points]
    means, errors = ([style.factor * (value or 0.0) for value in row] for row in
                     ([each.mean for each in found], [each.std for each in found]))  # fmt: skip
    each_chip = [
        (place, style.factor * value) for place, own in zip(places, found, strict=True) for value in own.values
    ]
    single = [list(column) for column in zip(*each_chip, strict=True)]
    if axis.values:
        ax.errorbar(places, means, yerr=errors, fmt="none", ecolor=colour, capsize=3)
        ax.plot(places, means, linestyle="-", label=style.name(line), **look)
        ax.plot(*single, ".", color=colour, alpha=0.4)
    else:
        ax.errorbar(means, places, xerr=errors, fmt="none", ecolor=colour, capsize=2)
        ax.plot(means, places, linestyle="none", label=style.name(line), **look)
        ax.plot(*reversed(single), ".", color=colour, alpha=0.4)


def _explain(figure: Figure, grid: Sequence[Any], style: _Style) -> None:
    """A legend beside the plots, or a colour scale; never on them."""
    handles: dict[str, Any] = {}
    for ax in grid:
        handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True)) | handles
    digital = {"digital": handles.pop("digital")} if "digital" in handles else {}
    if style.axis is not None and style.is_scale:
        _colour_scale(figure, grid, style, style.axis)
        handles, title, texts = {}, None, []
    elif style.axis is not None:
        title, known = (
            folded(style.axis.name),
            {style.name(line): folded(label) for line, label in enumerate(style.axis.labels)},
        )
        texts = [known[name] for name in handles]
    else:
        title, texts = None, list(handles)
    if handles or digital:
        columns = math.ceil(_legend_lines(style) / _entries(figure.get_figheight()))
        figure.legend(
            [*handles.values(), *digital.values()], [*texts, *digital], title=title, ncols=columns,
            loc="outside right upper" if handles else "outside lower center", fontsize="small", title_fontsize="small",
        )  # fmt: skip


def _colour_scale(figure: Figure, grid: Sequence[Any], style: _Style, axis: Axis) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    count = style.count
    colours = ScalarMappable(BoundaryNorm(np.arange(count + 1) - 0.5, count), ListedColormap(style.colours()))
    ticks = range(0, count, math.ceil(count / _ENTRIES_IN_A_COLUMN))
    bar = figure.colorbar(colours, ax=list(grid), ticks=list(ticks), label=folded(axis.name, 50))
    bar.set_ticklabels([axis.labels[tick] for tick in ticks])


def _budget_figure(data: ReportData, measure: Measure) -> Figure:
    """What each variant of the hardware loses, as bars."""
    found = [(loss(data, point, measure), point.label) for point in data.points if measure.name in point.analog]
    known = sorted((one for one in found if math.isfinite(one[0])), key=lambda one: -one[0])
    figure, ax = rows_figure([name for _, name in known], data.title)
    bars = ax.barh(range(len(known)), [value for value, _ in known])
    ax.bar_label(bars, [f"{value:.3g}" for value, _ in known], padding=2, fontsize="small")
    ax.margins(x=0.12)
    ax.set_xlabel(folded(loss_label(measure)))
    return figure
