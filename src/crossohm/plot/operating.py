"""Pictures of what happens inside arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from crossohm.chain import AnalogCore, OperatingPoint, operating_point

#: Width and height of one panel, inch.
PANEL = (5.2, 3.2)

#: Title, label of the colour bar, values ``(lines, inputs)``, and True if the values are differences around zero.
_Map = tuple[str, str, np.ndarray, bool]


def ir_drop(
    core: AnalogCore,
    x: Any,
    operation: str = "mvm",
    *,
    partition: tuple[int, int] = (0, 0),
    weight_slice: int = 0,
    sign: Literal["+", "-"] | None = None,
    input_slice: int | None = None,
) -> Figure:
    """What wire resistance does to one array and one input vector, as a figure.

    Maps over output and input lines of the node voltages of both kinds of lines, of the voltage that each cell loses
    (V), and of the current it loses (per cent of the largest cell current without wires), and the output currents with
    and without wires. Interleaved pairs show both cells. `crossohm.chain.inspection.operating_point` has the numbers.

    Args:
        core: The core.
        x: Input vector in the user's units, ``(N,)`` for ``"mvm"`` or ``(M,)`` for ``"vmm"``.
        operation: ``"mvm"`` (``core @ x``) or ``"vmm"`` (``x @ core``).
        partition: Output and input partition of the array, as in ``core.arrays``.
        weight_slice: Weight slice of the array, 0 = least significant.
        sign: ``"+"`` or ``"-"`` where weights are pairs of arrays; None: the first. Interleaved pairs are one network.
        input_slice: With input bit slicing, the slice to apply, 0 = least significant; None without.

    Returns:
        The figure.

    Raises:
        CrossOhmError: As `crossohm.chain.inspection.operating_point`.
    """
    point = operating_point(
        core, x, operation, partition=partition, weight_slice=weight_slice, sign=sign, input_slice=input_slice
    )
    maps = list(_maps(point))
    pairs = len(point.input_lines) == 2
    rows = len(maps) // 2 + 1
    figure = Figure(figsize=(2 * PANEL[0], rows * PANEL[1]), layout="constrained")
    grid = figure.add_gridspec(rows, 2)
    for index, panel in enumerate(maps):
        _draw_map(figure, figure.add_subplot(grid[index // 2, index % 2]), panel)
    _draw_currents(figure.add_subplot(grid[-1, 1] if pairs else grid[-1, :]), point)
    slices = "" if input_slice is None else f", input slice {input_slice}"
    figure.suptitle(f"{point.name}, {'core @ x' if operation == 'mvm' else 'x @ core'}{slices}")
    return figure


def _maps(point: OperatingPoint) -> Iterator[_Map]:
    marks = (" of + cells", " of − cells") if len(point.input_lines) == 2 else ("",)
    line = "Supply line" if point.gated else "Input line"
    largest = np.abs(point.ideal_cell_current).max() or 1.0
    voltage_loss = _loss(point.ideal_cell_voltage, point.cell_voltage)
    current_loss = _loss(point.ideal_cell_current, point.cell_current) * 100 / largest
    outputs: _Map = ("Output line", "node voltage (V)", point.output_lines, False)
    for mark, values in zip(marks, point.input_lines, strict=True):
        yield line + mark, "node voltage (V)", values, False
    if len(marks) == 1:
        yield outputs
    for mark, values in zip(marks, voltage_loss, strict=True):
        yield "Voltage loss" + mark, "lost (V)", values, True
    for mark, values in zip(marks, current_loss, strict=True):
        yield "Current loss" + mark, "lost (% of the largest)", values, True
    if len(marks) == 2:
        yield outputs


def _loss(ideal: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """What is missing in the direction of the ideal value; negative where there is more of it, or should be none."""
    return np.asarray(np.where(ideal == 0, -np.abs(actual), np.sign(ideal) * (ideal - actual)))


def _draw_map(figure: Figure, axes: Any, panel: _Map) -> None:
    title, label, values, difference = panel
    reach = float(np.abs(values).max())
    limits = {"vmin": -reach, "vmax": reach, "cmap": "RdBu_r"} if difference and reach else {"cmap": "viridis"}
    image = axes.imshow(values, aspect="auto", interpolation="nearest", origin="upper", **limits)
    axes.set(title=title, xlabel="input", ylabel="output line")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    figure.colorbar(image, ax=axes, label=label, format=EngFormatter() if "(V)" in label else None)


def _draw_currents(axes: Any, point: OperatingPoint) -> None:
    lines = np.arange(len(point.output_current))
    axes.plot(lines, point.ideal_output_current, "o", mfc="none", label="without wires")
    axes.plot(lines, point.output_current, ".", label="with wires")
    axes.vlines(lines, point.output_current, point.ideal_output_current, color="0.7", zorder=0)
    label = "output line (0 = unit line)" if point.has_unit_line else "output line"
    axes.set(title="Output currents", xlabel=label, ylabel="current (A)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(EngFormatter())
    axes.legend()
