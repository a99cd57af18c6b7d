"""Pictures of devices known by tables of their pulses, and of the ramps that tables are made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from crossohm.training.tables import PulseTable, Ramp

#: Width and height of a panel, inch.
PANEL = (5.6, 4.0)
#: Changes between the least and the largest at which distributions are drawn.
_CHANGES = 40
#: Conductances whose distributions are drawn as curves.
_CURVES = 11
#: Probabilities between which the spread of a step is shown.
_SPREAD = (0.16, 0.84)


def ramp_figures(set_ramps: Sequence[Ramp], reset_ramps: Sequence[Ramp]) -> dict[str, Figure]:
    """What was measured: the conductance over the pulses of each ramp, and its change over the conductance before.

    Args:
        set_ramps: Conductances after successive pulses that raise it, siemens.
        reset_ramps: The same of pulses that lower it.

    Returns:
        The figures ``"ramps"`` and ``"G_vs_dG"``.
    """
    ramps, panels = _panels("Ramps")
    changes, scatter = _panels("Changes of single pulses")
    for axes, points, found in zip(panels, scatter, (set_ramps, reset_ramps), strict=True):
        for ramp in found:
            axes.plot(ramp, lw=0.8)
        before = np.concatenate([ramp[:-1] for ramp in found])
        points.plot(before, np.concatenate([np.diff(ramp) for ramp in found]), ".", ms=2)
        axes.set(xlabel="pulse", ylabel="G (S)")
        points.set(xlabel="G before the pulse (S)", ylabel="dG (S)")
        _engineering(axes.yaxis, points.xaxis, points.yaxis)
    return {"ramps": ramps, "G_vs_dG": changes}


def table_figures(table: PulseTable) -> dict[str, Figure]:
    """A table in pictures, SET beside RESET.

    Args:
        table: The device.

    Returns:
        ``"table"``, the change over conductance and probability; ``"mean"``, its mean and the range of the middle two
        thirds; ``"curves"``, distributions at some conductances; ``"G_vs_CDF"``, the cumulative probability over
        conductance and change; ``"density"``, the probability of a change, per fortieth of their range.
    """
    draw = {
        "table": (_draw_table, "Change of one pulse"),
        "mean": (_draw_mean, "Mean change of one pulse, and where two thirds of the changes lie"),
        "curves": (_draw_curves, "Distribution of the change at some conductances"),
        "G_vs_CDF": (_draw_distribution, "Cumulative probability of a change"),
        "density": (_draw_density, "Probability of a change"),
    }
    figures = {}
    for name, (panel, title) in draw.items():
        figures[name], panels = _panels(f"{title}: {table.title.strip()[:60]}" if table.title.strip() else title)
        for axes, changes in zip(panels, (table.increasing, table.decreasing), strict=True):
            panel(figures[name], axes, table, changes)
    return figures


def _panels(title: str) -> tuple[Figure, tuple[Any, Any]]:
    """A figure with a panel for SET and one for RESET."""
    figure = Figure(figsize=(2 * PANEL[0], PANEL[1]), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, name in zip(panels, ("SET", "RESET"), strict=True):
        axes.set_title(name)
    figure.suptitle(title)
    return figure, tuple(panels)


def _draw_table(figure: Figure, axes: Any, table: PulseTable, changes: np.ndarray) -> None:
    mesh = axes.pcolormesh(table.g, table.cdf, changes, cmap="RdYlBu", shading="nearest", rasterized=True)
    axes.set(xlabel=_label("G", table), ylabel="cumulative probability")
    _scaled(table, axes.xaxis)
    figure.colorbar(mesh, ax=axes, label=_label("dG", table), format=EngFormatter() if table.siemens else None)


def _draw_mean(_: Figure, axes: Any, table: PulseTable, changes: np.ndarray) -> None:
    low, high = (_quantile(table, changes, part) for part in _SPREAD)
    axes.fill_between(table.g, low, high, alpha=0.3)
    axes.plot(table.g, np.trapezoid(changes, table.cdf, axis=0))
    axes.axhline(0, color="0.6", lw=0.8)
    axes.set(xlabel=_label("G", table), ylabel=_label("dG", table))
    _scaled(table, axes.xaxis, axes.yaxis)


def _draw_curves(_: Figure, axes: Any, table: PulseTable, changes: np.ndarray) -> None:
    formatted = EngFormatter("S", places=1) if table.siemens else "{:.3g}".format
    chosen = np.unique(np.linspace(0, table.g.size - 1, _CURVES).round().astype(int))
    for column, color in zip(chosen, colormaps["viridis"](np.linspace(0, 0.9, chosen.size)), strict=True):
        axes.plot(changes[:, column], table.cdf, lw=0.9, color=color, label=formatted(table.g[column]))
    axes.set(xlabel=_label("dG", table), ylabel="cumulative probability")
    axes.legend(title="G", fontsize="x-small")
    _scaled(table, axes.xaxis)


def _draw_distribution(figure: Figure, axes: Any, table: PulseTable, changes: np.ndarray) -> None:
    levels, found = _distribution(table, changes)
    mesh = axes.pcolormesh(table.g, levels, found, cmap="RdYlBu", vmin=0, vmax=1, shading="nearest", rasterized=True)
    _label_map(axes, table)
    figure.colorbar(mesh, ax=axes, label="cumulative probability")


def _draw_density(figure: Figure, axes: Any, table: PulseTable, changes: np.ndarray) -> None:
    levels, found = _distribution(table, changes)
    shares = np.diff(found, axis=0)
    middles = (levels[1:] + levels[:-1]) / 2
    mesh = axes.pcolormesh(table.g, middles, shares, cmap="viridis", vmin=0, shading="nearest", rasterized=True)
    _label_map(axes, table)
    figure.colorbar(mesh, ax=axes, label="probability")


def _distribution(table: PulseTable, changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Changes, and the probability that one pulse stays below each at every conductance."""
    levels = np.linspace(changes.min(), changes.max(), _CHANGES + 1)
    columns = [np.interp(levels, np.sort(column), table.cdf, left=0, right=1) for column in changes.T]
    return levels, np.stack(columns, axis=1)


def _quantile(table: PulseTable, changes: np.ndarray, part: float) -> np.ndarray:
    return np.array([np.interp(part, table.cdf, column) for column in changes.T])


def _label_map(axes: Any, table: PulseTable) -> None:
    axes.set(xlabel=_label("G", table), ylabel=_label("dG", table))
    _scaled(table, axes.xaxis, axes.yaxis)


def _label(name: str, table: PulseTable) -> str:
    return f"{name} (S)" if table.siemens else name


def _scaled(table: PulseTable, *axes: Any) -> None:
    if table.siemens:
        _engineering(*axes)


def _engineering(*axes: Any) -> None:
    for axis in axes:
        axis.set_major_formatter(EngFormatter())
