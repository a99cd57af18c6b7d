"""Converters at the edges of the array. Groups ``xbar.adc`` and ``xbar.dac``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, final

import numpy as np
from pydantic import BeforeValidator, Field

from crossohm.errors import ParameterError
from crossohm.params.base import HUGE, Bits, Flag, Group, Name, NonNegative, PositiveCount
from crossohm.params.enums import ADCRangeLimits
from crossohm.params.pairs import Pair


def _range_list(value: Any) -> Any:
    """A pair of numbers, or several pairs, as (nested) lists of floats; each level may be a list, tuple or array."""
    if value is None:
        return []
    value = _as_list(value)
    if isinstance(value, list) and len(value) == 2 and not any(isinstance(_as_list(end), list) for end in value):
        return [_number(_as_list(end), value) for end in value]
    if isinstance(value, list) and all(isinstance(_as_list(pair), list) for pair in value):
        return [[_number(end, value) for end in _as_list(pair)] for pair in value]
    raise _not_a_range(value)


def _as_list(value: Any) -> Any:
    """Sequences and arrays of any library as lists, numbers as they are."""
    return list(value) if isinstance(value, tuple) else value.tolist() if hasattr(value, "tolist") else value


def _number(end: Any, given: Any) -> float:
    is_number = isinstance(end, int | float | np.integer | np.floating) and not isinstance(end, bool)
    if not is_number or not abs(end) <= HUGE:  # refuses NaN, too
        raise _not_a_range(given)
    return float(end)


def _not_a_range(value: Any) -> ParameterError:
    return ParameterError("", value, "not a range", allowed="[], (min, max), or a list of (min, max), finite numbers")


Range = Annotated[list[float] | list[list[float]], BeforeValidator(_range_list)]
Limits = Annotated[Sequence[float], BeforeValidator(_range_list)]
Ranges = Annotated[Sequence[float] | Sequence[Sequence[float]], BeforeValidator(_range_list)]
Gain = Annotated[NonNegative, Field(le=400)]
SliceBits = Annotated[PositiveCount, Field(le=24)]


@final
class ADCParameters(Group):
    """Analog-to-digital converter of the output currents. One flat group: changing the model loses nothing.

    Currents are normalised: 1 = one cell at highest conductance and full-scale input.
    """

    model: Name = "IdealADC"
    """Name of a registered ADC model; IdealADC: no conversion."""
    bits: Bits = 0
    """Resolution; at most 16 for circuit models. 0: no conversion."""
    signed: Flag = True
    """The ADC distinguishes signs; SignMagnitudeADC must be signed. Limits follow from the range option."""
    stochastic_rounding: Flag = False
    """Round up with the probability of the fraction; QuantizerADC and SignMagnitudeADC only."""
    adc_per_ibit: Flag = False
    """Digitise every input bit slice and add digitally; False: add slices before the ADC."""
    calibrated_range: Range = Field(default_factory=list)
    """Limits for CALIBRATED, normalised current: (min, max), or one such pair per slice of a BITSLICED weight, least
    significant first. Empty or None: not calibrated."""
    adc_range_option: ADCRangeLimits = ADCRangeLimits.CALIBRATED
    """Where the limits come from."""
    gain_db: Gain = 100.0
    """Open-loop gain of the amplifiers of circuit models, dB."""
    sigma_capacitor: NonNegative = 0.0
    """Mismatch of a unit capacitor, relative standard deviation; RampADC, SarADC. 0: none."""
    sigma_comparator: NonNegative = 0.0
    """Comparator offset, standard deviation relative to the full-scale limit; circuit models. 0: none."""
    symmetric_cdac: Flag = True
    """Positive and negative levels share one set of capacitors; RampADC."""
    split_cdac: Flag = True
    """Capacitor array split by a bridge capacitor; SarADC."""
    group_size: PositiveCount = 8
    """Neighbouring output lines that share one converter; SarADC, PipelineADC, CyclicADC."""
    sigma_C1: NonNegative = 0.0
    """Mismatch of the feedback capacitor, relative standard deviation; PipelineADC, CyclicADC. 0: none."""
    sigma_C2: NonNegative = 0.0
    """Mismatch of the sampling capacitor, relative standard deviation; PipelineADC, CyclicADC. 0: none."""
    sigma_Cpar: NonNegative = 0.0
    """Parasitic input capacitance, standard deviation in units of C1; PipelineADC, CyclicADC. 0: none."""

    @property
    def converts(self) -> bool:
        """True if currents are digitised: there are a model and bits."""
        return self.bits > 0 and self.model != "IdealADC"

    @property
    def calibrated_pairs(self) -> list[list[float]]:
        """``calibrated_range`` as a list of pairs, one for each slice that it is given for; empty: not calibrated."""
        given = self.calibrated_range
        return [given] if given and not isinstance(given[0], list) else given  # type: ignore[return-value]


@final
class DACParameters(Group):
    """Digital-to-analog converter of the inputs."""

    model: Name = "IdealDAC"
    """Name of a registered DAC model; IdealDAC: no conversion."""
    bits: Bits = 0
    """Resolution, including the sign bit of SignMagnitudeDAC. 0: no conversion."""
    signed: Flag = True
    """Inputs may be negative; False: inputs are 0 or more and use all codes."""
    input_bitslicing: Flag = False
    """Apply inputs a few bits at a time, least significant first."""
    slice_size: SliceBits = 1
    """Bits applied at a time with input_bitslicing."""

    @property
    def converts(self) -> bool:
        """True if inputs are rounded to levels: there are a model and bits."""
        return self.bits > 0 and self.model != "IdealDAC"


@final
class ADCPair(Pair):
    """ADCs of the two operations."""

    mvm: ADCParameters = Field(default_factory=ADCParameters)
    """ADC of right multiplication, matrix @ x."""
    vmm: ADCParameters = Field(default_factory=ADCParameters)
    """ADC of left multiplication, x @ matrix."""


@final
class DACPair(Pair):
    """DACs of the two operations."""

    mvm: DACParameters = Field(default_factory=DACParameters)
    """DAC of right multiplication, matrix @ x."""
    vmm: DACParameters = Field(default_factory=DACParameters)
    """DAC of left multiplication, x @ matrix."""
