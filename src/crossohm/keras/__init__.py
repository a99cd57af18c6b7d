"""Analog layers for Keras 3, on its TensorFlow, JAX and PyTorch backends."""

from __future__ import annotations

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
from crossohm.keras.layers.layer import AnalogLayer

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
    "AnalogLayer",
]
