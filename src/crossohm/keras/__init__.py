"""Analog layers for Keras 3, on its TensorFlow, JAX and PyTorch backends."""

from __future__ import annotations

from crossohm.keras.conversion.convert import (
    analog_layers,
    convertible_layers,
    from_keras,
    inconvertible_layers,
    reinitialize,
    synchronize,
    to_keras,
)
from crossohm.keras.conversion.kinds import register
from crossohm.keras.conversion.report import conversion_report
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
from crossohm.keras.layers.embedding import AnalogEmbedding
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.keras.layers.rnn import AnalogGRU, AnalogLSTM, AnalogRNN, AnalogSimpleRNN
from crossohm.keras.layers.separable import AnalogSeparableConv1D, AnalogSeparableConv2D
from crossohm.keras.loading import load_model

__all__ = [
    "AnalogConv1D",
    "AnalogConv1DTranspose",
    "AnalogConv2D",
    "AnalogConv2DTranspose",
    "AnalogConv3D",
    "AnalogConv3DTranspose",
    "AnalogDense",
    "AnalogDepthwiseConv1D",
    "AnalogDepthwiseConv2D",
    "AnalogEinsumDense",
    "AnalogEmbedding",
    "AnalogGRU",
    "AnalogGRUCell",
    "AnalogGroupQueryAttention",
    "AnalogLSTM",
    "AnalogLSTMCell",
    "AnalogLayer",
    "AnalogMultiHeadAttention",
    "AnalogRNN",
    "AnalogSeparableConv1D",
    "AnalogSeparableConv2D",
    "AnalogSimpleRNN",
    "AnalogSimpleRNNCell",
    "analog_layers",
    "conversion_report",
    "convertible_layers",
    "from_keras",
    "inconvertible_layers",
    "load_model",
    "register",
    "reinitialize",
    "synchronize",
    "to_keras",
]
