"""Voltages and currents inside arrays: Kirchhoff's laws with the hardware's resistances, and the core's results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core_hardware import STYLES, core_on

from crossohm import AnalogCore, CrossOhmError, MissingDependencyError, UnsupportedError, plot
from crossohm.chain import OperatingPoint, operating_point
from crossohm.chain.lowering.inputs import build_drive
from crossohm.chain.operation import Operation
from crossohm.mapping import build_mapping

RNG = np.random.default_rng(31)
MATRIX = RNG.normal(size=(6, 5))
X = {"mvm": RNG.uniform(-1, 1, 5), "vmm": RNG.uniform(-1, 1, 6)}
OHM = {"Rp_row": 3.0, "Rp_col": 5.0, "Rp_row_terminal": 20.0, "Rp_col_terminal": 10.0}
WIRES = {
    "xbar.array.parasitics.enable": True,
    **{f"xbar.array.parasitics.{name}": value for name, value in OHM.items()},
}
SLICED = {"model": "SignMagnitudeDAC", "bits": 4, "input_bitslicing": True}
GATED = {"xbar.array.parasitics.current_from_input": False, "xbar.dac": {"mvm": SLICED, "vmm": SLICED}}
LAW = {"xbar.device.nonlinear_IV": {"enable": True, "model": "CubicDevice"}, "xbar.device.Vread": 1.0}
PARTS = {"core.rows_max": 4, "core.cols_max": 3}


def dissipated(resistance: float, voltages: np.ndarray, currents: np.ndarray) -> None:
    """Ohm's law along segments: the difference of neighbouring voltages is R times the current between them."""
    np.testing.assert_allclose(-np.diff(voltages, axis=-1), resistance * currents, rtol=0, atol=1e-11)


@pytest.mark.parametrize("operation", ["mvm", "vmm"])
@pytest.mark.parametrize("cells", [{}, LAW], ids=["linear", "nonlinear"])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("style", ["balanced", "interleaved", "unit-column"])
def test_kirchhoff_and_ohm(style: str, gated: bool, cells: dict[str, Any], operation: str) -> None:
    core = core_on(MATRIX, STYLES[style], WIRES, cells, GATED if gated else {})
    point = operating_point(core, X[operation], operation, input_slice=1 if gated else None)
    along, across = ("row", "col") if operation == "mvm" else ("col", "row")
    net = point.cell_current.sum(axis=0)
    collected = np.cumsum(net, axis=1)
    dissipated(OHM[f"Rp_{across}"], point.output_lines, collected[:, :-1])
    end = OHM[f"Rp_{across}"] + OHM[f"Rp_{across}_terminal"]
    np.testing.assert_allclose(point.output_lines[:, -1], end * point.output_current, rtol=0, atol=1e-11)
    axis, source = (2, 0.0) if gated else (1, np.stack([point.applied, -point.applied])[: len(point.input_lines)])
    drawn = np.moveaxis(point.cell_current, axis, -1)[..., ::-1].cumsum(axis=-1)[..., ::-1]
    lines = np.moveaxis(point.input_lines, axis, -1)
    dissipated(OHM[f"Rp_{along}"], lines, drawn[..., 1:])
    first = OHM[f"Rp_{along}"] + OHM[f"Rp_{along}_terminal"]
    np.testing.assert_allclose(source - lines[..., 0], first * drawn[..., 0], rtol=0, atol=1e-11)
    assert np.abs(point.output_current - point.ideal_output_current).max() > 1e-6


@pytest.mark.parametrize("style", ["balanced", "unit-column"])
def test_cells_follow_their_conductance(style: str) -> None:
    core = core_on(MATRIX, STYLES[style], WIRES)
    point, siemens = operating_point(core, X["mvm"]), core.arrays[0].conductance / core.params.xbar.device.Rmin
    lines = slice(1 if point.has_unit_line else 0, None)
    np.testing.assert_allclose(point.cell_current[0, lines], siemens * point.cell_voltage[0, lines], rtol=1e-12)
    np.testing.assert_allclose(point.ideal_cell_current[0, lines], siemens * point.applied, rtol=1e-12)
    assert point.has_unit_line == (style == "unit-column")


def decoded(core: AnalogCore, points: list[tuple[OperatingPoint, int, int, slice]], operation: str) -> np.ndarray:
    """Result in the matrix's units of the operating points of all arrays."""
    device, mapping = core.params.xbar.device, build_mapping(core.params)
    y = np.zeros(core.shape[0 if operation == "mvm" else 1])
    for point, slice_, sign, part in points:
        currents = point.output_current * device.Rmin / device.Vread
        if point.has_unit_line:
            currents = currents[1:] - currents[0]
        y[part] += mapping.coefficients[slice_, sign] * currents
    return y * core.max * build_drive(core.params, Operation(operation)).scale


@pytest.mark.parametrize("operation", ["mvm", "vmm"])
@pytest.mark.parametrize("cells", [{}, LAW, {"xbar.array.parasitics.enable": False}], ids=["linear", "cubic", "ideal"])
@pytest.mark.parametrize("style", ["balanced", "interleaved", "unit-column", "sliced-balanced"])
def test_the_arrays_together_are_the_core(style: str, cells: dict[str, Any], operation: str) -> None:
    core, x = core_on(MATRIX, STYLES[style], WIRES, cells, PARTS), X[operation]
    record, interleaved = core.blocks[0].record, style == "interleaved"
    points = []
    for array in core.arrays:
        if interleaved and array.sign == "-":
            continue
        chosen = None if interleaved or not array.sign else array.sign
        where = {"partition": array.partition, "weight_slice": array.slice, "sign": chosen}
        point = operating_point(core, x, operation, **where)
        assert point.name == array.name + ("-" if interleaved else "")
        parts, index = (record.row_parts, 0) if operation == "mvm" else (record.column_parts, 1)
        points.append((point, array.slice, int(array.sign == "-"), parts[array.partition[index]]))
    exact = core @ x if operation == "mvm" else x @ core
    np.testing.assert_allclose(decoded(core, points, operation), exact, rtol=0, atol=1e-9)


def test_arrays_with_hardware_of_their_own() -> None:
    params = [core_on(MATRIX, WIRES, PARTS, {"xbar.array.parasitics.Rp_row": 2.0 * (k + 1)}).params for k in range(4)]
    core = AnalogCore(MATRIX, params, seed=1)
    points = [operating_point(core, X["mvm"], partition=p) for p in np.ndindex(2, 2)]
    assert [point.name for point in points] == [f"core/part{k}/array[0,0]/slice0/+" for k in range(4)]
    assert points[3].output_lines.shape == core.arrays[-1].conductance.shape


def test_what_does_not_exist_is_an_error() -> None:
    core = core_on(MATRIX, WIRES)
    with pytest.raises(CrossOhmError, match=r"partition=\(0, 3\).*core/array\[0,0\]/slice0/\+"):
        operating_point(core, X["mvm"], partition=(0, 3))
    with pytest.raises(CrossOhmError, match="sign='-'"):
        operating_point(core_on(MATRIX, STYLES["interleaved"], WIRES), X["mvm"], sign="-")
    with pytest.raises(UnsupportedError):
        operating_point(core_on(MATRIX + 1j, {"core.complex_matrix": True}), X["mvm"])


@pytest.mark.parametrize(
    ("style", "changes", "input_slice"),
    [("balanced", {}, None), ("interleaved", {}, None), ("unit-column", GATED, 0), ("balanced", LAW, None)],
)
@pytest.mark.parametrize("operation", ["mvm", "vmm"])
def test_a_figure_of_every_topology(
    style: str, changes: dict[str, Any], input_slice: int | None, operation: str, tmp_path: Path
) -> None:
    core = core_on(MATRIX, STYLES[style], WIRES, changes)
    figure = plot.ir_drop(core, X[operation], operation, input_slice=input_slice)
    panels = [axes for axes in figure.axes if axes.get_title()]
    bars = [axes for axes in figure.axes if not axes.get_title()]
    assert len(panels) == (8 if style == "interleaved" else 5)
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in panels)
    assert all("(V)" in axes.get_ylabel() or "%" in axes.get_ylabel() for axes in bars)
    assert "(A)" in panels[-1].get_ylabel()
    point = operating_point(core, X[operation], operation, input_slice=input_slice)
    drawn = [axes.images[0].get_array() for axes in panels if axes.images]
    assert any(np.array_equal(image, point.output_lines) for image in drawn)
    ideal, wired = (line.get_ydata() for line in panels[-1].lines)
    np.testing.assert_array_equal(ideal, point.ideal_output_current)
    np.testing.assert_array_equal(wired, point.output_current)
    figure.savefig(tmp_path / "ir_drop.png", dpi=20)
    assert (tmp_path / "ir_drop.png").stat().st_size > 0


def test_an_input_of_zeros_has_a_figure() -> None:
    assert plot.ir_drop(core_on(MATRIX, WIRES), np.zeros(5)).axes


def test_pyplot_is_not_involved() -> None:
    """No window can open, and no figure stays behind in pyplot."""
    code = "import sys, crossohm.plot; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_without_matplotlib_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.delitem(sys.modules, "crossohm.plot")
    with pytest.raises(MissingDependencyError, match=r"pip install 'crossohm\[plot\]'"):
        __import__("crossohm.plot")
