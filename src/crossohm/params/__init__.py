"""The hardware description: a typed, checked tree of parameters, read from and written to JSON or YAML.

One module for each group: `core` (mapping), `device`, `array`, `converters`, `simulation`; `root` joins them, `base`
holds what every group can do. `checks` is about several parameters at once: it registers with the root, which runs it.
`crosssim` makes descriptions from the keywords of CrossSim's helpers.
"""

from crossohm.params.array import ArrayParameters, ParasiticsParameters
from crossohm.params.base import Group
from crossohm.params.checks import Advice, switched_off, without_effect
from crossohm.params.converters import ADCPair, ADCParameters, DACPair, DACParameters
from crossohm.params.core import (
    BalancedParameters,
    BitSlicedParameters,
    CoreParameters,
    InputMappingPair,
    InputMappingParameters,
    MappingParameters,
    OffsetParameters,
    WeightMappingParameters,
)
from crossohm.params.crosssim import dnn_inference_params, mvm_params
from crossohm.params.device import DeviceModelParameters, DeviceParameters
from crossohm.params.enums import (
    ADCRangeLimits,
    BalancedCoreStyle,
    BitSlicedCoreStyle,
    CoreStyle,
    OffsetCoreStyle,
    OutputDType,
    PartitionStrategy,
)
from crossohm.params.files import preset_names
from crossohm.params.measurements import Measurements
from crossohm.params.root import CrossSimParameters, XbarParameters
from crossohm.params.simulation import AnalyticsParameters, ConvolutionParameters, SimulationParameters

__all__ = [
    "ADCPair",
    "ADCParameters",
    "ADCRangeLimits",
    "Advice",
    "AnalyticsParameters",
    "ArrayParameters",
    "BalancedCoreStyle",
    "BalancedParameters",
    "BitSlicedCoreStyle",
    "BitSlicedParameters",
    "ConvolutionParameters",
    "CoreParameters",
    "CoreStyle",
    "CrossSimParameters",
    "DACPair",
    "DACParameters",
    "DeviceModelParameters",
    "DeviceParameters",
    "Group",
    "InputMappingPair",
    "InputMappingParameters",
    "MappingParameters",
    "Measurements",
    "OffsetCoreStyle",
    "OffsetParameters",
    "OutputDType",
    "ParasiticsParameters",
    "PartitionStrategy",
    "SimulationParameters",
    "WeightMappingParameters",
    "XbarParameters",
    "dnn_inference_params",
    "mvm_params",
    "preset_names",
    "switched_off",
    "without_effect",
]
