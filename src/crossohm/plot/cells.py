"""Pictures of cells described by tables of measurements, and of the models that come close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from crossohm.devices.tables.fit import Fit, measured
from crossohm.devices.tables.forms import CurrentTable, RetentionTable, RoleTable

#: Width and height of a panel, inch.
PANEL = (5.6, 4.0)
#: Lines of the models that are drawn.
_STYLES = ("-", "--", ":")


def fit_figure(table: RoleTable, found: Sequence[Fit]) -> Figure:
    """A table and the models that come closest to it.

    Over the conductance that is asked for, its error and deviation, a curve for each time; or currents over voltages, a
    curve for each state. Points are measured, lines are models.

    Args:
        table: The measurements.
        found: Models, the best first; `crossohm.devices.tables.fit.fits`.
    """
    target = measured(table)
    shown = [(fit.model, fit.curves) for fit in found if fit.curves is not None][: len(_STYLES)]
    titles = ("Current (parts of the largest ohmic one)",) if len(target) == 1 else ("Mean error", "Standard deviation")
    figure = Figure(figsize=(PANEL[0] * len(titles), PANEL[1]), layout="constrained")
    for panel, (axes, title) in enumerate(zip(figure.subplots(1, len(titles), squeeze=False)[0], titles, strict=True)):
        x, rows = _curves(table, target[panel])
        for row, (values, label) in enumerate(rows):
            axes.plot(x, values, "o", color=f"C{row % 10}", ms=4, label=label)
            for style, (model, curves) in zip(_STYLES, shown, strict=False):
                curve = _curves(table, curves[panel])[1][row][0]
                axes.plot(x, curve, style, color=f"C{row % 10}", lw=1, label=None if row else model)
        per_state = isinstance(table, CurrentTable)
        axes.set(title=title, xlabel="V" if per_state else "conductance (uS)")
        axes.legend(fontsize="small")
    figure.supylabel("" if len(target) == 1 else "parts of the highest conductance")
    return figure


def _curves(table: RoleTable, values: Any) -> tuple[Any, list[tuple[Any, str]]]:
    """What is drawn over what: places, and values and label of each curve."""
    if isinstance(table, CurrentTable):
        labels = [f"{1e6 * state:.4g} uS" for state in table.states]
        return table.voltages, list(zip(values.T, labels, strict=True))
    times = [f"{time:g} {table.unit}" for time in table.times] if isinstance(table, RetentionTable) else ["measured"]
    return 1e6 * table.states, list(zip(values, times, strict=True))
