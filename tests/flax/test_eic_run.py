"""``crossohm run`` with a trained network of fixed-size cores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossohm.cli import app

CORES = ["run", "--model", "eic_mnist_1bit", "--dataset", "mnist"]


def test_three_modes_are_shown_and_written(shared: Path, tmp_path: Path) -> None:
    """Chips of perfect pairs without comparator noise would be the network; here every mode reads most digits."""
    path = tmp_path / "found.json"
    options = ["--data-dir", str(shared / "data" / "mnist"), "--images", "60", "--draws", "1", "--output", str(path)]
    done = CliRunner().invoke(app, [*CORES, *options, "--set", "xbar.device.cell_bits=3", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_bytes())
    assert json.loads(done.stdout) == found
    modes = {mode["mode"]: mode for mode in found["modes"]}
    assert list(modes) == ["ideal", "noisy", "device", "device, calibrated"]
    assert [len(mode["accuracies"]) for mode in modes.values()] == [1, 8, 1, 1]
    for mode in modes.values():
        assert 0.9 < mode["worst"] <= mode["mean"] <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*CORES, "--top-k", "2"], "--top-k"),
        (["run", "--model", "eic_mnist", "--dataset", "digits"], "mnist"),
        ([*CORES, "--draws", "0"], "--draws"),
        ([*CORES, "--hardware", "rram-8bit"], "xbar.adc.mvm.bits"),
    ],
)
def test_what_does_not_apply_is_refused(shared: Path, options: list[str], message: str) -> None:
    done = CliRunner().invoke(app, [*options, "--data-dir", str(shared / "data" / "mnist")])
    assert done.exit_code != 0
    assert message in str(done.exception) + done.output
