"""What rules look at: converters and ranges of the operations, vmm only where it is not the same as mvm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from crossohm.params.converters import ADCParameters, DACParameters
from crossohm.params.core import InputMappingParameters, RangeParameters
from crossohm.params.enums import CoreStyle
from crossohm.params.pairs import Pair
from crossohm.params.root import CrossSimParameters


@final
@dataclass(frozen=True)
class Operation:
    """The converters and input range of one operation."""

    side: str
    adc: ADCParameters
    dac: DACParameters
    inputs: InputMappingParameters


def operations(params: CrossSimParameters) -> Iterator[Operation]:
    """The operations whose parameters are not the same groups."""
    adc, dac, inputs = params.xbar.adc, params.xbar.dac, params.core.mapping.inputs
    yield Operation("mvm", adc.mvm, dac.mvm, inputs.mvm)
    if not (adc.match and dac.match and inputs.match):
        yield Operation("vmm", adc.vmm, dac.vmm, inputs.vmm)


def sides(pair: Pair) -> tuple[str, ...]:
    """Names of the sides of a pair that are not the same group."""
    return ("mvm",) if pair.match else ("mvm", "vmm")


def dacs(params: CrossSimParameters) -> Iterator[tuple[str, DACParameters]]:
    """Path and parameters of each DAC."""
    return ((f"xbar.dac.{side}", getattr(params.xbar.dac, side)) for side in sides(params.xbar.dac))


def adcs(params: CrossSimParameters) -> Iterator[tuple[str, ADCParameters]]:
    """Path and parameters of each ADC."""
    return ((f"xbar.adc.{side}", getattr(params.xbar.adc, side)) for side in sides(params.xbar.adc))


def converts(adc: ADCParameters) -> bool:
    """True if the ADC does anything."""
    return adc.bits > 0 and adc.model != "IdealADC"


def sees_both_signs(params: CrossSimParameters, dac: DACParameters) -> bool:
    """True if the currents that ADCs digitise may be negative: inputs have a sign, or pairs are subtracted before."""
    core = params.core
    subtracted = core.balanced.subtract_current_in_xbar or core.style is CoreStyle.BITSLICED
    return dac.signed or (core.uses_pairs and subtracted)


def limits(group: RangeParameters) -> tuple[float, float] | None:
    """Both limits of a fixed range, a missing one mirrored from the other; None for a percentile or no range."""
    low, high = group.min, group.max
    if group.percentile is not None or (low is None and high is None):
        return None
    if low is None or high is None:
        extent = abs(high if high is not None else low or 0.0)
        return -extent, extent
    return low, high


def range_pairs(adc: ADCParameters) -> list[list[float]]:
    """Calibrated limits as a list of pairs."""
    given = adc.calibrated_range
    is_nested = bool(given) and isinstance(given[0], list)
    return given if is_nested else [given]  # type: ignore[return-value,list-item]
