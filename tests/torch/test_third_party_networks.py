"""Networks as others build them: converted, run on ideal and on 8-bit hardware, and converted back."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from _cifar10 import images, on_chips, trained
from cifar10_resnet20 import SETTINGS, SMALL
from torch import nn
from torch_cases import PROGRAMMING_ERROR, hardware, relative_error
from torch_networks import (
    MobileNetV2,
    ResNet50,
    TorchAttention,
    VisionTransformer,
    settled,
)

from crossohm.calibration.model import calibrate_network
from crossohm.torch import TorchNetwork, analog_modules, conversion_report, convertible_modules, from_torch, to_torch


def converters(bits: int) -> dict[str, Any]:
    """Weights, inputs and outputs with as many bits."""
    return {
        "xbar.device.cell_bits": bits - 1,
        "xbar.dac.mvm.model": "SignMagnitudeDAC",
        "xbar.dac.mvm.bits": bits,
        "xbar.adc.mvm.model": "QuantizerADC",
        "xbar.adc.mvm.bits": bits,
    }


#: Networks with random weights, their images, and how many layers have matrices (None: as many as convertible).
NETWORKS = {
    "resnet50": (lambda: ResNet50(width=8, classes=10), 64, 54),
    "mobilenet-v2": (lambda: MobileNetV2(width=0.25, classes=10), 64, 53),
    "vit": (VisionTransformer, 16, 14),
    "vit-torch-attention": (lambda: VisionTransformer(TorchAttention), 16, None),
}

pytestmark = pytest.mark.filterwarnings("ignore:layers with weights that stay digital:RuntimeWarning")


@pytest.fixture(params=NETWORKS, scope="module")
def network(request: pytest.FixtureRequest) -> tuple[nn.Module, torch.Tensor, int]:
    build, side, layers = NETWORKS[request.param]
    torch.manual_seed(7)
    x = torch.randn(32, 3, side, side)
    model = settled(build(), x)
    return model, x[:4], len(convertible_modules(model)) if layers is None else layers


@pytest.mark.parametrize("grouping", ["dense", "per_group"])
@pytest.mark.parametrize("fuse", [False, True])
@torch.no_grad()
def test_ideal_network_equals_its_twin(network, grouping, fuse):
    """Up to rounding, which is compared with torch's own."""
    model, x, layers = network
    arrays = hardware({"core.rows_max": 1152, "core.cols_max": 256})
    analog = from_torch(model, arrays, fuse_batchnorm=fuse, seed=1, grouping=grouping)
    assert len(analog_modules(analog)) == layers
    assert not (fuse and any(isinstance(module, nn.BatchNorm2d) for module in analog.modules()))
    exact = copy.deepcopy(model).double()(x.double())
    assert relative_error(analog(x).double(), exact) < 1e-6 + 4 * relative_error(model(x).double(), exact)


@torch.no_grad()
def test_the_way_back_is_exact(network):
    model, x, _ = network
    plain = to_torch(from_torch(model, hardware(PROGRAMMING_ERROR), bias_rows=1, seed=1))
    assert repr(plain) == repr(model)
    for ours, theirs in zip(plain.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(plain(x), model(x))


def test_calibrated_converters(network):
    model, x, _ = network
    digital, images, errors = TorchNetwork(model, grouping="per_group"), x.numpy(), {}
    expected = digital.outputs(images)
    for bits in (8, 12):
        params = calibrate_network(
            digital, [hardware(converters(bits))] * len(digital.convertible), images, percentile=100.0
        )
        found = digital.on_hardware(params, seed=1).outputs(images)
        errors[bits] = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 1e-3 < errors[8] < 0.1
    assert errors[12] < errors[8] / 8


def test_depthwise_layers_are_small_in_arrays_of_their_own():
    model = MobileNetV2(width=0.25, classes=10)
    cells = [
        sum(array.conductance.size for layer in analog_modules(analog) for array in layer.core.arrays)
        for analog in (from_torch(model, seed=1, grouping=how) for how in ("dense", "per_group"))
    ]
    assert cells[1] == 2 * sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    assert cells[0] > 5 * cells[1]


@pytest.mark.slow
def test_trained_resnet20_on_cifar10(shared):
    model = trained(shared / "data/models/resnet20_cifar10.pth")
    x, labels = images(shared / "data/cifar10/test_2000.npz", 100)
    network = TorchNetwork(model)
    expected = network.outputs(x)
    assert 0.75 < (expected.argmax(1) == labels).mean() < 0.87
    (ideal,) = on_chips(network, SETTINGS["ideal"], x, 1)
    assert (ideal == expected.argmax(1)).all()
    (found,) = on_chips(network, SMALL, x, 1)
    assert (found == expected.argmax(1)).mean() > 0.94

    small = hardware(PROGRAMMING_ERROR, {"core.rows_max": 144})
    analog = from_torch(model, small, bias_rows=1, fuse_batchnorm=True, seed=1)
    assert len(conversion_report(analog).analog) == 22
    plain = to_torch(from_torch(model, small, seed=1))
    assert np.array_equal(TorchNetwork(plain).outputs(x), expected)


def test_ideal_resnet20_has_the_outputs_of_its_twin(shared):
    network = TorchNetwork(trained(shared / "data/models/resnet20_cifar10.pth"))
    x, _ = images(shared / "data/cifar10/test_2000.npz", 50)
    expected = network.outputs(x)
    params = hardware({"core.rows_max": 144})
    found = network.on_hardware([params] * 22, seed=1).outputs(x)
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
