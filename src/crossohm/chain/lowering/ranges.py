"""The limits of every ADC bank, from the range option and the mapping (specification 5.2)."""

from __future__ import annotations

from crossohm.chain.lowering.inputs import build_drive
from crossohm.chain.operation import Operation
from crossohm.chain.programming.record import Programmed
from crossohm.circuits.adc import get_adc
from crossohm.errors import ParameterError
from crossohm.mapping import Mapping, build_mapping
from crossohm.params import ADCRangeLimits, CrossSimParameters, DACParameters

Limits = tuple[float, float]


def adc_limits(params: CrossSimParameters, mapping: Mapping, operation: Operation, inputs: int) -> tuple[Limits, ...]:
    """Lowest and highest converted current for each slice, in normalised current.

    Args:
        params: The hardware.
        mapping: Its weight mapping.
        operation: Which product.
        inputs: Input lines of the array in this operation.
    """
    spec, dac = operation.adc(params), operation.dac(params)
    if spec.adc_range_option is ADCRangeLimits.CALIBRATED:
        return tuple((low, high) for low, high in spec.calibrated_pairs)  # checked with the hardware
    bipolar = params.sees_both_signs(operation)
    if spec.adc_range_option is ADCRangeLimits.MAX:
        return ((-float(inputs) if bipolar else 0.0, float(inputs)),) * mapping.slices
    lsb = _finest_step(params, mapping, dac, operation)
    top = lsb * (2 ** (spec.bits - 1) - 1) if bipolar else lsb * (2**spec.bits - 1)
    return ((-top if bipolar else 0.0, top),) * mapping.slices


def output_step(record: Programmed, params: CrossSimParameters) -> float | None:
    """Distance of neighbouring outputs of an MVM in the user's units: one step of its ADCs; None without ADCs.

    Raises:
        ParameterError: outputs are sums of conversions of different significance.
    """
    spec = params.xbar.adc.mvm
    if not spec.converts:
        return None
    mapping = build_mapping(params)
    if mapping.slices > 1 or (spec.adc_per_ibit and params.xbar.dac.mvm.input_bitslicing):
        raise ParameterError(
            "core.style" if mapping.slices > 1 else "xbar.adc.mvm.adc_per_ibit",
            params.core.style.name if mapping.slices > 1 else True,
            "outputs are sums of conversions of different significance, so there is no one step",
            allowed="unsliced weights, and inputs that are not digitised slice by slice",
        )
    inputs = record.column_parts[0]
    limits = adc_limits(params, mapping, Operation.MVM, inputs.stop - inputs.start)
    path = "xbar.adc.mvm"
    lsb = get_adc(spec.model, f"{path}.model").build(spec, *limits[0], {}).lsb
    assert lsb is not None
    return lsb * conversion_gain(record, params)


def conversion_gain(record: Programmed, params: CrossSimParameters) -> float:
    """What one unit of normalised current, digitised by the lowest slice's ADC, adds to an output of an MVM."""
    coefficient = float(build_mapping(params).coefficients[0, 0])
    return record.scale * build_drive(params, Operation.MVM).scale * coefficient


def _finest_step(params: CrossSimParameters, mapping: Mapping, dac: DACParameters, operation: Operation) -> float:
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
