"""Pictures of what happens inside arrays, of devices known by tables, and of chips of cores.

The figures are `matplotlib.figure.Figure` objects outside of pyplot: nothing opens a window; save one with
``figure.savefig("ir_drop.png")`` or show it as the last value of a notebook cell.
"""

from __future__ import annotations

from crossohm.errors import MissingDependencyError

try:
    import matplotlib.figure  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingDependencyError("matplotlib", "plot", "crossohm.plot") from error

from crossohm.plot.cells import fit_figure
from crossohm.plot.chips import chip_figure
from crossohm.plot.operating import ir_drop
from crossohm.plot.pulses import ramp_figures, table_figures

__all__ = ["chip_figure", "fit_figure", "ir_drop", "ramp_figures", "table_figures"]
