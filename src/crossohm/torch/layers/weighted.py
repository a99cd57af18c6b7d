"""Layers with one matrix, formed of a weight and perhaps a bias: linear layers and convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossohm.layers.array_layer import BiasRows
from crossohm.layers.layout import Layout
from crossohm.layers.product import DifferentiableContraction
from crossohm.torch.layers.layer import AnalogLayer, owns


class WeightedLayer(BiasRows, AnalogLayer):
    """Base of the layers with a ``weight`` and a ``bias``; a kind supplies what raises NotImplementedError here."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    convertible = staticmethod(owns("weight"))

    @property
    def analog_bias(self) -> bool:
        """True if the arrays hold the bias."""
        return self.bias is not None and self._rows > 0

    @property
    def _bias_columns(self) -> int:
        return self._rows if self._rows and self.bias is not None else 0

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix, with weight and bias."""
        return {"": self.layout(rows if self.bias is not None else 0)}

    def layout(self, bias_columns: int) -> Layout:
        """Where weight and bias lie in the matrix, with so many columns for the bias."""
        raise NotImplementedError

    def _through_arrays(self, x: Tensor) -> Tensor:
        """Outputs ``(batch, outputs, *positions)`` for inputs ``(batch, features, *positions)``, bias included."""
        bias = self.bias
        if self._rows and bias is not None:
            ones = x.new_ones(()).expand(x.shape[0], self._bias_lines, *x.shape[2:])
            x, bias = torch.cat([x, ones], dim=1), None
        return self._matrices[0].product(x, self._contraction(), bias)

    @property
    def _bias_lines(self) -> int:
        """Features of constant one that drive the bias columns."""
        raise NotImplementedError

    def _contraction(self) -> DifferentiableContraction:
        """How inputs, with the bias lines behind them, meet the matrix."""
        raise NotImplementedError
