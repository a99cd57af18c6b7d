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


def test_what_cannot_be_traced_has_no_floors() -> None:
    class Branching(Small):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > -1e9 else x

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
