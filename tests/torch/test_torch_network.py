"""Networks with layers of several matrices, as calibration and reports see them: every matrix has its own entry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_cases import CONVERTERS, hardware

from crossohm.calibration.model import calibrate_network
from crossohm.costs.occupancy import hardware_report
from crossohm.torch import TorchNetwork, from_torch

NAMES = (
    *("lstm.l0", "lstm.l0_reverse", "lstm.l1", "lstm.l1_reverse"),
    *("attention.query", "attention.key", "attention.value", "attention.out_proj"),
    "head",
)


class Reader(nn.Module):
    """Sequences of 5 vectors of 3 to 2 numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.lstm(x)[0]
        return self.head(self.attention(y[:, -1:], y, y)[0][:, 0])


@pytest.fixture
def network() -> TorchNetwork:
    return TorchNetwork(Reader(), batch_size=7)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(2).uniform(-3, 3, (20, 5, 3)).astype(np.float32)


def test_every_matrix_has_its_name_core_and_hardware(network, images):
    assert network.convertible == ("lstm", "attention", "head")
    rows = [hardware({"core.rows_max": 4 + i}) for i in range(9)]
    chip = network.on_hardware([[[params] for params in rows[:4]], [[params] for params in rows[4:8]], rows[8]], seed=1)
    assert tuple(chip.cores) == NAMES
    assert [core.params.core.rows_max for core in chip.cores.values()] == list(range(4, 13))
    assert set(list(chip.kinds.values())[4:8]) == {"MultiheadAttention"}
    np.testing.assert_allclose(chip.outputs(images), network.outputs(images), atol=1e-5)


def test_products_are_counted_per_matrix(network, images):
    chip = network.on_hardware([hardware()] * 3, seed=1)
    expected = dict.fromkeys(NAMES, 5) | {"attention.query": 1, "attention.out_proj": 1, "head": 1}
    assert chip.vectors_per_image(images[0]) == expected
    # Both signs of the weights have an array.
    assert [layer.mvms for layer in hardware_report(chip, images[0]).layers] == [
        2 * count for count in expected.values()
    ]


def test_ranges_are_calibrated_per_matrix(network, images):
    plain = hardware(CONVERTERS)
    ranged = calibrate_network(network, [plain] * 3, images)
    assert [len(layer) for layer in ranged[:2]] == [4, 4]
    chip = TorchNetwork(from_torch(network.module, ranged, seed=1))
    reach = {name: core.params.core.mapping.inputs.mvm.max for name, core in chip.cores.items()}
    assert reach["lstm.l0"] == pytest.approx(float(np.abs(images).max()), rel=1e-6)
    # Hidden states are below one, and the query sees only the last of those that keys and values see.
    assert reach["lstm.l1"] < 1
    assert reach["attention.query"] <= reach["attention.key"] == reach["attention.value"]
    digital = network.outputs(images)

    def error(params: list) -> float:
        return float(np.abs(network.on_hardware(params, seed=1).outputs(images) - digital).max())

    assert 3 * error(ranged) < error([plain] * 3)


def test_a_layer_may_be_the_whole_network():
    gru = TorchNetwork(nn.GRUCell(3, 4))
    assert gru.convertible == ("",)
    chip = gru.on_hardware([hardware({"core.rows_max": 4})], seed=1)
    assert [core.Ncores for core in chip.cores.values()] == [2]
    layer = TorchNetwork(nn.MultiheadAttention(4, 2))
    chip = layer.on_hardware([[[hardware({"core.rows_max": rows})] for rows in (1, 2, 3, 4)]], seed=1)
    assert list(chip.cores) == [".query", ".key", ".value", ".out_proj"]
    assert [core.Ncores for core in chip.cores.values()] == [4, 2, 2, 1]
