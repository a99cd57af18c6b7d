"""Layers of Flax NNX on analog arrays, and networks built from cores of a fixed size."""

from crossohm.errors import MissingDependencyError

try:
    import flax as _flax  # noqa: F401 - only to find out whether it is there
except ModuleNotFoundError as error:
    raise MissingDependencyError("flax", "flax", "crossohm.flax") from error

from crossohm.flax.chip import Programmed
from crossohm.flax.conversion.convert import (
    analog_layers,
    convertible_layers,
    from_flax,
    reinitialize,
    synchronize,
    to_flax,
)
from crossohm.flax.conversion.kinds import register
from crossohm.flax.conversion.report import conversion_report
from crossohm.flax.eic.augment import Augmentation, encoded
from crossohm.flax.eic.comparator import NoisyComparator
from crossohm.flax.eic.cores import Accumulator, EICDense
from crossohm.flax.eic.device import on_chip, recalibrate
from crossohm.flax.eic.evaluation import Accuracy, evaluate
from crossohm.flax.eic.execution import Execution
from crossohm.flax.eic.files import load_network, save_network, shipped_network
from crossohm.flax.eic.net import EICBlock, EICNet
from crossohm.flax.eic.permute import PermuteBlock
from crossohm.flax.eic.training import Recipe, Trainer
from crossohm.flax.files import load_state, save_state
from crossohm.flax.layers.conv import AnalogConv, AnalogConvTranspose
from crossohm.flax.layers.embed import AnalogEmbed
from crossohm.flax.layers.general import AnalogEinsum, AnalogLinearGeneral
from crossohm.flax.layers.layer import AnalogLayer
from crossohm.flax.layers.linear import AnalogLinear
from crossohm.flax.layers.recurrent import AnalogGRUCell, AnalogLSTMCell, AnalogOptimizedLSTMCell, AnalogSimpleCell
from crossohm.flax.network import FlaxNetwork

__all__ = [
    "Accumulator",
    "Accuracy",
    "AnalogConv",
    "AnalogConvTranspose",
    "AnalogEinsum",
    "AnalogEmbed",
    "AnalogGRUCell",
    "AnalogLSTMCell",
    "AnalogLayer",
    "AnalogLinear",
    "AnalogLinearGeneral",
    "AnalogOptimizedLSTMCell",
    "AnalogSimpleCell",
    "Augmentation",
    "EICBlock",
    "EICDense",
    "EICNet",
    "Execution",
    "FlaxNetwork",
    "NoisyComparator",
    "PermuteBlock",
    "Programmed",
    "Recipe",
    "Trainer",
    "analog_layers",
    "conversion_report",
    "convertible_layers",
    "encoded",
    "evaluate",
    "from_flax",
    "load_network",
    "load_state",
    "on_chip",
    "recalibrate",
    "register",
    "reinitialize",
    "save_network",
    "save_state",
    "shipped_network",
    "synchronize",
    "to_flax",
]
