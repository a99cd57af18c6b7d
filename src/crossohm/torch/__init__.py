"""PyTorch front end: layers and whole networks whose matrix products run on simulated analog arrays.

Example::

    from crossohm.torch import from_torch, reinitialize

    analog = from_torch(model, params, seed=1)   # model stays as it is
    logits = analog(images)
    reinitialize(analog)                         # the same network on another chip

An analog layer is also an instance of the torch layer it stands for; its ``weight`` and ``bias`` are ordinary
parameters with the ideal values, so optimizers, ``state_dict`` and initialisers work as usual. Gradients are those of
the ideal layer with the weights the arrays hold (straight through converters and noise), or those of the whole chain;
see `AnalogLayer.gradient`. The programmed chip is part of ``state_dict``.
"""

from crossohm.errors import MissingDependencyError

try:
    import torch as _torch  # noqa: F401 - only to find out whether it is there
except ModuleNotFoundError as error:
    raise MissingDependencyError("torch", "torch", "crossohm.torch") from error

from crossohm.layers.report import ConversionReport, ReportedLayer
from crossohm.torch.arrays.held import HeldMatrix
from crossohm.torch.conversion.convert import (
    analog_modules,
    convertible_modules,
    from_torch,
    inconvertible_modules,
    reinitialize,
    synchronize,
    to_torch,
)
from crossohm.torch.conversion.kinds import register
from crossohm.torch.conversion.report import conversion_report
from crossohm.torch.insitu.conv import InSituConv2d
from crossohm.torch.insitu.convert import from_in_situ, to_in_situ
from crossohm.torch.insitu.layer import InSituLayer
from crossohm.torch.insitu.linear import InSituLinear
from crossohm.torch.insitu.optimizer import AnalogSGD
from crossohm.torch.layers.attention import AnalogMultiheadAttention
from crossohm.torch.layers.cells import AnalogGRUCell, AnalogLSTMCell, AnalogRNNCell
from crossohm.torch.layers.conv import AnalogConv1d, AnalogConv2d, AnalogConv3d
from crossohm.torch.layers.conv_transpose import AnalogConvTranspose1d, AnalogConvTranspose2d, AnalogConvTranspose3d
from crossohm.torch.layers.embedding import AnalogEmbedding
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.layers.linear import AnalogLinear
from crossohm.torch.layers.rnn import AnalogGRU, AnalogLSTM, AnalogRNN
from crossohm.torch.network import TorchNetwork
from crossohm.torch.profiling import profile
from crossohm.torch.recorded import get_conductance_matrices, get_profiled_adc_inputs, get_profiled_xbar_inputs
from crossohm.torch.training import reprogramming

__all__ = [
    "AnalogConv1d",
    "AnalogConv2d",
    "AnalogConv3d",
    "AnalogConvTranspose1d",
    "AnalogConvTranspose2d",
    "AnalogConvTranspose3d",
    "AnalogEmbedding",
    "AnalogGRU",
    "AnalogGRUCell",
    "AnalogLSTM",
    "AnalogLSTMCell",
    "AnalogLayer",
    "AnalogLinear",
    "AnalogMultiheadAttention",
    "AnalogRNN",
    "AnalogRNNCell",
    "AnalogSGD",
    "ConversionReport",
    "HeldMatrix",
    "InSituConv2d",
    "InSituLayer",
    "InSituLinear",
    "ReportedLayer",
    "TorchNetwork",
    "analog_modules",
    "conversion_report",
    "convertible_modules",
    "from_in_situ",
    "from_torch",
    "get_conductance_matrices",
    "get_profiled_adc_inputs",
    "get_profiled_xbar_inputs",
    "inconvertible_modules",
    "profile",
    "register",
    "reinitialize",
    "reprogramming",
    "synchronize",
    "to_in_situ",
    "to_torch",
]
