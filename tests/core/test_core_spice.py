"""Cores as netlists: results rebuilt from the currents ngspice finds are those of the core."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from core_hardware import STYLES, core_on, hardware

from crossohm import AnalogCore, CrossOhmError, UnsupportedError
from crossohm.chain.lowering.inputs import build_drive
from crossohm.chain.operation import Operation
from crossohm.errors import DataError, InputError, ShapeError
from crossohm.mapping import build_mapping

RNG = np.random.default_rng(12)
MATRIX = RNG.normal(size=(6, 5))
X = {"mvm": RNG.uniform(-1, 1, 5), "vmm": RNG.uniform(-1, 1, 6)}
WIRES = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 30.0,
    "xbar.array.parasitics.Rp_col": 50.0,
    "xbar.array.parasitics.Rp_row_terminal": 200.0,
    "xbar.array.parasitics.Rp_col_terminal": 100.0,
}
PARTS = {"core.rows_max": 4, "core.cols_max": 3}
SLICED_INPUTS = {
    "xbar.dac.mvm.bits": 4,
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.input_bitslicing": True,
    "xbar.dac.mvm.slice_size": 1,
}
GATED = {**SLICED_INPUTS, "xbar.array.parasitics.current_from_input": False}


def simulate(ngspice: str, file: Path) -> np.ndarray:
    """Ammeter currents in ampere, in the order of the output lines."""
    done = subprocess.run([ngspice, "-b", str(file)], capture_output=True, text=True, timeout=60, check=True)
    found = dict(re.findall(r"^i\(vout(\d+)\) = (\S+)$", done.stdout, re.MULTILINE))
    assert found, done.stdout + done.stderr
    return np.array([float(found[str(i)]) for i in range(len(found))])


def decoded(core: AnalogCore, operation: str, ngspice: str, files: list[Path]) -> np.ndarray:
    """Result of one set of netlists in the matrix's units, for unit input scale; without digital offsets."""
    device, mapping, record = core.params.xbar.device, build_mapping(core.params), core.blocks[0].record
    parts = record.row_parts if operation == "mvm" else record.column_parts
    y = np.zeros(core.shape[0 if operation == "mvm" else 1])
    for file in files:
        found = re.fullmatch(rf"core_{operation}_array(\d+)_(\d+)_slice(\d+)(_\w+?)?(_input\d+)?\.cir", file.name)
        assert found, file.name
        part = parts[int(found[1 if operation == "mvm" else 2])]
        currents = simulate(ngspice, file) * device.Rmin / device.Vread
        if record.units:
            currents = currents[1:] - currents[0]
        y[part] += mapping.coefficients[int(found[3]), int(found[4] == "_minus")] * currents
    return y * core.max


CASES = {
    "balanced": ("balanced", {}),
    "partitions": ("balanced", PARTS),
    "interleaved": ("interleaved", PARTS),
    "unit column": ("unit-column", {}),
    "unit column, partitions": ("unit-column", PARTS),
    "sliced": ("sliced-balanced", {}),
    "sliced, some without wires": ("sliced-balanced", {"xbar.array.parasitics.disable_slices": [1]}),
    "sliced unit column": ("sliced-unit-column", {}),
    "no wires": ("balanced", {"xbar.array.parasitics.enable": False}),
    "input range": ("balanced", {"core.mapping.inputs.mvm.min": -0.6, "core.mapping.inputs.mvm.max": 0.6,
                                 "core.mapping.inputs.mvm.clipping": True}),
}  # fmt: skip


@pytest.mark.parametrize("operation", ["mvm", "vmm"])
@pytest.mark.parametrize("case", CASES)
def test_netlists_together_are_the_core(case: str, operation: str, ngspice: str, tmp_path: Path) -> None:
    style, extra = CASES[case]
    core, x = core_on(MATRIX, STYLES[style], WIRES, extra), X[operation]
    exact = core @ x if operation == "mvm" else x @ core
    y = decoded(core, operation, ngspice, core.to_spice(tmp_path, x, operation))
    y *= build_drive(core.params, Operation(operation)).scale
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("operation", ["mvm", "vmm"])
@pytest.mark.parametrize(
    "extra",
    [{}, PARTS, {"core.rows_max": 9, "core.cols_max": 9, "xbar.array.parasitics.selected_rows": "bottom"}],
    ids=["one array", "partitions", "unused rows"],
)
@pytest.mark.parametrize("style", ["balanced", "interleaved", "unit-column"])
def test_input_slices_of_gated_arrays_together_are_the_core(
    style: str, extra: dict[str, Any], operation: str, ngspice: str, tmp_path: Path
) -> None:
    core, x = core_on(MATRIX, STYLES[style], WIRES, GATED, extra), X[operation]
    exact = core @ x if operation == "mvm" else x @ core
    weights = build_drive(core.params, Operation(operation)).dac.plane_weights
    y = sum(
        weight * decoded(core, operation, ngspice, core.to_spice(tmp_path, x, operation, input_slice=k))
        for k, weight in enumerate(weights)
    )
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=1e-6)


def test_arrays_with_hardware_of_their_own(ngspice: str, tmp_path: Path) -> None:
    params = [hardware(STYLES["balanced"], WIRES, PARTS, {"xbar.device.Rmin": r}) for r in (1e3, 2e3, 4e3, 8e3)]
    core = AnalogCore(MATRIX, params, seed=1)
    y = np.zeros(6)
    for file in core.to_spice(tmp_path, X["mvm"]):
        found = re.fullmatch(r"core_mvm_array(\d)_(\d)_slice0_(plus|minus)\.cir", file.name)
        assert found
        block = core.blocks[2 * int(found[1]) + int(found[2])]
        sign = build_mapping(block.params).coefficients[0, int(found[3] == "minus")]
        y[block.rows] += sign * simulate(ngspice, file) * block.params.xbar.device.Rmin / block.params.xbar.device.Vread
    np.testing.assert_allclose(y * core.max, core @ X["mvm"], rtol=1e-5, atol=1e-6)


# --- files ------------------------------------------------------------------------------------------------------------


def test_one_file_per_network_with_a_heading(tmp_path: Path) -> None:
    core = AnalogCore(MATRIX, hardware(STYLES["balanced"], WIRES, PARTS), seed=1, name="layer 1/fc")
    files = core.to_spice(tmp_path / "new" / "folder", X["mvm"])
    assert [f.name for f in files] == [
        f"layer_1_fc_mvm_array{r}_{c}_slice0_{sign}.cir" for r in (0, 1) for c in (0, 1) for sign in ("plus", "minus")
    ]
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(files)
    first, *rest = files[-1].read_text(encoding="utf-8").splitlines()[:5]
    assert first == f"* array {core.arrays[-1].name}"
    assert rest == [
        "* core layer 1/fc, seed 1, core @ x, partition (1, 1)",
        "* input lines: matrix columns from 2 on",
        "* output lines: matrix rows from 3 on",
        "* normalised current 1 = v_read / r_min = 0.1 V / 1000.0 ohm = 0.0001 A",
    ]


def test_interleaved_pairs_share_a_file(tmp_path: Path) -> None:
    core = core_on(MATRIX, STYLES["interleaved"], WIRES)
    (file,) = core.to_spice(tmp_path, X["mvm"])
    assert file.name == "core_mvm_array0_0_slice0_pair.cir"
    assert file.read_text(encoding="utf-8").startswith("* array core/array[0,0]/slice0/+-\n")


def test_heading_names_unit_line_input_slice_and_missing_noise(tmp_path: Path) -> None:
    noise = {"xbar.device.read_noise.enable": True, "xbar.device.read_noise.model": "NormalProportionalDevice"}
    core = core_on(MATRIX, STYLES["unit-column"], SLICED_INPUTS, noise)
    (file,) = core.to_spice(tmp_path, X["vmm"], "vmm", input_slice=1)
    text = file.read_text(encoding="utf-8")
    assert "* output lines: line 0 is the unit line, then matrix columns from 0 on" in text
    assert "* input slice 1 of 3, weight 0.285714286 in the input" in text
    assert "* conductances without read noise" in text


def test_writing_twice_gives_the_same_and_torch_inputs_too(tmp_path: Path) -> None:
    core = core_on(MATRIX, STYLES["balanced"], WIRES)
    first = [f.read_text(encoding="utf-8") for f in core.to_spice(tmp_path, X["mvm"])]
    again = [f.read_text(encoding="utf-8") for f in core.to_spice(tmp_path, torch.tensor(X["mvm"]))]
    assert first == again


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        (np.ones(6), {}, ShapeError, r"x has shape \(6,\).*\(5,\)"),
        (np.ones((1, 5)), {}, ShapeError, r"x has shape \(1, 5\)"),
        (np.ones(5), {"operation": "vmm"}, ShapeError, r"\(6,\)"),
        (np.ones(5), {"operation": "MVM"}, CrossOhmError, "pass 'mvm'"),
        (np.ones(5) * 1j, {}, InputError, "complex128"),
        (["a"] * 5, {}, InputError, "real numbers"),
        (np.full(5, np.nan), {}, InputError, "NaN"),
        (np.ones(5), {"input_slice": 0}, CrossOhmError, "input_bitslicing is False"),
    ],
)
def test_refused_inputs(x: Any, options: dict[str, Any], error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        core_on(MATRIX, WIRES).to_spice(tmp_path / "none", x, **options)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("input_slice", [None, -1, 3, True, 0.0])
def test_sliced_inputs_need_the_choice_of_a_slice(input_slice: Any, tmp_path: Path) -> None:
    with pytest.raises(CrossOhmError, match="0 to 2"):
        core_on(MATRIX, SLICED_INPUTS).to_spice(tmp_path, X["mvm"], input_slice=input_slice)


def test_refused_hardware(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="complex"):
        core_on(MATRIX, {"core.complex_matrix": True}).to_spice(tmp_path, X["mvm"])
    law = {"xbar.device.nonlinear_IV.enable": True, "xbar.device.nonlinear_IV.model": "RRAMMilo"}
    with pytest.raises(UnsupportedError, match="linear"):
        core_on(MATRIX, {**law, "xbar.device.Vread": 0.2, "xbar.device.Rmin": 5e3}).to_spice(tmp_path, X["mvm"])


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    for folder in ("taken", "taken/below"):
        with pytest.raises(DataError, match="is a file"):
            core_on(MATRIX).to_spice(tmp_path / folder, X["mvm"])
