"""Calibration of torch models: what a ReLU follows, bias columns, models already on hardware, loaders."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch_cases import CONVERTERS, hardware

import crossohm
from crossohm.torch import TorchNetwork, analog_modules, from_torch


class Small(nn.Module):
    """Layers followed by a ReLU module, a functional ReLU, something else, and nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.module = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.functional = nn.Conv2d(4, 4, 3, padding=1)
        self.shared = nn.Conv2d(4, 4, 1)
        self.method = nn.Conv2d(4, 4, 1, bias=False)
        self.dropped = nn.Linear(64, 12)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.module(x)))
        x = F.relu(self.functional(x))
        y = self.shared(x)
        x = self.method(torch.relu(y) + y).relu()
        return self.head(F.relu6(self.drop(self.dropped(x.flatten(1)))))


@pytest.fixture
def model() -> Small:
    small = Small()
    small.norm.running_mean.uniform_(-1, 1)
    small.norm.running_var.uniform_(0.5, 2)
    return small


IMAGES = np.random.default_rng(1).normal(size=(60, 1, 4, 4)).astype(np.float32)
PARAMS = hardware(CONVERTERS, {"xbar.device.infinite_on_off_ratio": True, "xbar.adc.mvm.bits": 6})


def adc_range(found: Any, name: str) -> tuple[float, float]:
    return tuple(found.layers[name].adc[0].limits)


def test_a_trace_finds_what_only_a_relu_uses(model: Small) -> None:
    network = TorchNetwork(model).on_hardware([PARAMS] * 6, seed=1)
    floors = network.floors
    assert set(floors) == {"module", "functional", "method", "dropped"}
    assert floors["module"] == pytest.approx(-analog_modules(network.module)[0].bias.detach().numpy())
    assert not floors["method"].any()
    assert floors["dropped"].shape == (12,)
    hooked = copy.deepcopy(network.module)
    hooked.functional.register_forward_hook(lambda *_: None)
    assert set(TorchNetwork(hooked).floors) == {"module", "method", "dropped"}


class Branching(Small):
    """No trace is possible."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > -1e9 else x


def test_what_cannot_be_traced_is_observed() -> None:
    model = Branching()
    network = TorchNetwork(model).seeing(IMAGES[:2]).on_hardware([PARAMS] * 6, seed=1)
    assert set(network.floors) == {"module", "functional", "method", "dropped"}
    plain = TorchNetwork(model, fold_batchnorm=False).seeing(IMAGES[:2]).on_hardware([PARAMS] * 6, seed=1)
    assert set(plain.floors) == {"functional", "method", "dropped"}
    chip = from_torch(model, PARAMS, fuse_batchnorm=True, seed=1, example=torch.from_numpy(IMAGES[:2]))
    shown = TorchNetwork(chip).seeing(IMAGES[:2])
    assert network.floors.keys() == shown.floors.keys()
    assert all(np.array_equal(shown.floors[name], floor) for name, floor in network.floors.items())


def test_untraceable_networks_are_calibrated_like_others(model: Small) -> None:
    branching = Branching()
    branching.load_state_dict(model.state_dict())
    ours, theirs = (crossohm.calibrate(one, IMAGES, PARAMS) for one in (branching, model))
    assert all(adc_range(ours, name) == adc_range(theirs, name) for name in theirs.layers)
    blind = crossohm.calibrate(branching, IMAGES, PARAMS, relu_aware=False)
    assert adc_range(blind, "functional")[0] < adc_range(ours, "functional")[0]


class Activated(nn.BatchNorm2d):
    """As timm's BatchNormAct2d."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


@pytest.mark.parametrize(("act", "rectified"), [(nn.ReLU(inplace=True), True), (nn.SiLU(), False)])
def test_a_relu_inside_a_normalisation_counts(act: nn.Module, rectified: bool) -> None:
    network = TorchNetwork(nn.Sequential(nn.Conv2d(1, 3, 3), Activated(3, act), nn.Flatten(), nn.Linear(12, 2)))
    for one in (network, network.seeing(IMAGES[:2])):
        assert ("0" in one.on_hardware([PARAMS] * 2, seed=1).floors) == rectified


class InPlace(nn.Module):
    """What a ReLU leaves of a part goes on with the rest as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.whole, self.part = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.part(self.whole(x).relu_() + x.shape[0])
        y[:, :2].relu_()
        return y


def test_changes_in_place_are_seen() -> None:
    x = torch.randn(3, 4)
    chip = from_torch(InPlace(), PARAMS, seed=1, example=x)
    assert set(TorchNetwork(chip).seeing(x.numpy()).floors) == {"whole"}


def test_what_was_not_shown_and_cannot_be_traced_has_no_floors() -> None:
    with pytest.warns(RuntimeWarning, match="BatchNorm stays digital"):
        network = TorchNetwork(Branching()).on_hardware([PARAMS] * 6, seed=1)
    assert network.floors == {}


def test_bias_in_the_arrays_has_its_floor_at_zero(model: Small) -> None:
    analog = from_torch(model, PARAMS, bias_rows=1, seed=1)
    assert not TorchNetwork(analog).floors["functional"].any()


def test_relu_aware_ranges_cost_less(model: Small) -> None:
    digital = TorchNetwork(model).outputs(IMAGES)
    errors = {}
    for aware in (True, False):
        found = crossohm.calibrate(model, IMAGES, PARAMS, relu_aware=aware)
        analog = from_torch(model, found.hardware, fuse_batchnorm=True, seed=1).eval()
        errors[aware] = np.mean((TorchNetwork(analog).outputs(IMAGES) - digital) ** 2)
        if aware:
            lows = {name: adc_range(found, name)[0] for name in found.layers}
        else:
            for name in ("functional", "method", "dropped"):
                assert adc_range(found, name)[0] < lows[name]
            assert adc_range(found, "head") == pytest.approx(adc_range(found, "head"))
    assert errors[True] < errors[False]


def test_partitioned_layers_ignore_the_relu(model: Small) -> None:
    split = hardware(CONVERTERS, {"core.rows_max": 5})
    aware, plain = (crossohm.calibrate(model, IMAGES, split, relu_aware=aware) for aware in (True, False))
    for name in ("functional", "dropped"):
        assert adc_range(aware, name) == adc_range(plain, name)


@pytest.mark.parametrize("rows", [1, 2])
def test_bias_columns_are_no_data_but_within_the_range(model: Small, rows: int) -> None:
    small = 0.05 * IMAGES
    analog = from_torch(model, PARAMS, bias_rows=rows, fuse_batchnorm=True, seed=1)
    first, plain = (crossohm.calibrate(one, small, params) for one, params in _pairs(model, analog))
    assert plain.layers["module"].inputs.high < 0.3
    assert first.layers["module"].inputs.high >= 1
    with analog.module.core.profile() as seen:
        analog.eval()(torch.from_numpy(small))
    assert seen.constants
    assert seen.inputs["mvm"].high == pytest.approx(small.max())


def _pairs(model: Small, analog: nn.Module) -> list[tuple[nn.Module, Any]]:
    return [(analog, None), (model, PARAMS)]


def test_a_model_on_hardware_keeps_what_it_is(model: Small) -> None:
    analog = from_torch(model, {"functional": PARAMS, "head": PARAMS}, bias_rows=1, seed=5)
    before = copy.deepcopy(analog.state_dict())
    found = crossohm.calibrate(analog, IMAGES)
    assert list(found.layers) == ["functional", "head"]
    for layer, params in zip(analog_modules(analog), found.hardware.values(), strict=True):
        assert layer.params == PARAMS
        assert params.core.mapping.inputs.mvm.max >= 1
        layer.params = params
    assert {name: value.dtype for name, value in analog.state_dict().items()} == {k: v.dtype for k, v in before.items()}
    assert TorchNetwork(analog).outputs(IMAGES).std() > 0


def test_the_model_is_not_changed(model: Small) -> None:
    model.train()
    before = copy.deepcopy(model.state_dict())
    crossohm.calibrate(model, IMAGES, PARAMS)
    assert model.training
    assert model.norm.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("form", ["tensor", "loader", "labelled loader"])
def test_loaders(model: Small, form: str) -> None:
    x = torch.from_numpy(IMAGES)
    data: Any = {
        "tensor": x,
        "loader": DataLoader(x, batch_size=16),
        "labelled loader": DataLoader(TensorDataset(x, torch.zeros(60)), batch_size=25),
    }[form]
    found = crossohm.calibrate(model, data, PARAMS)
    expected = crossohm.calibrate(model, IMAGES, PARAMS)
    assert found.images == 60
    for name in found.layers:
        assert adc_range(found, name) == pytest.approx(adc_range(expected, name), rel=0.02)


def test_double_precision_models(model: Small) -> None:
    found = crossohm.calibrate(model.double(), IMAGES, PARAMS)
    assert all(np.isfinite(adc_range(found, name)).all() for name in found.layers)


def test_sequences_with_bias_lines() -> None:
    torch.manual_seed(0)
    analog = from_torch(nn.LSTM(3, 4, batch_first=True), PARAMS, bias_rows=2, seed=1)
    x = 0.1 * torch.randn(5, 6, 3)
    with analog.core.profile() as seen:
        analog(x)
    assert seen.constants
    assert seen.inputs["mvm"].high < 1
    assert seen.inputs["mvm"].total == 5 * 6 * (3 + 4)


def test_layers_with_a_description_per_array_are_refused() -> None:
    several = [hardware(CONVERTERS, {"core.rows_max": 4})] * 2
    analog = from_torch(nn.Sequential(nn.Linear(8, 3)), [several], seed=1)
    with pytest.raises(crossohm.UnsupportedError, match="layer '0' has descriptions for single arrays"):
        crossohm.calibrate(analog, np.zeros((2, 8), np.float32))
