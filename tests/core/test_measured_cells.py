"""Cells described by tables: named in files and studies, kept with the hardware, the same in every array library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from crossohm import AnalogCore, CrossSimParameters, ParameterError
from crossohm.errors import StudyError
from crossohm.params import Measurements
from crossohm.studies import load_study, run_study

MATRIX = np.random.default_rng(1).normal(size=(6, 9))
X = np.random.default_rng(2).uniform(-1, 1, (9, 3))
TABLES = {
    "programming_error": "conductance_uS,mean_uS,sd_uS\n1,2,0.5\n50,51,1\n100,99,2\n",
    "drift_error": "time_h,conductance_uS,mean_uS,sd_uS\n1,1,1,0\n1,100,98,1\n10,1,2,0\n10,100,90,2\n",
    "read_noise": "conductance_uS,sd_uS\n1,0.1\n100,1\n",
    "nonlinear_IV": "conductance_uS,voltage_V,current_uA\n1,0.1,0.11\n100,0.1,10.5\n1,0.2,0.25\n100,0.2,22\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for role, text in TABLES.items():
        (tmp_path / f"{role}.csv").write_text(text)
    return tmp_path


def measured(*roles: str, beside: str = "") -> dict[str, object]:
    device: dict[str, object] = {"Rmin": 1e4, "Rmax": 1e6, "Vread": 0.2, "time": 3.0 if "drift_error" in roles else 0.0}
    return device | {role: {"enable": True, "model": "table", "path": f"{beside}{role}.csv"} for role in roles}


def test_a_file_names_tables_beside_it(folder: Path) -> None:
    (folder / "chip.json").write_text(json.dumps({"xbar": {"device": measured("read_noise")}}))
    params = CrossSimParameters.from_json(folder / "chip.json")
    found = params.xbar.device.read_noise.path
    assert found == Measurements(TABLES["read_noise"])
    assert found.name == "read_noise.csv"
    assert params == CrossSimParameters(xbar={"device": measured("read_noise", beside=f"{folder}/")})


@pytest.mark.parametrize("write", ["to_json", "to_yaml"])
def test_descriptions_are_saved_with_what_was_measured(folder: Path, tmp_path: Path, write: str) -> None:
    params = CrossSimParameters(xbar={"device": measured(*TABLES, beside=f"{folder}/")})
    getattr(params, write)(tmp_path / "saved")
    for role in TABLES:
        (folder / f"{role}.csv").unlink()
    assert getattr(CrossSimParameters, write.replace("to", "from"))(tmp_path / "saved") == params


def test_a_path_that_is_not_used_is_not_written() -> None:
    assert "path" not in CrossSimParameters().as_dict()["xbar"]["device"]["read_noise"]


@pytest.mark.parametrize("role", TABLES)
def test_chips_travel_without_the_files(folder: Path, role: str) -> None:
    core = AnalogCore(MATRIX, CrossSimParameters(xbar={"device": measured(role, beside=f"{folder}/")}), seed=3)
    (folder / f"{role}.csv").unlink()
    twin = AnalogCore.from_bytes(core.to_bytes(), "chip")
    assert not np.allclose(core @ X, MATRIX @ X)
    np.testing.assert_array_equal(*((c.matmul(X, rng=np.random.default_rng(5))) for c in (core, twin)))
    for each in (core, twin):
        each.set_matrix(MATRIX[::-1])
    np.testing.assert_array_equal(twin.get_matrix(), core.get_matrix())


@pytest.mark.parametrize("library", ["torch", "jax.numpy", "tensorflow"])
@pytest.mark.parametrize("role", TABLES)
def test_libraries_agree(folder: Path, role: str, library: str) -> None:
    xp = pytest.importorskip(library)
    params = CrossSimParameters(xbar={"device": measured(role, beside=f"{folder}/")})
    core = AnalogCore(MATRIX.astype("float32"), params)
    x = X.astype("float32")
    convert = {"torch": "from_numpy", "jax.numpy": "asarray", "tensorflow": "constant"}
    found = np.asarray(core @ getattr(xp, convert[library])(x))
    expected = core @ x
    close = 0.2 if role == "read_noise" else 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=close)


def test_a_table_without_the_cells_of_the_hardware_is_refused(folder: Path) -> None:
    params = CrossSimParameters(xbar={"device": measured("programming_error", beside=f"{folder}/") | {"Rmax": 1e8}})
    with pytest.raises(ParameterError, match=r"xbar\.device\.Rmax .* 0\.01 uS, lies outside"):
        AnalogCore(MATRIX, params)


def study() -> dict[str, object]:
    tree = {"enable": True, "model": "table", "path": "programming_error.csv"}
    settings = {"xbar.device.Rmin": 1e4, "xbar.device.Rmax": 1e6, "xbar.device.programming_error": tree}
    return {
        "dataset": {"name": "digits", "images": 20},
        "hardware": {"base": "default", "set": settings},
        "calibration": {"inputs": False, "adc": False},
        "repeats": 1,
        "sweep": {"grid": {"xbar.device.programming_error.path": ["programming_error.csv", "bad.csv"]}},
    }


def test_studies_sweep_over_tables_beside_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad.csv").write_text("conductance_uS,sd_uS\n1,30\n100,60\n")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    results = run_study(load_study(study(), folder=folder), folder / "results")
    good, bad = (results.points[number][0].output_snr for number in (0, 1))
    assert good > bad


def test_studies_say_where_a_table_is_missing(folder: Path) -> None:
    with pytest.raises(StudyError, match=r"programming_error\.path = 'bad\.csv': .*bad\.csv: no such file"):
        load_study(study(), folder=folder)
