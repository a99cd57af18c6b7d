"""A table of a known model is recognised; the command line checks tables, compares and draws them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from crossohm.cli import app
from crossohm.devices import DEVICES, ROLES, Cell, read_device_table
from crossohm.devices.tables import table_of
from crossohm.devices.tables.fit import fits
from crossohm.errors import DataError, UnknownNameError
from crossohm.params import Measurements

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "measured").glob("*.csv"))
STATES = np.linspace(1e-6, 20e-6, 6)


def role_of(path: Path) -> str:
    return next(role for role in ROLES if role.startswith(path.stem.split("_")[0]))


def noise_table(sd: np.ndarray) -> str:
    return "conductance_S,sd_S\n" + "".join(f"{g!r},{s!r}\n" for g, s in zip(STATES.tolist(), sd.tolist(), strict=True))


@pytest.mark.parametrize("law", ["Independent", "Proportional", "InverseProportional"])
@pytest.mark.parametrize("role", ["read_noise", "programming_error"])
def test_generic_models_are_recognised(law: str, role: str) -> None:
    g = STATES / STATES[-1]
    sd = 0.03 * {"Independent": np.ones(6), "Proportional": g, "InverseProportional": 1 / g}[law] * STATES[-1]
    best = fits(table_of(Measurements(noise_table(sd)), role))
    assert {best[0].model, best[1].model} == {f"Normal{law}Device", f"Uniform{law}Device"}
    normal = next(fit for fit in best if fit.model == f"Normal{law}Device")
    assert normal.magnitude == pytest.approx(0.03, rel=1e-6)
    assert normal.residual < 1e-9


def test_a_published_model_is_recognised() -> None:
    cell = Cell(1 / STATES[-1], STATES[0] / STATES[-1], 0.1)
    sd = DEVICES.create("SONOS", "").read_noise_std(STATES / STATES[-1], cell) * STATES[-1]
    best = fits(table_of(Measurements(noise_table(sd)), "read_noise"))[0]
    assert (best.model, best.magnitude) == ("SONOS", None)
    assert best.residual < 1e-12


def test_currents_are_recognised() -> None:
    cell, v = Cell(1 / STATES[-1], STATES[0] / STATES[-1], 1.0), np.linspace(0.2, 1, 5)
    rows = ["conductance_S,voltage_V,current_A"]
    for state in STATES:
        currents = DEVICES.create("CubicDevice", "").current(np.array(state / STATES[-1]), v, cell) * STATES[-1]
        rows += [f"{float(state)!r},{a!r},{b!r}" for a, b in zip(v.tolist(), currents.tolist(), strict=True)]
    best = fits(table_of(Measurements("\n".join(rows)), "nonlinear_IV"))
    assert best[0].model == "CubicDevice"
    assert best[0].residual < 1e-12
    assert next(fit for fit in best if fit.model == "RRAMMilo").problem


def test_files_that_are_none_say_so(tmp_path: Path) -> None:
    (tmp_path / "bytes.csv").write_bytes(b"conductance_uS,sd_uS\n\xff\n")
    with pytest.raises(DataError, match=r"bytes\.csv, line 2: not UTF-8"):
        read_device_table(tmp_path / "bytes.csv", "read_noise")
    with pytest.raises(DataError, match=r"no\.csv: cannot be read \(No such file"):
        read_device_table(tmp_path / "no.csv", "read_noise")
    with pytest.raises(UnknownNameError, match="drift_error"):
        read_device_table(tmp_path / "no.csv", "drift")


def crossohm_(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["device", *arguments])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_fine(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = crossohm_("check", str(path), "--role", role_of(path))
    assert done.exit_code == 0
    assert "fine" in done.stdout
    assert "Rmin >= 10000 ohm" in done.stdout
    done = crossohm_("fit", str(path), "--role", role_of(path), "--plot", str(tmp_path / "fit.png"))
    assert done.exit_code == 0, done.output
    assert "IdealDevice" in done.stdout or "CubicDevice" in done.stdout or "SONOS" in done.stdout
    assert (tmp_path / "fit.png").stat().st_size > 1000


def test_a_damaged_table_is_one_line_and_a_code(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("conductance_uS,sd_uS\n1,\n")
    done = crossohm_("check", str(tmp_path / "t.csv"), "--role", "read_noise")
    assert done.exit_code == 2
    assert "t.csv, line 2, column 2 (sd_uS)" in done.stderr
