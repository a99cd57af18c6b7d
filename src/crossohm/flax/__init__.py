"""Analog layers for Flax NNX."""

from crossohm.flax.chip import Programmed
from crossohm.flax.layers.layer import AnalogLayer
from crossohm.flax.layers.linear import AnalogLinear

__all__ = ["AnalogLayer", "AnalogLinear", "Programmed"]
