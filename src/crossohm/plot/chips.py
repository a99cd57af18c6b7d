"""Pictures of chips of cores: what sits where."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from crossohm.chip import ResourceReport

#: Width and height of a core, inch.
_CORE = 0.42
#: Room beside and above the grid, inch.
_LEGEND, _TITLE = 2.4, 0.6
_FREE = "white"
#: How strong colours are: texts stay legible on them.
_TINT = 0.55


def chip_figure(report: ResourceReport) -> Figure:
    """The grid of a chip, a cell for each core: its stage by colour, its blocks (output, input) and its sign.

    Args:
        report: What `crossohm.chip.check` found; cores that have no place are not drawn.
    """
    rows, columns = report.chip.grid
    figure = Figure(figsize=(columns * _CORE + _LEGEND, rows * _CORE + _TITLE), layout="constrained")
    axes = figure.add_subplot(xlim=(0, columns), ylim=(rows, 0), aspect="equal", xticks=[], yticks=[])
    colours = {row.stage.name: (f"C{number % 10}", _TINT) for number, row in enumerate(report.stages)}
    taken = {(core.row, core.column): core for core in report.placement}
    for row in range(rows):
        for column in range(columns):
            core = taken.get((row, column))
            colour = _FREE if core is None else colours[core.stage]
            axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="0.6", lw=0.5))
            if core is not None:
                text = f"{core.block_out},{core.block_in}\n{core.sign.replace('-', '−')}".rstrip()
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=6)
    known = [Patch(facecolor=colour, edgecolor="0.6", label=name) for name, colour in colours.items()]
    axes.legend(handles=known, loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", frameon=False)
    axes.set_title(f"{report.physical_cores} of {report.chip.cores} cores", fontsize="medium")
    return figure
