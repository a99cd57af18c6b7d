"""A linear layer trained on its own devices."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from crossohm.torch.insitu.layer import InSituLayer
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.rules.model import Rule


@final
class InSituLinear(InSituLayer):
    """``torch.nn.Linear`` whose weights and biases live on devices.

    Args:
        in_features: Inputs.
        out_features: Outputs.
        bias: Learn biases, on a column of devices that is driven with ones.
        settings: Kind of array; None: ideal devices in balanced pairs.
        limit: Weights from ``-limit`` to ``limit`` fill the range of the devices.
        rule: What is written where; None: every update goes onto the weights.
        seed: The chip.
        name: The array's name.

    Raises:
        ParameterError: a parameter is out of its range.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        settings: ArraySettings | None = None,
        limit: float = 1.0,
        rule: Rule | None = None,
        seed: int = 0,
        name: str = "linear",
    ) -> None:
        self.in_features, self.out_features, self.has_bias = in_features, out_features, bias
        super().__init__((out_features, in_features + bias), settings or ArraySettings(), limit, rule, seed, name)
        start = nn.Linear(in_features, out_features, bias)
        self.set_weights(matrix_of(start.weight, start.bias))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``(..., out_features)`` of inputs ``(..., in_features)``."""
        flat = x.reshape(-1, self.in_features)
        if self.has_bias:
            flat = torch.cat([flat, flat.new_ones(len(flat), 1)], dim=1)
        return self.product(flat, len(flat)).reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Sizes, as torch prints them."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.has_bias}"


def matrix_of(weight: Tensor, bias: Tensor | None) -> Tensor:
    """Weights as a matrix with a row per output, and the biases as its last column."""
    flat = weight.detach().reshape(len(weight), -1)
    return flat if bias is None else torch.cat([flat, bias.detach()[:, None]], dim=1)
