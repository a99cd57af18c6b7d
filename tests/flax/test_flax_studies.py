"""Studies, runs and hardware tables of a network of Flax, given by the function that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossohm.cli import app
from crossohm.flax import save_state
from crossohm.models import load_model
from crossohm.studies import error_budget, load_study

NETS = """
from flax import nnx


def make(classes=10, seed=0):
    rngs = nnx.Rngs(seed)
    return nnx.Sequential(
        lambda x: x.reshape(len(x), -1), nnx.Linear(64, 5, rngs=rngs), nnx.BatchNorm(5, rngs=rngs), nnx.relu,
        nnx.Linear(5, classes, rngs=rngs),
    )
"""
#: On calibrated converters, with two chips.
STUDY = """
model: {name: "nets.py:make", checkpoint: net.safetensors}
dataset: {name: digits, images: 20, preprocessing: unit}
hardware: {base: default, set: {xbar.adc.mvm: {model: QuantizerADC, bits: 8}}}
calibration: {images: 20}
repeats: 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETS)
    save_state(load_model("nets.py:make"), "net.safetensors")
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_study_files_take_networks_of_flax(folder: Path) -> None:
    """On the command line: checks, hardware tables, calibrated runs; on the checkpoint's weights."""
    Path("nets.py").write_text(NETS.replace("seed=0", "seed=1"))
    Path("study.yaml").write_text(STUDY)
    said = {}
    for command in (["study", "check"], ["hardware"], ["run"]):
        result = CliRunner().invoke(app, [*command, "study.yaml"])
        assert result.exit_code == 0, f"{command}: {result.output}"
        said[command[0]] = result.output
    assert "layers.1" in said["hardware"] and "layers.4" in said["hardware"] and "Linear" in said["hardware"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_error_budgets_are_made_of_networks_of_flax(folder: Path) -> None:
    """Each cause alone, without BatchNorm's calibration."""
    erring = {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.03}
    study = {
        "model": {"name": "nets.py:make"},
        "dataset": {"name": "digits", "images": 20, "preprocessing": "unit"},
        "hardware": {
            "base": "default",
            "set": {"xbar.device": {"programming_error": erring, "infinite_on_off_ratio": True}},
        },
        "repeats": 1,
    }
    found = error_budget(load_study(study), folder / "budget")
    assert {one.cause for one in found.contributions} == {"programming_error"}
    assert found.perfect.mean == found.digital
