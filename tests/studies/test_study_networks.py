"""What studies ask of a network beyond calibration: layers left digital, biases on rows, deviations layer by layer."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from crossohm import CrossSimParameters, ParameterError
from crossohm.layers.hardware import layer_hardware
from crossohm.studies.nonidealities import without
from crossohm.torch.network import TorchNetwork

NOISY = CrossSimParameters()
NOISY.update({"xbar.device.programming_error": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.05}})


class Recurrent(nn.Module):
    """Two kinds of layers: one with a matrix per direction, one with one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.rnn = nn.GRU(4, 6, num_layers=2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


X = np.random.default_rng(2).normal(size=(20, 5, 4)).astype(np.float32)
NETWORK = TorchNetwork(Recurrent().eval(), batch_size=8)


def test_layers_left_digital_are_exact() -> None:
    assert NETWORK.convertible == ("rnn", "head")
    mixed = NETWORK.on_hardware([None, NOISY], seed=1)
    assert list(mixed.layers) == ["head"]
    with mixed.compared(NETWORK.folded()) as found:
        outputs = mixed.outputs(X)
    wanted = NETWORK.outputs(X).astype(float)
    assert found["head"].signal == pytest.approx(np.sum(wanted**2), rel=1e-5)
    assert found["head"].noise == pytest.approx(np.sum((outputs - wanted) ** 2), rel=1e-3)
    np.testing.assert_array_equal(NETWORK.on_hardware([None, None], seed=1).outputs(X), NETWORK.outputs(X))


def test_layers_with_several_matrices_are_compared_as_a_whole() -> None:
    analog = NETWORK.on_hardware([NOISY, NOISY], seed=1)
    assert len(analog.cores) == 3
    with analog.compared(NETWORK.folded()) as found:
        analog.outputs(X)
    with torch.no_grad():
        wanted = NETWORK.module.rnn(torch.from_numpy(X))[0].double()
    assert found["rnn"].signal == pytest.approx(float(wanted.square().sum()), rel=1e-5)
    assert 0 < found["rnn"].noise < found["rnn"].signal


def test_biases_on_rows_by_layer() -> None:
    analog = NETWORK.on_hardware([NOISY, NOISY], seed=1, bias_rows={"rnn": 0, "head": 2})
    assert analog.cores["head"].ncol == 6 + 2


def test_coarse_biases_keep_their_ends() -> None:
    coarse, fine = (net.module.rnn.bias_ih_l0.detach() for net in (NETWORK.with_bias_bits(2), NETWORK))
    assert [float(coarse.min()), float(coarse.max())] == pytest.approx([float(fine.min()), float(fine.max())])
    assert len(coarse.unique()) == 4
    step = float(fine.max() - fine.min()) / 3
    assert float((coarse - fine).abs().max()) <= step / 2 * 1.001


def test_biases_in_steps_of_the_adc() -> None:
    torch.manual_seed(1)
    layer = nn.Linear(3, 5)
    params = CrossSimParameters(xbar={"device": {"infinite_on_off_ratio": True}})
    adc = {"model": "SignMagnitudeADC", "bits": 4, "adc_range_option": "MAX"}
    params.update({f"xbar.adc.mvm.{name}": value for name, value in adc.items()})
    analog = TorchNetwork(layer).on_hardware([params], seed=1)
    coarse = analog.with_biases_in_adc_steps()
    found, x = coarse.module.bias.detach(), np.eye(3, dtype=np.float32)
    products = coarse.outputs(x) - found.numpy()
    step = np.diff(np.unique(np.round(products, 6))).min()  # 3 cells over 7 levels of each sign
    assert step == pytest.approx(float(layer.weight.detach().abs().max()) * 3 / 7, rel=1e-4)
    np.testing.assert_allclose(found / step, np.round(layer.bias.detach().numpy() / step), atol=1e-4)
    torch.testing.assert_close(analog.module.bias, layer.bias)  # the one it was made from stays as it is


def test_biases_of_sliced_weights_have_no_step() -> None:
    params = CrossSimParameters()
    params.update({"core.style": "BITSLICED", "core.weight_bits": 8, "core.bit_sliced.num_slices": 2})
    adc = {"model": "SignMagnitudeADC", "bits": 8, "adc_range_option": "MAX"}
    params.update({f"xbar.adc.mvm.{name}": value for name, value in adc.items()})
    with pytest.raises(ParameterError, match="no one step"):
        TorchNetwork(nn.Linear(3, 5)).on_hardware([params], seed=1).with_biases_in_adc_steps()


def test_causes_are_taken_from_every_matrix() -> None:
    cured = without(layer_hardware([[NOISY], [NOISY]]), ["programming_error"])
    assert [[part.xbar.device.programming_error.enable for part in matrix] for matrix in cured] == [[False], [False]]


def test_the_digest_sees_weights_and_architecture() -> None:
    def digest(change: float = 0.0, size: int = 3) -> str:
        torch.manual_seed(0)
        layer = nn.Linear(3, size)
        with torch.no_grad():
            layer.weight[0, 0] += change
        return TorchNetwork(nn.Sequential(layer)).digest

    assert digest() == digest()
    assert len({digest(), digest(0.1), digest(size=4)}) == 3
