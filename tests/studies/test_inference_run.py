"""The main job as a library call: a trained network on several chips, and its results on disk."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from crossohm import CrossSimParameters, DataError
from crossohm.studies import (
    RunResult,
    RunSettings,
    load_hardware,
    new_folder,
    read_result,
    run_inference,
    write_result,
)
from crossohm.torch import TorchNetwork

NO_NOISE = ["xbar.device.read_noise.enable=false"]
SETTINGS = RunSettings(load_hardware("rram-8bit", NO_NOISE), images=60, draws=3, calibration_images=40)


@cache
def result() -> RunResult:
    return run_inference(SETTINGS)


def test_ideal_hardware_is_the_digital_network() -> None:
    found = run_inference(RunSettings(CrossSimParameters(), images=100, draws=1))
    np.testing.assert_allclose(found.analog[0], found.digital, atol=1e-4)
    assert found.analog_accuracy().mean == found.digital_accuracy()
    assert found.analog_accuracy().std is None


def test_the_shipped_network_survives_the_default_hardware() -> None:
    found = run_inference(RunSettings(load_hardware("rram-8bit"), draws=2))
    assert len(found.labels) == 596
    assert found.digital_accuracy() > 0.99
    assert found.analog_accuracy().mean > 0.98
    assert found.analog_accuracy(3).mean >= found.analog_accuracy().mean


def test_chips_differ_and_repeat() -> None:
    assert result().analog.shape == (3, 60, 10)
    assert not np.array_equal(result().analog[0], result().analog[1])
    again = run_inference(replace(SETTINGS, seed=SETTINGS.seed + 1, draws=1))
    np.testing.assert_array_equal(again.analog[0], result().analog[1])


def test_batches_do_not_matter() -> None:
    found = run_inference(replace(SETTINGS, batch_size=7, draws=1))
    # Float sums differ in the last digit, which may flip an ADC code now and then.
    assert np.mean(~np.isclose(found.analog[0], result().analog[0], atol=1e-4)) < 0.05


def test_read_noise_repeats_for_a_chip() -> None:
    noisy = RunSettings(load_hardware("rram-8bit"), images=20, draws=1, calibration_images=20)
    np.testing.assert_array_equal(run_inference(noisy).analog, run_inference(noisy).analog)


def test_calibration_sees_training_images_only(monkeypatch: pytest.MonkeyPatch) -> None:
    import crossohm.studies.inference as module

    asked, load = [], module.load_dataset
    monkeypatch.setattr(module, "load_dataset", lambda *a, **k: asked.append((k["split"], k["limit"])) or load(*a, **k))
    module.prepare(SETTINGS)
    assert asked == [("test", 60), ("train", 40)]


def test_without_calibration_the_description_is_used_as_it_is() -> None:
    found = run_inference(replace(SETTINGS, calibrate=False, draws=1))
    assert set(map(str, found.hardware.values())) == {str(SETTINGS.hardware)}


def test_every_layer_is_reported_once_with_its_windows() -> None:
    layers = {layer.layer: layer for layer in result().report.layers}
    assert {name: (layer.kind, layer.outputs, layer.inputs) for name, layer in layers.items()} == {
        "conv1": ("Conv2d", 12, 9),
        "conv2": ("Conv2d", 24, 108),
        "fc": ("Linear", 10, 384),
    }
    assert [layers[name].mvms for name in layers] == [64 * 2, 64 * 2, 4]  # windows of an 8x8 image times arrays
    assert list(result().hardware) == list(layers)
    for name, params in result().hardware.items():
        assert [tuple(params.xbar.adc.mvm.calibrated_range)] == list(layers[name].adc_ranges)


def test_a_layer_under_two_names_has_hardware_twice() -> None:
    import torch

    twice = torch.nn.Linear(6, 6)
    network = TorchNetwork(torch.nn.Sequential(twice, torch.nn.ReLU(), twice))
    assert network.convertible == ("0", "2")
    assert list(network.on_hardware([CrossSimParameters()] * 2, seed=1).cores) == ["0", "2"]


def test_ranges_of_least_error_save_bits() -> None:
    """At four bits they lose far fewer answers than ranges that hold all but one current in ten thousand."""
    coarse = load_hardware("rram-8bit", [*NO_NOISE, "xbar.adc.mvm.bits=4"])
    same = []
    for objective in ("L2", "percentile"):
        found = run_inference(RunSettings(coarse, images=200, draws=1, objective=objective))
        same.append(float(np.mean(found.analog[0].argmax(axis=1) == found.digital.argmax(axis=1))))
    assert same[0] >= same[1]
    assert same[0] > 0.9


def test_progress_covers_everything() -> None:
    ended: dict[str, int] = {}
    run_inference(
        replace(SETTINGS, draws=2, batch_size=25), lambda stage, done, total: ended.update({stage: done - total})
    )
    assert ended == dict.fromkeys(["input ranges", "ADC ranges", "digital", "chip 1", "chip 2"], 0)


# --- on disk ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    with new_folder(tmp_path / "result") as folder:
        write_result(result(), folder)
    return tmp_path / "result"


def test_results_are_complete(saved: Path) -> None:
    found = read_result(saved)
    np.testing.assert_array_equal(found.outputs["analog"], result().analog)
    np.testing.assert_array_equal(found.outputs["digital"], result().digital)
    np.testing.assert_array_equal(found.outputs["labels"], result().labels)
    assert found.outputs["seeds"].tolist() == found.results["seeds"] == [1, 2, 3]
    assert found.hardware == SETTINGS.hardware == CrossSimParameters(**found.results["hardware_described"])
    assert found.layers == result().hardware
    assert found.results["analog"]["top1"] == result().analog_accuracy().as_dict()
    assert {"crossohm", "python", "numpy", "torch"} <= found.results["versions"].keys()
    assert set(found.results["seconds"]) == {"prepare", "digital", "program", "analog"}
    assert found.results["settings"]["percentile"] == 99.99


def test_tables_hold_the_same_numbers(saved: Path) -> None:
    with (saved / "accuracy.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["chip"] for row in rows] == ["digital", "1", "2", "3"]
    assert [float(row["top1"]) for row in rows] == [result().digital_accuracy(), *result().analog_accuracy().values]
    with (saved / "hardware.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["devices"]) for row in rows] == [layer.devices for layer in result().report.layers]
    assert [json.loads(row["adc_ranges"]) for row in rows] == [
        [list(limits) for limits in layer.adc_ranges] for layer in result().report.layers
    ]


def test_saved_hardware_gives_the_same_chip(saved: Path) -> None:
    again = run_inference(replace(SETTINGS, hardware=load_hardware(str(saved / "hardware.json")), draws=1))
    np.testing.assert_array_equal(again.analog[0], result().analog[0])


@pytest.mark.parametrize("damage", ["missing", "not JSON", "other format", "list", "no outputs", "cut outputs"])
def test_damaged_results_are_an_error(saved: Path, damage: str) -> None:
    results, outputs = saved / "results.json", saved / "outputs.npz"
    repairs = {
        "missing": results.unlink,
        "not JSON": lambda: results.write_text("{", encoding="utf-8"),
        "other format": lambda: results.write_text('{"format": "other"}', encoding="utf-8"),
        "list": lambda: results.write_text("[]", encoding="utf-8"),
        "no outputs": outputs.unlink,
        "cut outputs": lambda: outputs.write_bytes(outputs.read_bytes()[:1000]),
    }
    repairs[damage]()
    with pytest.raises(DataError, match="result"):
        read_result(saved)
