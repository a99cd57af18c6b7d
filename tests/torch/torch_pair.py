"""A layer with two matrices, one of them formed of three parameters."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from crossohm.chain import Dense
from crossohm.torch import AnalogLayer
from crossohm.torch.layers.layer import with_bias


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

    def _expressions(self, rows):
        yield ".first", partial(self._first, rows), self._of_first
        yield ".second", self._second, self._of_second

    def _first(self, rows):
        return with_bias(torch.cat([self.u, self.v], dim=1), self.bias, rows)

    def _of_first(self):
        return (self.u, self.v, self.bias)

    def _second(self):
        return self.out

    def _of_second(self):
        return (self.out,)

    def forward(self, x):
        first, second = self.matrices
        ones = x.new_ones(len(x), self._rows)
        return second.product(torch.tanh(first.product(torch.cat([x, ones], dim=1), Dense(6 + self._rows))), Dense(4))
