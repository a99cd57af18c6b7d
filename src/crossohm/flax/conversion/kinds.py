"""Which analog layer stands for which layer of Flax; users add their own."""

from __future__ import annotations

from typing import Any

from crossohm.flax.layers.conv import AnalogConv, AnalogConvTranspose
from crossohm.flax.layers.general import AnalogEinsum, AnalogLinearGeneral
from crossohm.flax.layers.layer import AnalogLayer
from crossohm.flax.layers.linear import AnalogLinear
from crossohm.flax.layers.recurrent import AnalogGRUCell, AnalogLSTMCell, AnalogOptimizedLSTMCell, AnalogSimpleCell
from crossohm.layers.kinds import Kinds

#: Analog layer kinds by the exact type of Flax they stand for.
ANALOG_KINDS: Kinds[type[AnalogLayer]] = Kinds(
    AnalogLayer,
    (
        AnalogLinear,
        AnalogLinearGeneral,
        AnalogEinsum,
        AnalogConv,
        AnalogConvTranspose,
        AnalogSimpleCell,
        AnalogLSTMCell,
        AnalogOptimizedLSTMCell,
        AnalogGRUCell,
    ),
)
register = ANALOG_KINDS.register


def is_convertible(module: Any) -> bool:
    """True if an analog kind stands for ``module``."""
    kind = ANALOG_KINDS.get(type(module))
    return kind is not None and not kind.obstacle(module)
