"""What a run may be asked for."""

from __future__ import annotations

import pytest

from crossohm.errors import ParameterError, UnknownNameError, UnsupportedError
from crossohm.studies import RunSettings


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
