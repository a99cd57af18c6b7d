"""What rules look at: converters and ranges of the operations, vmm only where it is not the same as mvm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from crossohm.params.converters import ADCParameters, DACParameters
from crossohm.params.core import InputMappingParameters
from crossohm.params.pairs import Pair
from crossohm.params.root import CrossSimParameters


@final
@dataclass(frozen=True)
class Side:
    """The converters and input range of one operation, ``mvm`` or ``vmm``."""

    name: str
    adc: ADCParameters
    dac: DACParameters
    inputs: InputMappingParameters


def operations(params: CrossSimParameters) -> Iterator[Side]:
    """The operations whose parameters are not the same groups."""
    adc, dac, inputs = params.xbar.adc, params.xbar.dac, params.core.mapping.inputs
    yield Side("mvm", adc.mvm, dac.mvm, inputs.mvm)
    if not (adc.match and dac.match and inputs.match):
        yield Side("vmm", adc.vmm, dac.vmm, inputs.vmm)


def sides(pair: Pair) -> tuple[str, ...]:
    """Names of the sides of a pair that are not the same group."""
    return ("mvm",) if pair.match else ("mvm", "vmm")


def dacs(params: CrossSimParameters) -> Iterator[tuple[str, DACParameters]]:
    """Path and parameters of each DAC."""
    return ((f"xbar.dac.{side}", getattr(params.xbar.dac, side)) for side in sides(params.xbar.dac))


def adcs(params: CrossSimParameters) -> Iterator[tuple[str, ADCParameters]]:
    """Path and parameters of each ADC."""
    return ((f"xbar.adc.{side}", getattr(params.xbar.adc, side)) for side in sides(params.xbar.adc))
