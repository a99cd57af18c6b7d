"""Calibrated hardware knows which network its ranges are for: it is used as it was calibrated, or refused."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch_cases import CONVERTERS, hardware

import crossohm
from crossohm import Calibration, CrossSimParameters, DataError, ParameterError
from crossohm.studies import calibrate_study, load_study, run_study
from crossohm.torch import AnalogLinear, TorchNetwork, analog_modules, conversion_report, from_torch, to_torch

PARAMS = hardware(CONVERTERS, {"xbar.device.infinite_on_off_ratio": True})


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 6), nn.BatchNorm1d(6)
    )


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))


def depthwise() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.Flatten(),
        nn.Linear(32, 6),
    )  # fmt: skip


NETWORKS = {make.__name__: make for make in (convolutional, perceptron, depthwise)}
X = torch.randn(150, 1, 4, 4, generator=torch.Generator().manual_seed(5))


def network(name: str) -> nn.Sequential:
    """With channels whose normalisation turns their sign, so that ranges of the one kind do not suit the other."""
    torch.manual_seed(0)
    model = NETWORKS[name]()
    for _ in range(30):
        model(X)
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm):
                norm.weight.uniform_(0.5, 2)
                norm.weight[::2] *= -3
                norm.bias.uniform_(-0.5, 0.5)
    return model.eval()


@cache
def calibrated(name: str, folded: bool | None) -> Calibration:
    return crossohm.calibrate(network(name), X, PARAMS, fuse_batchnorm=folded)


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def snr(model: nn.Module, analog: nn.Module) -> float:
    with torch.no_grad():
        digital = model(X)
        return float(10 * torch.log10(digital.square().sum() / (analog.eval()(X) - digital).square().sum()))


def saved(found: Calibration, folder: Path) -> Calibration:
    found.save(folder / "ranges.json")
    return Calibration.load(folder / "ranges.json")


#: Ways in which the hardware of a calibration comes to a conversion.
WAYS: dict[str, Any] = {
    "as found": lambda found, folder: found.hardware,
    "list": lambda found, folder: list(found.hardware.values()),
    "one description per array": lambda found, folder: [[one] for one in found.hardware.values()],
    "plain table": lambda found, folder: dict(found.hardware),
    "copies": lambda found, folder: {name: one.copy() for name, one in found.hardware.items()},
    "from a file": lambda found, folder: saved(found, folder).hardware,
    "on other hardware": lambda found, folder: found.on(PARAMS),
    "from a file, on other hardware": lambda found, folder: saved(found, folder).on(PARAMS),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_conversion_follows_the_calibration(name, way, training, tmp_path):
    model = network(name)
    for folded in (None, False):
        analog = from_torch(model.train(training), WAYS[way](calibrated(name, folded), tmp_path), seed=1)
        assert norms(analog) == (0 if folded is None else norms(model))
        assert all(module.training is training for module in analog.modules())
        assert snr(model.eval(), analog) > 25


@pytest.mark.parametrize("name", NETWORKS)
def test_the_other_kind_is_refused_or_left_with_a_word(name):
    model = network(name)
    found = crossohm.calibrate(model, X, PARAMS)
    assert snr(model, from_torch(model, found.hardware, fuse_batchnorm=True, seed=1)) > 25
    with pytest.raises(
        ParameterError, match=r"found with BatchNorm folded into it, here it is digital.*fuse_batchnorm"
    ):
        from_torch(model, found.hardware, fuse_batchnorm=False, seed=1)
    apart = crossohm.calibrate(model, X, PARAMS, fuse_batchnorm=False)
    with pytest.warns(RuntimeWarning, match="stays digital.*was not calibrated for it"):
        analog = from_torch(model, apart.hardware, fuse_batchnorm=True, seed=1)
    assert norms(analog) == norms(model)
    assert snr(model, analog) > 25


@pytest.mark.parametrize("name", NETWORKS)
def test_hardware_that_was_not_calibrated_leaves_batchnorm_alone(name):
    model = network(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for params in (None, PARAMS, [PARAMS] * len(TorchNetwork(model).convertible)):
            assert norms(from_torch(model, params, seed=1)) == norms(model)
            assert norms(from_torch(model, params, fuse_batchnorm=True, seed=1)) == 0


def test_every_other_door_is_watched():
    model = network("perceptron")
    found = crossohm.calibrate(model, X, PARAMS)
    ranges = list(found.hardware.values())
    with pytest.raises(ParameterError, match="found with BatchNorm folded into it"):
        AnalogLinear.from_torch(model[1], ranges[0], seed=1)
    with pytest.raises(ParameterError, match="layer '1' were found with BatchNorm folded into it"):
        analog_modules(from_torch(model, PARAMS, seed=1))[0].params = ranges[0]
    with pytest.raises(ParameterError, match="layer '1' were found with BatchNorm folded into it"):
        TorchNetwork(model, fold_batchnorm=False).on_hardware(ranges, seed=1)
    with pytest.raises(ParameterError, match="layer '1' were found with BatchNorm digital"):
        other = crossohm.calibrate(model, X, PARAMS, fuse_batchnorm=False)
        TorchNetwork(model).on_hardware(list(other.hardware.values()), seed=1)
    folded = from_torch(model, PARAMS, fuse_batchnorm=True, seed=1)
    analog_modules(folded)[0].params = ranges[0]
    again = from_torch(to_torch(folded), found.hardware, seed=1)
    assert snr(model, again) > 25


def test_a_model_on_hardware_is_calibrated_as_it_is():
    model = network("convolutional")
    for fuse in (True, False):
        analog = from_torch(model, PARAMS, fuse_batchnorm=fuse, seed=1)
        found = crossohm.calibrate(analog, X)
        assert [one.batchnorm_folded for one in found.hardware.values()] == [fuse, fuse]
        assert snr(model, from_torch(model, found.hardware, seed=1)) > 25


def test_hardware_of_another_network_is_told():
    found = crossohm.calibrate(network("perceptron"), X, PARAMS)
    larger = nn.Sequential(*network("perceptron"), nn.ReLU(), nn.Linear(6, 2)).eval()
    with pytest.warns(RuntimeWarning, match="describes 1, 4, and not 6: these stay digital") as told:
        analog = from_torch(larger, found.hardware, seed=1)
    assert told[0].filename == __file__
    assert [layer.name for layer in conversion_report(analog).digital if layer.convertible] == ["6"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_torch(larger, dict(found.hardware), seed=1)
        from_torch(network("perceptron"), found.hardware, seed=1)
    with pytest.raises(ParameterError, match="matches no convertible module"):
        from_torch(network("convolutional"), found.hardware, seed=1)


@pytest.mark.parametrize("value", ["False", "no", 2])
def test_folding_is_yes_no_or_as_calibrated(value):
    with pytest.raises(ParameterError, match=r"^fuse_batchnorm = "):
        from_torch(network("perceptron"), PARAMS, fuse_batchnorm=value)


def test_a_mark_is_no_hardware():
    """It counts in no comparison and no file of the description, and survives copies."""
    marked = CrossSimParameters()
    marked.batchnorm_folded = True
    assert marked == CrossSimParameters()
    assert marked.as_dict() == CrossSimParameters().as_dict()
    assert marked.copy().batchnorm_folded is True
    assert CrossSimParameters().batchnorm_folded is None


def test_files_of_earlier_versions_do_not_tell(tmp_path):
    model = network("perceptron")
    found = crossohm.calibrate(model, X, PARAMS)
    found.save(tmp_path / "ranges.json")
    values = json.loads((tmp_path / "ranges.json").read_text())
    for layer in values["layers"].values():
        del layer["batchnorm_folded"]
    (tmp_path / "ranges.json").write_text(json.dumps(values))
    old = Calibration.load(tmp_path / "ranges.json")
    assert snr(model, from_torch(model, old.hardware, fuse_batchnorm=True, seed=1)) > 25
    values["layers"]["1"]["batchnorm_folded"] = "yes"
    (tmp_path / "ranges.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match="batchnorm_folded"):
        Calibration.load(tmp_path / "ranges.json")


def test_studies_check_the_file_they_take(tmp_path):
    study: dict[str, Any] = {"dataset": {"images": 40}, "repeats": 1}
    calibrate_study(load_study(study, folder=tmp_path)).save(tmp_path / "ranges.json")
    study["calibration"] = {"file": "ranges.json"}
    (chip,) = run_study(load_study(study, folder=tmp_path), tmp_path / "folded").points[0]
    assert chip.output_snr > 15
    study["model"] = {"fold_batchnorm": False}
    with pytest.raises(crossohm.CrossOhmError, match=r"found with BatchNorm folded into it.*model\.fold_batchnorm"):
        run_study(load_study(study, folder=tmp_path), tmp_path / "apart")
