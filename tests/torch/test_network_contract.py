"""PyTorch keeps the contract of networks."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from crossohm.layers.network import Network, front_end, network_of
from crossohm.testing.network import NetworkContract
from crossohm.torch import TorchNetwork


class TestConvolutions(NetworkContract):
    """With BatchNorm, ReLUs and a dense layer."""

    def model(self) -> nn.Module:
        torch.manual_seed(3)
        layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6), nn.ReLU(),
            nn.Linear(6, 3),
        )  # fmt: skip
        norm = layers[1]
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.uniform_(-0.2, 0.2)
        norm.running_var.uniform_(0.5, 1.5)
        return layers

    def network(self, batch_size: int = 250) -> Network:
        return front_end("torch").network(self.model(), batch_size)

    def images(self) -> np.ndarray:
        return np.random.default_rng(0).normal(size=(5, 1, 6, 6)).astype(np.float32)

    def changed(self, network: Network) -> Network:
        assert isinstance(network, TorchNetwork)
        with torch.no_grad():
            next(iter(network.module.parameters())).view(-1)[0] += 1
        return network


class TestRecurrent(TestConvolutions):
    """Layers with several matrices, and several outputs."""

    def model(self) -> nn.Module:
        torch.manual_seed(4)
        return Tagger()

    def images(self) -> np.ndarray:
        return np.random.default_rng(1).normal(size=(5, 4, 6)).astype(np.float32)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.GRU(6, 5, num_layers=2, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.memory(x)[0][:, -1])


def test_a_module_finds_its_front_end() -> None:
    found = network_of(nn.Sequential(nn.Linear(3, 2)))
    assert isinstance(found, TorchNetwork)
    assert network_of(found) is found
