"""Which analog layer stands for which Keras layer; users add their own."""

from __future__ import annotations

from typing import Any, TypeVar

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

Kind = TypeVar("Kind", bound=type[AnalogLayer])

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


def register(kind: Kind) -> Kind:
    """Let `from_keras` convert every layer of type ``kind.digital_type`` into ``kind``; a class decorator.

    A redefinition of the same class (a notebook cell that is run again) replaces it.

    Raises:
        CrossOhmError: ``kind`` is no analog layer that is also its ``digital_type``, or the type has another kind.
    """
    ANALOG_KINDS.register(kind)
    return kind


def is_convertible(layer: Any) -> bool:
    """True if an analog kind stands for ``layer``."""
    kind = ANALOG_KINDS.get(type(layer))
    return kind is not None and kind.converts(layer)
