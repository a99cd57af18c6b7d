"""A saved chip comes back bit for bit, from a file that runs no code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from core_hardware import hardware
from safetensors.numpy import save_file

from crossohm import AnalogCore, CrossSimParameters, DataError

MATRIX = np.random.default_rng(1).normal(size=(7, 11))
X = np.random.default_rng(2).uniform(-1, 1, (11, 4))
ERRORS = {
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalIndependentDevice",
    "xbar.device.programming_error.magnitude": 0.05,
    "xbar.adc.mvm.model": "RampADC",
    "xbar.adc.mvm.bits": 7,
    "xbar.adc.mvm.adc_range_option": "MAX",
    "xbar.adc.mvm.sigma_comparator": 0.02,
    "xbar.adc.mvm.sigma_capacitor": 0.05,
    "core.rows_max": 4,
    "core.cols_max": 3,
}
STYLES = {
    "balanced": {"core.style": "BALANCED"},
    "unit column": {"core.style": "OFFSET", "core.offset.style": "UNIT_COLUMN_SUBTRACTION"},
    "sliced": {"core.style": "BITSLICED", "core.weight_bits": 7, "core.bit_sliced.num_slices": 2},
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loaded_core_multiplies_bit_identically(tmp_path: Path, style: str, dtype: str) -> None:
    core = AnalogCore(MATRIX.astype(dtype), hardware(ERRORS, STYLES[style]), seed=5, name="fc")
    core[1:3, 2] = 0.25
    core.save(tmp_path / "core.safetensors")
    twin = AnalogCore.load(tmp_path / "core.safetensors")
    x = X.astype(dtype)
    np.testing.assert_array_equal(twin @ x, core @ x)
    np.testing.assert_array_equal(x[:7].T @ twin, x[:7].T @ core)
    np.testing.assert_array_equal(twin.get_matrix(), core.get_matrix())
    assert (twin.params, twin.seed, twin.name, twin.shape, twin.dtype) == (
        core.params, 5, "fc", core.shape, core.dtype,
    )  # fmt: skip
    for core_ in (core, twin):  # the next write draws the same new errors
        core_.set_matrix(MATRIX[::-1].astype(dtype))
    np.testing.assert_array_equal(twin.get_matrix(), core.get_matrix())


def test_complex_and_per_array_cores_survive(tmp_path: Path) -> None:
    core = AnalogCore(MATRIX + 1j * MATRIX[::-1], CrossSimParameters(core={"complex_matrix": True}), seed=1)
    core.save(tmp_path / "complex")
    np.testing.assert_array_equal(AnalogCore.load(tmp_path / "complex") @ X, core @ X)
    several = [hardware({"core.rows_max": 6, "xbar.device.Rmin": 1000.0 + i}) for i in range(2)]
    core = AnalogCore(MATRIX, several, seed=1)
    core.save(tmp_path / "several")
    np.testing.assert_array_equal(AnalogCore.load(tmp_path / "several") @ X, core @ X)


def test_files_that_are_no_core_are_named(tmp_path: Path) -> None:
    good = tmp_path / "good"
    AnalogCore(MATRIX, seed=1).save(good)
    broken = {
        "missing": None,
        "text": b"not a safetensors file",
        "short": good.read_bytes()[:-40],
    }
    for name, data in broken.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name):
            AnalogCore.load(tmp_path / name)
    save_file({"a": np.zeros(2)}, str(tmp_path / "other"))
    with pytest.raises(DataError, match="not a saved core"):
        AnalogCore.load(tmp_path / "other")
