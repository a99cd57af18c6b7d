"""Specifications of converters for the tests of this folder."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from crossohm.circuits import Converter, DACConverter, build_dac, get_adc

# The fields of crossohm.params.ADCParameters and DACParameters: what a converter may read of its specification.
_ADC_FIELDS = {
    "signed": True,
    "stochastic_rounding": False,
    "gain_db": 100.0,
    "sigma_capacitor": 0.0,
    "sigma_comparator": 0.0,
    "symmetric_cdac": True,
    "split_cdac": True,
    "group_size": 8,
    "sigma_C1": 0.0,
    "sigma_C2": 0.0,
    "sigma_Cpar": 0.0,
}
_DAC_FIELDS = {"signed": True, "input_bitslicing": False, "slice_size": 1}

CIRCUIT_ADCS = ("RampADC", "SarADC", "PipelineADC", "CyclicADC")
ALL_ERRORS = {
    "sigma_capacitor": 0.03,
    "sigma_comparator": 0.02,
    "sigma_C1": 0.03,
    "sigma_C2": 0.03,
    "sigma_Cpar": 0.02,
    "gain_db": 40.0,
}


def adc_spec(model: str, bits: int, **fields: Any) -> Any:
    return SimpleNamespace(**{"model": model, "bits": bits, **_ADC_FIELDS, **fields})


def build_adc(
    model: str, bits: int, low: float, high: float, lines: int = 4, seed: int = 0, **fields: Any
) -> Converter:
    spec = adc_spec(model, bits, **fields)
    adc = get_adc(model, "adc.model")
    adc.check(spec, low, high, "adc")
    return adc.build(spec, low, high, adc.mismatch(spec, lines, np.random.default_rng(seed)))


def make_dac(model: str, bits: int, low: float = -1.0, high: float = 1.0, **fields: Any) -> DACConverter:
    spec: Any = SimpleNamespace(**{"model": model, "bits": bits, **_DAC_FIELDS, **fields})
    return build_dac(spec, low, high, "dac")
