"""Which analog layer stands for which torch layer; users add their own."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn

from crossohm.layers.kinds import Kinds
from crossohm.torch.layers.attention import AnalogMultiheadAttention
from crossohm.torch.layers.cells import AnalogGRUCell, AnalogLSTMCell, AnalogRNNCell
from crossohm.torch.layers.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from crossohm.torch.layers.conv_transpose import AnalogConvTranspose1d, AnalogConvTranspose2d, AnalogConvTranspose3d
from crossohm.torch.layers.derived import derived_kind, foreign_kind, inherits_forward
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.layers.linear import AnalogLinear
from crossohm.torch.layers.rnn import AnalogGRU, AnalogLSTM, AnalogRNN

_KINDS: tuple[type[AnalogLayer], ...] = (
    AnalogLinear,
    AnalogConv1d,
    AnalogConv2d,
    AnalogConv3d,
    AnalogConvTranspose1d,
    AnalogConvTranspose2d,
    AnalogConvTranspose3d,
    AnalogRNN,
    AnalogLSTM,
    AnalogGRU,
    AnalogRNNCell,
    AnalogLSTMCell,
    AnalogGRUCell,
    AnalogMultiheadAttention,
)
#: Modules with matrix products.
MULTIPLYING = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.RNNCellBase, nn.Bilinear, nn.MultiheadAttention)
#: Analog layer kinds by the exact torch type they stand for; see `kind_of` for others.
ANALOG_KINDS: Kinds[type[AnalogLayer]] = Kinds(AnalogLayer, _KINDS)
register = ANALOG_KINDS.register


def kind_of(module: nn.Module) -> type[AnalogLayer] | None:
    """The analog kind that stands for ``module``, whatever its weights are; None if there is none."""
    digital: Any = type(module)
    known, kinds = ANALOG_KINDS.get(digital), tuple(ANALOG_KINDS.values())
    return _made_for(digital, kinds) if known is None else known


@cache
def _made_for(digital: Any, kinds: Any) -> type[AnalogLayer] | None:
    """A kind for a subclass of a layer that one of ``kinds`` stands for, or for a layer of another package."""
    foreign: Any = foreign_kind(digital)
    if foreign is not None:
        return derived_kind(foreign, digital)
    table: dict[Any, Any] = {kind.digital_type: kind for kind in kinds}
    base = next((one for one in digital.__mro__ if one in table), None)
    own = digital.__module__.partition(".")[0] == "torch"  # attention reads the weight of its subclass of Linear
    if base is None or own or issubclass(digital, AnalogLayer) or not inherits_forward(digital, base):
        return None
    return derived_kind(table[base], digital)


def is_convertible(module: nn.Module) -> bool:
    """True if an analog kind stands for ``module``."""
    kind = kind_of(module)
    return kind is not None and kind.converts(module)
