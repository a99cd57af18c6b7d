"""Studies, runs and hardware tables of a network in a file of Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from crossohm.cli import app
from crossohm.errors import DataError
from crossohm.models import framework_of, load_model
from crossohm.studies import error_budget, load_study

pytestmark = pytest.mark.plain_keras

layers = keras.layers

#: Of a network in a file, on calibrated converters, with two chips and a sweep.
STUDY = """
model: {name: net%s}
dataset: {name: digits, images: 20, preprocessing: unit}
hardware: {base: rram-8bit, set: {xbar.adc.mvm.model: QuantizerADC}}
calibration: {images: 20}
repeats: 2
sweep:
  grid:
    xbar.adc.mvm.bits: [4, 8]
"""


def _network() -> Any:
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="x"),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(10, name="head"),
        ],
        name="net",
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_study_files_take_files_of_keras(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the command line: checks, hardware tables, calibration, runs and sweeps."""
    monkeypatch.chdir(tmp_path)
    _network().save(f"net{ending}")
    Path("study.yaml").write_text(STUDY % ending)
    said = {}
    for command in (["study", "check"], ["hardware"], ["calibrate"], ["run"], ["sweep"]):
        result = CliRunner().invoke(app, [*command, "study.yaml"])
        assert result.exit_code == 0, f"{command}: {result.output}"
        said[command[0]] = result.output
    assert "conv" in said["hardware"] and "head" in said["hardware"] and "Conv2D" in said["hardware"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_error_budgets_are_made_of_files_of_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cause alone, and in each layer alone: what two causes do is what both layers do."""
    monkeypatch.chdir(tmp_path)
    _network().save("net.keras")
    erring = {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.03}
    errors = {"programming_error": erring, "read_noise": erring, "infinite_on_off_ratio": True}
    study = {
        "model": {"name": "net.keras"},
        "dataset": {"name": "digits", "images": 20, "preprocessing": "unit"},
        "hardware": {"base": "default", "set": {"xbar.device": errors}},
        "repeats": 2,
    }
    found = error_budget(load_study(study), tmp_path / "budget", per_layer=True)
    everywhere = {one.cause: one for one in found.contributions if one.layer == "*"}
    assert set(everywhere) == {"programming_error", "read_noise"}
    assert everywhere["read_noise"].alone.values == everywhere["programming_error"].absent.values
    assert found.perfect.mean == found.digital
    for cause, whole in everywhere.items():
        layered = {one.layer: one.share for one in found.contributions if one.cause == cause and one.layer != "*"}
        assert list(layered) == ["conv", "head"]
        assert sum(layered.values()) == pytest.approx(whole.share, rel=0.3)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_and_factories_are_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the weights of a file, where they fit."""
    monkeypatch.chdir(tmp_path)
    model = _network()
    model.save("net.keras")
    model.save_weights("net.weights.h5")
    Path("nets.py").write_text(
        "import keras\n\ndef make(units=10):\n    return keras.Sequential([keras.Input((8, 8, 1)), "
        'keras.layers.Conv2D(3, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(units)])\n'
    )
    x = np.random.default_rng(0).uniform(size=(2, 8, 8, 1)).astype("float32")
    wanted = keras.ops.convert_to_numpy(model(x))
    for again in (load_model("net.keras"), load_model("nets.py:make", checkpoint="net.weights.h5")):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(x)), wanted)
    with pytest.raises(DataError, match="not the weights"):
        load_model("nets.py:make", checkpoint="net.weights.h5", options={"units": 3})
    assert [framework_of(name) for name in ("net.h5", "net.keras", "net.pt2", "digits_cnn")] == [
        "keras", "keras", "torch", "torch",
    ]  # fmt: skip
