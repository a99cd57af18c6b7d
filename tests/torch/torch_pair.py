"""A layer with two matrices, one of them formed of three parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossohm.chain import Dense
from crossohm.layers import Layout, Placement, View, dense, shared
from crossohm.torch import AnalogLayer


class Pair(nn.Module):
    """``W2 tanh(W1 x + b)`` with ``W1 = [u, v]`` stored as two parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.u, self.v = (nn.Parameter(torch.randn(4, 3, dtype=torch.float64)) for _ in range(2))
        self.bias = nn.Parameter(torch.randn(4, dtype=torch.float64))
        self.out = nn.Parameter(torch.randn(2, 4, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x @ torch.cat([self.u, self.v], dim=1).T + self.bias) @ self.out.T


class AnalogPair(AnalogLayer, Pair):
    digital_type = Pair

    def layouts(self, rows):
        view, every = View.of((4, 3)), slice(0, 4)
        beside = [Placement(name, view, every, every, slice(at, at + 3)) for name, at in (("u", 0), ("v", 3))]
        bias = [shared("bias", (4,), every, every, 6, rows)] if rows else []
        return {".first": Layout((4, 6 + rows), (*beside, *bias)), ".second": dense(2, 4, weight="out")}

    def forward(self, x):
        first, second = self.matrices
        ones = x.new_ones(len(x), self._rows)
        return second.product(torch.tanh(first.product(torch.cat([x, ones], dim=1), Dense(6 + self._rows))), Dense(4))
