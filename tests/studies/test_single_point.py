"""The main job as a study with nothing varied: a trained network on several chips."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import crossohm
from crossohm import CrossSimParameters
from crossohm.datasets import load_dataset
from crossohm.errors import ParameterError, UnknownNameError, UnsupportedError
from crossohm.models import load_model
from crossohm.models.pairing import model_for
from crossohm.studies import Results, calibrate_study, load_hardware, load_study, run_study
from crossohm.torch import TorchNetwork

NO_NOISE = {"xbar.device.read_noise.enable": False}
STUDY: dict[str, Any] = {
    "dataset": {"name": "digits", "images": 60},
    "hardware": {"base": "rram-8bit", "set": NO_NOISE},
    "calibration": {"images": 40},
    "repeats": {"chips": 3},
    "metric": {"top_k": [1, 3]},
    "save": {"outputs": True},
}


def run(folder: Path, progress: Any = None, **sections: Any) -> Results:
    loaded = load_study({**STUDY, **sections})
    return run_study(loaded, folder) if progress is None else run_study(loaded, folder, progress=progress)


@cache
def made(folder: Path) -> Results:
    return run(folder)


@pytest.fixture
def result(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return made(tmp_path_factory.getbasetemp() / "single")


def outputs(results: Results, chip: int = 0, name: str = "outputs") -> np.ndarray:
    return results.arrays(results.chips[chip])[name]


def test_ideal_hardware_is_the_digital_network(tmp_path: Path) -> None:
    found = run(tmp_path, hardware="default", repeats=1)
    np.testing.assert_allclose(outputs(found), outputs(found, name="digital"), atol=1e-4)
    assert found.spread(0).mean == found.chips[0].digital["top1"]
    assert found.spread(0).std is None


def test_the_shipped_network_survives_the_default_hardware(tmp_path: Path) -> None:
    found = run(tmp_path, dataset="digits", hardware="rram-8bit", repeats=2)
    assert found.chips[0].record["images"] == 596
    assert found.chips[0].digital["top1"] > 0.99
    assert found.spread(0).mean > 0.98
    assert found.spread(0, "top3").mean >= found.spread(0).mean


def test_chips_differ_and_repeat(result: Results, tmp_path: Path) -> None:
    assert outputs(result).shape == (60, 10)
    assert not np.array_equal(outputs(result, 0), outputs(result, 1))
    again = run(tmp_path, repeats={"chips": 1, "seed": 2})
    np.testing.assert_array_equal(outputs(again), outputs(result, 1))


def test_batches_do_not_matter(result: Results, tmp_path: Path) -> None:
    found = run(tmp_path, run={"batch_size": 7}, repeats=1)
    # Float sums differ in the last digit, which may flip an ADC code now and then.
    assert np.mean(~np.isclose(outputs(found), outputs(result), atol=1e-4)) < 0.05


def test_read_noise_repeats_for_a_chip(tmp_path: Path) -> None:
    noisy = {"hardware": "rram-8bit", "dataset": {"images": 20}, "calibration": {"images": 20}, "repeats": 1}
    one, other = run(tmp_path / "one", **noisy), run(tmp_path / "other", **noisy)
    np.testing.assert_array_equal(outputs(one), outputs(other))


def test_without_calibration_the_description_is_used_as_it_is(tmp_path: Path) -> None:
    found = run(tmp_path, calibration=False, repeats=1)
    described = load_hardware("rram-8bit", ["xbar.device.read_noise.enable=false"])
    assert set(map(str, found.hardware(found.chips[0]).values())) == {str(described)}


def test_every_layer_is_reported_once_with_its_windows(result: Results) -> None:
    chip = result.chips[0]
    layers = {layer["layer"]: layer for layer in result.hardware_report(chip)["layers"]}
    assert {name: (layer["kind"], layer["outputs"], layer["inputs"]) for name, layer in layers.items()} == {
        "conv1": ("Conv2d", 12, 9),
        "conv2": ("Conv2d", 24, 108),
        "fc": ("Linear", 10, 384),
    }
    assert [layers[name]["mvms"] for name in layers] == [64 * 2, 64 * 2, 4]  # windows of an 8x8 image times arrays
    for name, (params,) in ((name, _flat(params)) for name, params in result.hardware(chip).items()):
        assert [list(params.xbar.adc.mvm.calibrated_range)] == layers[name]["adc_ranges"]


def _flat(hardware: Any) -> list[CrossSimParameters]:
    return [hardware] if isinstance(hardware, CrossSimParameters) else [one for part in hardware for one in _flat(part)]


def test_a_layer_under_two_names_has_hardware_twice() -> None:
    import torch

    twice = torch.nn.Linear(6, 6)
    network = TorchNetwork(torch.nn.Sequential(twice, torch.nn.ReLU(), twice))
    assert network.convertible == ("0", "2")
    assert list(network.on_hardware([CrossSimParameters()] * 2, seed=1).cores) == ["0", "2"]


def test_ranges_of_least_error_save_bits(tmp_path: Path) -> None:
    """At four bits they lose far fewer answers than ranges that hold all but one current in ten thousand."""
    coarse = {"base": "rram-8bit", "set": {**NO_NOISE, "xbar.adc.mvm.bits": 4}}
    same = []
    for objective in ("L2", "percentile"):
        found = run(
            tmp_path / objective, hardware=coarse, dataset={"images": 200}, repeats=1,
            calibration={"objective": objective},
        )  # fmt: skip
        same.append(float(np.mean(outputs(found).argmax(axis=1) == outputs(found, name="digital").argmax(axis=1))))
    assert same[0] >= same[1]
    assert same[0] > 0.9


def test_progress_covers_everything(tmp_path: Path) -> None:
    ended: dict[str, int] = {}
    run(tmp_path, lambda stage, done, total: ended.update({stage: done - total}), repeats=2, run={"batch_size": 25})
    stages = ["points checked", "chips", "digital", "input ranges", "ADC ranges", "chip 1", "chip 2"]
    assert ended == dict.fromkeys(stages, 0)


def test_saved_hardware_gives_the_same_chip(result: Results, tmp_path: Path) -> None:
    load_hardware("rram-8bit", ["xbar.device.read_noise.enable=false"]).to_json(tmp_path / "hardware.json")
    again = run(tmp_path / "again", hardware=str(tmp_path / "hardware.json"), repeats=1)
    np.testing.assert_array_equal(outputs(again), outputs(result))


def test_every_way_to_the_same_ranges() -> None:
    """Of a study, and of the library."""
    hardware = load_hardware("rram-8bit", ["xbar.adc.mvm.bits=5"])
    study = {"calibration": {"images": 30}, "hardware": {"set": {"xbar.adc.mvm.bits": 5}}}
    network, images = load_model("digits_cnn"), load_dataset("digits", split="train", limit=30).images
    found = list(calibrate_study(load_study(study)).hardware.values())
    assert found == list(crossohm.calibrate(network, images, hardware).hardware.values())


# --- which network --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "model"), [("digits", "digits_cnn"), ("mnist", "mnist_cnn")])
def test_the_network_follows_the_data(dataset: str, model: str) -> None:
    assert model_for(None, dataset) == model


@pytest.mark.parametrize(
    ("model", "dataset", "error", "message"),
    [
        (None, "imagnet", UnknownNameError, r"dataset = 'imagnet'.*digits, mnist"),
        ("resnet", "digits", UnknownNameError, r"model = 'resnet'"),
        ("mnist_cnn", "digits", ParameterError, r"mnist_cnn.*trained on 'mnist'"),
        (None, "fashion_mnist", UnsupportedError, "fashion_mnist"),
    ],
)
def test_data_and_network_must_fit(model: str | None, dataset: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        model_for(model, dataset)
