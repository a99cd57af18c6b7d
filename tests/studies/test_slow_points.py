"""What will take long is told before it starts: by the check, by runs and sweeps, and by calibration."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from crossohm.cli import app
from crossohm.errors import FailedChipsError
from crossohm.studies import calibrate_study, load_study, run_study

EXPLICIT = {"xbar.device.read_noise.enable": True, "simulation.read_noise_sampling": "explicit"}
NONLINEAR = {
    "xbar.array.parasitics": {"enable": True, "Rp_row": 0.1, "Rp_col": 0.1},
    "xbar.device.nonlinear_IV": {"enable": True, "model": "CubicDevice"},
}
NEVER = {"xbar.device.read_noise.enable": False}


def study(settings: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {
        "hardware": {"base": "rram-8bit", "set": settings},
        "dataset": {"images": 2},
        "calibration": {"images": 2},
        "repeats": 1,
        **sections,
    }


class Nothing:
    """An executor that computes nothing."""

    elsewhere = False

    def outcomes(self, units: Sequence[Any], folder: Path) -> Iterator[Any]:
        return iter(())


def told(settings: dict[str, Any], folder: Path, **sections: Any) -> list[str]:
    """Warnings before the first unit is computed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_study(load_study(study(settings, **sections)), folder, executor=Nothing())
    return [str(one.message) for one in caught if "takes long" in str(one.message)]


def test_a_study_says_at_its_start_what_will_take_long(tmp_path: Path) -> None:
    (message,) = told(EXPLICIT, tmp_path / "slow")
    assert "hardware takes long: every cell is evaluated for every input vector" in message
    assert "fast with simulation.read_noise_sampling = 'auto'" in message
    assert not told(NEVER, tmp_path / "fast")


def test_points_are_counted_and_every_reason_is_told_once(tmp_path: Path) -> None:
    sweep = {"grid": {"xbar.device.read_noise.enable": [False, True], "xbar.adc.mvm.bits": [6, 7, 8]}}
    (message,) = told({"simulation.read_noise_sampling": "explicit"}, tmp_path, sweep=sweep)
    assert message.endswith("(3 of 6 points)")


def test_layers_with_hardware_of_their_own_are_named(tmp_path: Path) -> None:
    hardware = {"base": "rram-8bit", "set": NEVER, "layers": {"*": {"set": EXPLICIT}}}
    (message,) = told({}, tmp_path, hardware=hardware)
    assert "hardware.layers.* takes long" in message
    hardware["layers"] = {"*": {"digital": True}}
    assert not told({}, tmp_path / "digital", hardware=hardware)


def test_nothing_is_told_where_nothing_is_left_to_do(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="takes long"):
        run_study(load_study(study(EXPLICIT)), tmp_path)
    assert not told(EXPLICIT, tmp_path)


def test_the_check_tells_and_stays_fine(tmp_path: Path) -> None:
    file = tmp_path / "slow.yaml"
    file.write_text("hardware:\n  base: rram-8bit\n  set:\n    xbar.device.read_noise.enable: true\n"
                    "    simulation.read_noise_sampling: explicit\n", encoding="utf-8")  # fmt: skip
    done = CliRunner().invoke(app, ["study", "check", str(file)])
    assert done.exit_code == 0, done.output
    assert "fine" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "takes long" in line]
    assert line.startswith(f"Warning: {file}, line 1: hardware takes long: ")


def test_studies_tell_before_they_compute_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Computed(Exception):
        pass

    def compute(*_: object) -> None:
        raise Computed

    monkeypatch.setattr("crossohm.studies.work.sweep.compute", compute)
    small = {"dataset": {"images": 2}, "calibration": {"images": 2}, "repeats": 1}
    slow = {**small, "hardware": {"set": EXPLICIT}}
    with pytest.warns(UserWarning, match="hardware takes long: every cell"), pytest.raises(FailedChipsError):
        run_study(load_study(slow), tmp_path / "slow")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FailedChipsError):
            run_study(load_study(small), tmp_path / "fast")


def test_calibration_tells_what_it_has_to_do_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs without read noise, which is therefore no reason, and with wires and nonlinear cells."""
    monkeypatch.setattr("crossohm.studies.work.session.Session.calibration", lambda *_: None)
    with pytest.warns(UserWarning, match="nonlinear cells on wires"):
        calibrate_study(load_study(study(NONLINEAR)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrate_study(load_study(study(EXPLICIT)))
