"""Which analog layer stands for which Keras layer; users add their own."""

from __future__ import annotations

from typing import Any

from crossohm.keras.layers.attention import AnalogGroupQueryAttention, AnalogMultiHeadAttention
from crossohm.keras.layers.cells import AnalogGRUCell, AnalogLSTMCell, AnalogSimpleRNNCell
from crossohm.keras.layers.conv import (
    AnalogConv1D,
    AnalogConv1DTranspose,
    AnalogConv2D,
    AnalogConv2DTranspose,
    AnalogConv3D,
    AnalogConv3DTranspose,
    AnalogDepthwiseConv1D,
    AnalogDepthwiseConv2D,
)
from crossohm.keras.layers.dense import AnalogDense
from crossohm.keras.layers.einsum import AnalogEinsumDense
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.keras.layers.rnn import AnalogGRU, AnalogLSTM, AnalogRNN, AnalogSimpleRNN
from crossohm.keras.layers.separable import AnalogSeparableConv1D, AnalogSeparableConv2D
from crossohm.layers.kinds import Kinds

_KINDS: tuple[type[AnalogLayer], ...] = (
    AnalogDense,
    AnalogConv1D,
    AnalogConv2D,
    AnalogConv3D,
    AnalogConv1DTranspose,
    AnalogConv2DTranspose,
    AnalogConv3DTranspose,
    AnalogDepthwiseConv1D,
    AnalogDepthwiseConv2D,
    AnalogSeparableConv1D,
    AnalogSeparableConv2D,
    AnalogRNN,
    AnalogSimpleRNN,
    AnalogLSTM,
    AnalogGRU,
    AnalogSimpleRNNCell,
    AnalogLSTMCell,
    AnalogGRUCell,
    AnalogMultiHeadAttention,
    AnalogGroupQueryAttention,
    AnalogEinsumDense,
)
#: Analog layer kinds by the exact Keras type they stand for.
ANALOG_KINDS: Kinds[type[AnalogLayer]] = Kinds(AnalogLayer, _KINDS)
register = ANALOG_KINDS.register


def is_convertible(layer: Any) -> bool:
    """True if an analog kind stands for ``layer``."""
    kind = ANALOG_KINDS.get(type(layer))
    return kind is not None and kind.converts(layer)
