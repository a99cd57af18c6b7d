"""``crossohm run`` with a trained network of fixed-size cores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossohm.cli import app

CORES = ["run", "--model", "eic_mnist_1bit", "--dataset", "mnist"]


@pytest.mark.slow
def test_three_modes_are_shown_and_kept(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every mode reads most digits; asked again, nothing that is there is simulated anew."""
    options = ["--data-dir", str(shared / "data" / "mnist"), "--images", "60", "--output", str(tmp_path), "--json"]
    asked = [*CORES, *options, "--set", "xbar.device.cell_bits=3", "--draws"]
    done = CliRunner().invoke(app, [*asked, "1"])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "results.json").read_bytes())
    assert json.loads(done.stdout) == found
    modes = {mode["mode"]: mode for mode in found["modes"]}
    assert list(modes) == ["ideal", "noisy", "device", "device, calibrated"]
    assert [len(mode["accuracies"]) for mode in modes.values()] == [1, 8, 1, 1]
    for mode in modes.values():
        assert 0.9 < mode["worst"] <= mode["mean"] <= 1

    for name in ("evaluate", "on_chip"):
        monkeypatch.setattr(f"crossohm.flax.{name}", None)
    again = CliRunner().invoke(app, [*asked, "1"])
    assert json.loads(again.stdout) == found
    assert isinstance(CliRunner().invoke(app, [*asked, "2"]).exception, TypeError), "one chip more has to be made"
    other = CliRunner().invoke(app, [*asked, "1", "--seed", "2"])
    assert "another study" in str(other.exception) + other.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*CORES, "--top-k", "2"], "--top-k"),
        (["run", "--model", "eic_mnist", "--dataset", "digits"], "mnist"),
        ([*CORES, "--draws", "0"], "--draws"),
        ([*CORES, "--hardware", "rram-8bit"], "xbar.adc.mvm.bits"),
    ],
)
def test_what_does_not_apply_is_refused_before_anything_is_written(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*options, "--data-dir", str(shared / "data" / "mnist")])
    assert done.exit_code != 0
    assert message in str(done.exception) + done.output
    assert not list(tmp_path.iterdir())
