"""The limits of every ADC bank, from the range option and the mapping (specification 5.2)."""

from __future__ import annotations

from typing import Any

from crossohm.errors import ParameterError
from crossohm.mapping import Mapping
from crossohm.params import (
    ADCParameters,
    ADCRangeLimits,
    CoreStyle,
    CrossSimParameters,
    DACParameters,
)

Limits = tuple[float, float]


def adc_limits(
    params: CrossSimParameters, mapping: Mapping, operation: str, inputs: int, subtracts: bool
) -> tuple[Limits, ...]:
    """Lowest and highest converted current for each slice, in normalised current.

    Args:
        params: The hardware.
        mapping: Its weight mapping.
        operation: ``"mvm"`` or ``"vmm"``.
        inputs: Input lines of the array in this operation.
        subtracts: True if the two currents of a pair are subtracted before the ADC.
    """
    spec: ADCParameters = getattr(params.xbar.adc, operation)
    dac: DACParameters = getattr(params.xbar.dac, operation)
    if spec.adc_range_option is ADCRangeLimits.CALIBRATED:
        return _calibrated(spec, mapping)
    bipolar = dac.signed or _pair_difference(params, mapping, subtracts)
    if spec.adc_range_option is ADCRangeLimits.MAX:
        return ((-float(inputs) if bipolar else 0.0, float(inputs)),) * mapping.slices
    lsb = _finest_step(params, mapping, dac, operation)
    top = lsb * (2 ** (spec.bits - 1) - 1) if bipolar else lsb * (2**spec.bits - 1)
    return ((-top if bipolar else 0.0, top),) * mapping.slices


def _pair_difference(params: CrossSimParameters, mapping: Mapping, subtracts: bool) -> bool:
    """True if the ADC may see negative currents even for positive inputs."""
    return mapping.signs == 2 and (subtracts or params.core.style is CoreStyle.BITSLICED)


def _calibrated(spec: ADCParameters, mapping: Mapping) -> tuple[Limits, ...]:
    """The ranges as given, one per slice; their shape was checked with the hardware."""
    given: Any = spec.calibrated_range
    pairs = given if mapping.slice_bits else [given]
    return tuple((float(low), float(high)) for low, high in pairs)


def _finest_step(params: CrossSimParameters, mapping: Mapping, dac: DACParameters, operation: str) -> float:
    """Smallest possible change of an output current: one conductance step times one input-slice step."""
    span = params.xbar.device.Grange_norm
    bits = params.core.weight_bits
    step = mapping.step
    if not step and bits > 1:  # continuous cells asked to hold so many bits
        step = span / (2 ** (bits - 1) - 1 if mapping.signs == 2 else 2**bits - 1)
    if not step:
        raise ParameterError(
            f"xbar.adc.{operation}.adc_range_option",
            "GRANULAR",
            "continuous cells have no smallest current step",
            remedy="Set xbar.device.cell_bits or core.weight_bits, or use MAX or CALIBRATED",
        )
    return float(step / (2**dac.slice_size - 1))
