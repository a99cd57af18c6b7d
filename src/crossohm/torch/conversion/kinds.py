"""Which analog layer stands for which torch layer; users add their own."""

from __future__ import annotations

from torch import nn

from crossohm.layers.kinds import Kinds
from crossohm.torch.layers.attention import AnalogMultiheadAttention
from crossohm.torch.layers.cells import AnalogGRUCell, AnalogLSTMCell, AnalogRNNCell
from crossohm.torch.layers.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from crossohm.torch.layers.conv_transpose import AnalogConvTranspose1d, AnalogConvTranspose2d, AnalogConvTranspose3d
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
#: Analog layer kinds by the exact torch type they stand for.
ANALOG_KINDS: Kinds[type[AnalogLayer]] = Kinds(AnalogLayer, _KINDS)
register = ANALOG_KINDS.register


def is_convertible(module: nn.Module) -> bool:
    """True if an analog kind stands for ``module``."""
    kind = ANALOG_KINDS.get(type(module))
    return kind is not None and kind.converts(module)
