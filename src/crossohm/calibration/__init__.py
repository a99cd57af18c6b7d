"""From what is seen on real inputs to converter ranges."""

from crossohm.calibration.model import calibrate, calibrate_network
from crossohm.calibration.ranges import ChosenRange, Objective, percentile_range
from crossohm.calibration.result import Calibration, LayerRanges
from crossohm.chain.inspection.histogram import StreamingHistogram
from crossohm.layers.hardware import CalibratedHardware
from crossohm.layers.network import Calibratable, Network

__all__ = [
    "Calibratable",
    "CalibratedHardware",
    "Calibration",
    "ChosenRange",
    "LayerRanges",
    "Network",
    "Objective",
    "StreamingHistogram",
    "calibrate",
    "calibrate_network",
    "percentile_range",
]
