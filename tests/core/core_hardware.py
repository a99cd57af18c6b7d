"""Hardware descriptions by dotted paths, and the mapping styles every law is tested on."""

from __future__ import annotations

from typing import Any

from crossohm import AnalogCore, CrossSimParameters

INFINITE = {"xbar.device.infinite_on_off_ratio": True}

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

#: Largest code of the sliced styles: integer matrices up to it, with this weight range, are stored exactly.
FULL_CODE = 127
EXACT_RANGE = {
    "core.mapping.weights.percentile": None,
    "core.mapping.weights.min": -FULL_CODE,
    "core.mapping.weights.max": FULL_CODE,
}


def hardware(*overrides: dict[str, Any]) -> CrossSimParameters:
    """Default parameters with overrides by dotted path, later ones winning."""
    params = CrossSimParameters()
    for changes in overrides:
        params.update(changes)
    return params


def core_on(matrix: Any, *overrides: dict[str, Any], seed: int = 1) -> AnalogCore:
    """A core on default hardware with overrides."""
    return AnalogCore(matrix, hardware(*overrides), seed=seed)
