"""What a run may be asked for."""

from __future__ import annotations

import pytest

import crossohm
from crossohm.datasets import load_dataset
from crossohm.errors import ParameterError, UnknownNameError, UnsupportedError
from crossohm.models import load_model
from crossohm.studies import RunSettings, calibrate_study, load_hardware, load_study


@pytest.mark.parametrize(("dataset", "model"), [("digits", "digits_cnn"), ("mnist", "mnist_cnn")])
def test_the_network_follows_the_data(dataset: str, model: str) -> None:
    assert RunSettings(dataset=dataset).model == model


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("draws", 0), ("images", 0), ("images", -1), ("batch_size", 0), ("top_k", 0), ("seed", -1), ("seed", 2**70),
        ("calibration_images", 0), ("objective", "L3"),
        ("percentile", 50.0), ("percentile", 100.1), ("percentile", float("nan")),
    ],
)  # fmt: skip
def test_out_of_range(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=f"^{name} = "):
        RunSettings(**{name: value})


@pytest.mark.parametrize("objective", ["L2", "L1"])
def test_a_percentile_that_has_no_effect_is_refused(objective: str) -> None:
    with pytest.raises(ParameterError, match=r"^percentile = 99\.0: has no effect with objective L.*Set the objective"):
        RunSettings(objective=objective, percentile=99.0)  # type: ignore[arg-type]
    assert RunSettings(objective="percentile", percentile=99.0).percentile == 99.0
    assert RunSettings(objective=objective, percentile=None).percentile is None  # type: ignore[arg-type]


def test_every_way_to_the_same_run_chooses_the_same_ranges() -> None:
    """Of settings, of a study, and of the library."""
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from crossohm.studies import prepare

    hardware = load_hardware("rram-8bit", ["xbar.adc.mvm.bits=5"])
    ready = prepare(RunSettings(hardware, images=1, calibration_images=30))
    study = {"calibration": {"images": 30}, "hardware": {"set": {"xbar.adc.mvm.bits": 5}}}
    network, images = load_model("digits_cnn"), load_dataset("digits", split="train", limit=30).images
    ways = [
        list(ready.hardware),
        list(calibrate_study(load_study(study)).hardware.values()),
        list(crossohm.calibrate(network, images, hardware).hardware.values()),
    ]
    assert ways[0] == ways[1] == ways[2]


def test_unknown_data_set() -> None:
    with pytest.raises(UnknownNameError, match=r"dataset = 'imagnet'.*digits, mnist"):
        RunSettings(dataset="imagnet")


def test_unknown_model() -> None:
    with pytest.raises(UnknownNameError, match=r"model = 'resnet'"):
        RunSettings(model="resnet")


def test_model_of_other_data() -> None:
    with pytest.raises(ParameterError, match=r"mnist_cnn.*trained on 'mnist'"):
        RunSettings(model="mnist_cnn")


def test_data_without_a_network() -> None:
    with pytest.raises(UnsupportedError, match="fashion_mnist"):
        RunSettings(dataset="fashion_mnist")


def test_chips_are_numbered() -> None:
    assert list(RunSettings(seed=7, draws=3).seeds) == [7, 8, 9]
