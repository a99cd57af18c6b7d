"""The hardware that every law is tested on: one table of mappings and effects, by dotted paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossohm.params import CrossSimParameters

Settings = Mapping[str, Any]

#: Every way signed weights are stored, on plain and on sliced cells.
STYLES: dict[str, dict[str, Any]] = {
    "balanced": {"core.style": "BALANCED"},
    "two-sided": {"core.style": "BALANCED", "core.balanced.style": "TWO_SIDED"},
    "digital-subtraction": {"core.style": "BALANCED", "core.balanced.subtract_current_in_xbar": False},
    "interleaved": {"core.style": "BALANCED", "core.balanced.interleaved_posneg": True},
    "offset": {"core.style": "OFFSET"},
    "unit-column": {"core.style": "OFFSET", "core.offset.style": "UNIT_COLUMN_SUBTRACTION"},
    "sliced-balanced": {"core.style": "BITSLICED", "core.bit_sliced.num_slices": 3, "core.weight_bits": 8},
    "sliced-digital-subtraction": {
        "core.style": "BITSLICED",
        "core.bit_sliced.num_slices": 2,
        "core.weight_bits": 8,
        "core.balanced.subtract_current_in_xbar": False,
    },
    "sliced-offset": {
        "core.style": "BITSLICED",
        "core.bit_sliced.style": "OFFSET",
        "core.bit_sliced.num_slices": 4,
        "core.weight_bits": 8,
    },
    "sliced-unit-column": {
        "core.style": "BITSLICED",
        "core.bit_sliced.style": "OFFSET",
        "core.bit_sliced.num_slices": 3,
        "core.weight_bits": 8,
        "core.offset.style": "UNIT_COLUMN_SUBTRACTION",
    },
}
#: Styles that hold real weights, and those that hold whole numbers of steps.
PLAIN = tuple(name for name, settings in STYLES.items() if settings["core.style"] != "BITSLICED")
SLICED = tuple(name for name in STYLES if name not in PLAIN)

INFINITE = {"xbar.device.infinite_on_off_ratio": True}
#: Largest code of the sliced styles: integer matrices up to it, with this weight range, are stored exactly.
FULL_CODE = 127
EXACT_RANGE = {
    "core.mapping.weights.percentile": None,
    "core.mapping.weights.min": -FULL_CODE,
    "core.mapping.weights.max": FULL_CODE,
}
#: A current limit far away and cells that leak: keeps slices, signs and partitions apart, as converters would.
APART = {"xbar.array.Icol_max": 1e6, "xbar.device.Rmax": 1e5}
CONVERTERS = {
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 8,
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 8,
    "xbar.adc.mvm.adc_range_option": "MAX",
}
PROGRAMMING_ERROR = {
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalIndependentDevice",
    "xbar.device.programming_error.magnitude": 0.05,
}
#: Programming errors that leave programmed zeros at zero.
PROPORTIONAL_ERROR = {
    **PROGRAMMING_ERROR,
    **INFINITE,
    "xbar.device.programming_error.model": "NormalProportionalDevice",
}
READ_NOISE = {
    "xbar.device.read_noise.enable": True,
    "xbar.device.read_noise.model": "NormalIndependentDevice",
    "xbar.device.read_noise.magnitude": 0.02,
    "xbar.device.clip_conductance": False,
}


def hardware(*overrides: Settings) -> CrossSimParameters:
    """Default parameters with overrides by dotted path, later ones winning."""
    params = CrossSimParameters()
    for changes in overrides:
        params.update(dict(changes))
    return params
