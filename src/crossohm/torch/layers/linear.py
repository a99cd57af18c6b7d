"""`AnalogLinear`: a dense layer on simulated arrays."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from crossohm.chain import Dense, dense_map
from crossohm.errors import ShapeError
from crossohm.layers.hardware import Hardware
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import dense
from crossohm.torch.layers.layer import reshaped
from crossohm.torch.layers.weighted import WeightedLayer
from crossohm.torch.tracing import untraced


@final
class AnalogLinear(WeightedLayer, nn.Linear):
    """`torch.nn.Linear` whose product runs on analog arrays.

    Args:
        params: The hardware: one description, or a list with one per array (output partitions outermost).
        in_features: Size of each input vector.
        out_features: Size of each output vector.
        bias: If True, add a learnable bias.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_rows: Matrix columns that hold the bias, driven with one; 0 adds it digitally.
        seed: The chip; None draws one.
        name: Name of the core; layers of one chip need different names to have independent errors.

    Shape:
        As `torch.nn.Linear`: ``(*, in_features)`` to ``(*, out_features)``.
    """

    digital_type = nn.Linear

    def __init__(
        self,
        params: Hardware,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_rows: int = 0,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias=bias, device=device, dtype=dtype)
        self.install(params, bias_rows, seed, name)

    @untraced
    def forward(self, input: Tensor) -> Tensor:
        """Multiply all vectors along the last axis."""
        if input.ndim == 0 or input.shape[-1] != self.in_features:
            raise ShapeError(
                f"input of shape {tuple(input.shape)} does not fit AnalogLinear(in_features={self.in_features}); "
                f"expected (*, {self.in_features})"
            )
        if input.ndim == 2:
            return self._through_arrays(input)
        y = self._through_arrays(input.reshape(input.shape[:-1].numel(), self.in_features))
        return reshaped(y, (*input.shape[:-1], self.out_features))

    @property
    def _bias_lines(self) -> int:
        return self._bias_columns

    def _contraction(self) -> Dense:
        ones = self._bias_columns
        return dense_map(self.in_features + ones, ones)

    def layout(self, bias_columns: int) -> Layout:
        """Where weight and bias lie in the matrix, with so many columns for the bias."""
        return dense(self.out_features, self.in_features, bias_columns)
