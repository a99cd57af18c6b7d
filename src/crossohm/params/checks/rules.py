"""What must hold between parameters, checked when hardware is built rather than while parameters are assigned."""

from __future__ import annotations

from crossohm.errors import ParameterError
from crossohm.params.checks.sides import Side, adcs, dacs, operations, sides
from crossohm.params.converters import ADCParameters
from crossohm.params.core import CoreParameters, RangeParameters
from crossohm.params.enums import ADCRangeLimits, CoreStyle
from crossohm.params.root import CrossSimParameters, Violations, rule

CIRCUIT_ADCS = ("RampADC", "SarADC", "PipelineADC", "CyclicADC")
MAX_CIRCUIT_BITS = 16


# --- mapping ---------------------------------------------------------------------------------------------------------


def _range_violations(path: str, group: RangeParameters) -> Violations:
    if group.percentile is not None and not (group.min is None and group.max is None):
        yield ParameterError(
            f"{path}.percentile", group.percentile, f"in conflict with min = {group.min} and max = {group.max}",
            remedy="Set percentile to None, or min and max to None",
        )  # fmt: skip
    elif group.percentile is None and group.min is None and group.max is None:
        yield ParameterError(path, None, "no range", remedy="Give min and max, or a percentile")
    given = group.limits
    if given and not given[0] < given[1]:
        yield ParameterError(path, given, "an empty range", allowed="min < max")


@rule
def weight_range(params: CrossSimParameters) -> Violations:
    """Conductances represent one range of weights, which is either fixed or taken from the data."""
    return _range_violations("core.mapping.weights", params.core.mapping.weights)


@rule
def input_range(params: CrossSimParameters) -> Violations:
    """The full-scale voltage represents one range of inputs, which is either fixed or taken from the data."""
    inputs = params.core.mapping.inputs
    for side in sides(inputs):
        yield from _range_violations(f"core.mapping.inputs.{side}", getattr(inputs, side))


@rule
def slices_have_bits(params: CrossSimParameters) -> Violations:
    """A bit-sliced weight is an integer code: it needs a sign and a magnitude, and a bit for each slice."""
    core = params.core
    if core.style is not CoreStyle.BITSLICED:
        return
    if core.weight_bits < 2:
        yield ParameterError("core.weight_bits", core.weight_bits, "too few for style BITSLICED", allowed=">= 2")
    elif core.bit_sliced.num_slices > core.weight_bits:
        yield ParameterError(
            "core.bit_sliced.num_slices", core.bit_sliced.num_slices, "more slices than bits",
            allowed=f"1 to core.weight_bits = {core.weight_bits}",
        )  # fmt: skip


@rule
def slices_fit_cells(params: CrossSimParameters) -> Violations:
    """A slice already is a whole number of cell levels; another cell resolution would round it again."""
    core, bits = params.core, params.xbar.device.cell_bits
    if core.style is CoreStyle.BITSLICED and bits not in (0, core.bits_per_slice):
        yield ParameterError(
            "xbar.device.cell_bits", bits,
            f"{core.weight_bits} weight bits in {core.bit_sliced.num_slices} slices are not {bits} bits per cell",
            allowed=f"0 (as the slices need) or {core.bits_per_slice}",
        )  # fmt: skip


@rule
def offset_has_levels(params: CrossSimParameters) -> Violations:
    """An offset cell leaves its lowest level unused so that zero is a level; two levels would leave one."""
    if params.core.style is CoreStyle.OFFSET and params.xbar.device.cell_bits == 1:
        yield ParameterError(
            "xbar.device.cell_bits", 1, "one-bit cells cannot hold OFFSET weights", allowed="0, or >= 2"
        )


@rule
def interleaved_pairs_subtract(params: CrossSimParameters) -> Violations:
    """Cells on a common output line have one current; there are not two to digitise."""
    if params.core.interleaves_pairs and not params.core.subtracts_in_array:
        yield ParameterError(
            "core.balanced.subtract_current_in_xbar", False, "interleaved pairs share an output line",
            remedy="Set it to True, or core.balanced.interleaved_posneg to False",
        )  # fmt: skip


# --- cells and wires -------------------------------------------------------------------------------------------------


@rule
def cells_have_a_range(params: CrossSimParameters) -> Violations:
    """Weights are stored between two different conductances."""
    device = params.xbar.device
    if not device.infinite_on_off_ratio and not device.Rmin < device.Rmax:
        yield ParameterError(
            "xbar.device.Rmin", device.Rmin, "the cell has no conductance range",
            allowed=f"less than xbar.device.Rmax = {device.Rmax}",
        )  # fmt: skip


@rule
def separate_source_switches(params: CrossSimParameters) -> Violations:
    """Where the input switches cells to a separate supply, it can only be on or off: one bit at a time."""
    parasitics = params.xbar.array.parasitics
    if parasitics.current_from_input or not parasitics.effective:
        return
    for path, dac in dacs(params):
        if not (dac.input_bitslicing and dac.slice_size == 1):
            yield ParameterError(
                "xbar.array.parasitics.current_from_input", False, "a separate supply needs one-bit input slices",
                remedy=f"Set {path}.input_bitslicing = True and slice_size = 1, or current_from_input = True",
            )  # fmt: skip


@rule
def first_order_noise_is_on_linear_networks(params: CrossSimParameters) -> Violations:
    """Sensitivities belong to one network of linear cells: not to gates, which make another for every pattern."""
    parasitics, device = params.xbar.array.parasitics, params.xbar.device
    wanted = params.simulation.read_noise_sampling == "first_order"
    if not (wanted and parasitics.effective and device.read_noise.enable):
        return
    obstacles = {
        "xbar.array.parasitics.current_from_input = False": not parasitics.current_from_input,
        "xbar.device.nonlinear_IV.enable = True": device.nonlinear_IV.enable,
    }
    for setting in (name for name, there in obstacles.items() if there):
        yield ParameterError(
            "simulation.read_noise_sampling", "first_order", f"not available with wire resistance and {setting}",
            allowed="'auto' or 'explicit'", remedy="Either simulates the noise on wires exactly",
        )  # fmt: skip


@rule
def wireless_slices_exist(params: CrossSimParameters) -> Violations:
    """Wires are switched off by slice number."""
    disabled, slices = params.xbar.array.parasitics.disable_slices, params.core.bit_sliced.num_slices
    if params.core.style is CoreStyle.BITSLICED and any(number >= slices for number in disabled):
        yield ParameterError(
            "xbar.array.parasitics.disable_slices", disabled, "no such slice", allowed=f"0 to {slices - 1}"
        )


# --- DAC -------------------------------------------------------------------------------------------------------------


@rule
def input_slices_have_bits(params: CrossSimParameters) -> Violations:
    """Only the digital code of a real DAC can be divided into bits."""
    for path, dac in dacs(params):
        if dac.input_bitslicing and dac.bits == 0:
            yield ParameterError(f"{path}.bits", 0, "input_bitslicing needs bits to slice", allowed=">= 1")
        elif dac.input_bitslicing and dac.model == "IdealDAC":
            yield ParameterError(
                f"{path}.model", dac.model, "an ideal DAC has no bits to slice",
                allowed="another model, e.g. SignMagnitudeDAC", remedy="Or set input_bitslicing = False",
            )  # fmt: skip


@rule
def input_slices_are_signed_by_sign_bit(params: CrossSimParameters) -> Violations:
    """The slices of a signed QuantizerDAC code, whose zero is not a level, would not be voltages from zero up."""
    for path, dac in dacs(params):
        if dac.model == "QuantizerDAC" and dac.input_bitslicing and dac.signed:
            yield ParameterError(
                f"{path}.signed", True, "a QuantizerDAC can slice only unsigned inputs",
                remedy="Set signed = False with inputs of 0 or more, or use SignMagnitudeDAC",
            )  # fmt: skip


@rule
def sign_magnitude_dac_is_symmetric(params: CrossSimParameters) -> Violations:
    """A sign bit and a magnitude represent a symmetric range."""
    for side in operations(params):
        if side.dac.model != "SignMagnitudeDAC" or not side.dac.converts:
            continue
        path = f"xbar.dac.{side.name}"
        if side.dac.bits < 2:
            yield ParameterError(f"{path}.bits", side.dac.bits, "a sign bit leaves no magnitude", allowed="0, or >= 2")
        if not side.dac.signed:
            yield ParameterError(
                f"{path}.signed", False, "SignMagnitudeDAC has a sign", remedy="Set it to True, or use QuantizerDAC"
            )
        yield from _asymmetric(side)


def _asymmetric(side: Side) -> Violations:
    given = side.inputs.limits
    if given and given[0] != -given[1]:
        yield ParameterError(
            f"core.mapping.inputs.{side.name}", given, "SignMagnitudeDAC needs a symmetric range", allowed="min = -max"
        )


@rule
def unsigned_dac_has_no_negative_inputs(params: CrossSimParameters) -> Violations:
    """The lowest code of an unsigned DAC is a voltage of zero or more."""
    for side in operations(params):
        given = side.inputs.limits
        if side.dac.converts and not side.dac.signed and given and given[0] < 0:
            yield ParameterError(
                f"core.mapping.inputs.{side.name}.min", side.inputs.min, "an unsigned DAC has no negative inputs",
                allowed=">= 0", remedy=f"Or set xbar.dac.{side.name}.signed = True",
            )  # fmt: skip


# --- ADC -------------------------------------------------------------------------------------------------------------


@rule
def granular_digitises_slices(params: CrossSimParameters) -> Violations:
    """The smallest output step is a property of one input slice; sums of slices have another."""
    for path, adc in adcs(params):
        if adc.adc_range_option is ADCRangeLimits.GRANULAR and not adc.adc_per_ibit:
            yield ParameterError(
                f"{path}.adc_range_option", "GRANULAR", "needs every input slice digitised",
                remedy=f"Set {path}.adc_per_ibit = True and slice the inputs, or use MAX or CALIBRATED",
            )  # fmt: skip


@rule
def digitised_slices_exist(params: CrossSimParameters) -> Violations:
    """Only sliced inputs give currents of slices."""
    for side in operations(params):
        if side.adc.adc_per_ibit and not side.dac.input_bitslicing:
            yield ParameterError(
                f"xbar.adc.{side.name}.adc_per_ibit", True, "the inputs are not sliced",
                remedy=f"Set xbar.dac.{side.name}.input_bitslicing = True, or adc_per_ibit = False",
            )  # fmt: skip


@rule
def granular_has_a_step(params: CrossSimParameters) -> Violations:
    """Continuous cells have no smallest current step."""
    stepless = params.xbar.device.cell_bits == 0 and params.core.weight_bits < 2
    if params.core.style is CoreStyle.BITSLICED or not stepless:
        return
    for path, adc in adcs(params):
        if adc.converts and adc.adc_range_option is ADCRangeLimits.GRANULAR:
            yield ParameterError(
                f"{path}.adc_range_option", "GRANULAR", "continuous cells have no smallest step",
                remedy="Set xbar.device.cell_bits (or core.weight_bits to at least 2), or use MAX or CALIBRATED",
            )  # fmt: skip


@rule
def calibrated_range_fits(params: CrossSimParameters) -> Violations:
    """A calibrated converter needs its limits: one pair, or a pair for each weight slice."""
    sliced = params.core.style is CoreStyle.BITSLICED
    for path, adc in adcs(params):
        if not adc.converts or adc.adc_range_option is not ADCRangeLimits.CALIBRATED:
            continue
        needed = f"{params.core.bit_sliced.num_slices} (min, max) pairs, one per slice" if sliced else "(min, max)"
        if not adc.calibrated_range:
            yield ParameterError(
                f"{path}.calibrated_range", [], "not calibrated", allowed=needed,
                remedy=f"Calibrate, or set {path}.adc_range_option to MAX",
            )  # fmt: skip
        elif not _is_shaped(params.core, adc) or not all(low < high for low, high in adc.calibrated_pairs):
            yield ParameterError(
                f"{path}.calibrated_range", adc.calibrated_range, "does not fit the mapping, or is empty",
                allowed=f"{needed}, min < max",
            )  # fmt: skip


def _is_shaped(core: CoreParameters, adc: ADCParameters) -> bool:
    is_nested = isinstance(adc.calibrated_range[0], list)
    slices = core.bit_sliced.num_slices if core.style is CoreStyle.BITSLICED else 1
    pairs = adc.calibrated_pairs
    return (
        is_nested is (core.style is CoreStyle.BITSLICED)
        and len(pairs) == slices
        and all(len(pair) == 2 for pair in pairs)
    )


@rule
def sign_magnitude_adc_is_symmetric(params: CrossSimParameters) -> Violations:
    """A sign bit and a magnitude represent a symmetric range."""
    for path, adc in adcs(params):
        if adc.model != "SignMagnitudeADC" or not adc.converts:
            continue
        if adc.bits < 2:
            yield ParameterError(f"{path}.bits", adc.bits, "a sign bit leaves no magnitude", allowed="0, or >= 2")
        if not adc.signed:
            yield ParameterError(
                f"{path}.signed", False, "SignMagnitudeADC has a sign", remedy="Set it to True, or use QuantizerADC"
            )
        given = adc.calibrated_range if adc.adc_range_option is ADCRangeLimits.CALIBRATED else []
        if given and any(len(pair) == 2 and pair[0] != -pair[1] for pair in adc.calibrated_pairs):
            yield ParameterError(
                f"{path}.calibrated_range", given, "SignMagnitudeADC needs a symmetric range", allowed="min = -max"
            )


@rule
def sign_magnitude_adc_sees_both_signs(params: CrossSimParameters) -> Violations:
    """Limits that follow from the hardware start at zero where currents are never negative."""
    for side in operations(params):
        adc = side.adc
        if not adc.converts or adc.model != "SignMagnitudeADC" or params.sees_both_signs(side.name):
            continue
        if adc.adc_range_option is not ADCRangeLimits.CALIBRATED:
            yield ParameterError(
                f"xbar.adc.{side.name}.adc_range_option", adc.adc_range_option.name,
                "SignMagnitudeADC needs a symmetric range, but no current is negative here",
                remedy="Use QuantizerADC, or CALIBRATED with symmetric limits",
            )  # fmt: skip


@rule
def circuit_adc_has_tables(params: CrossSimParameters) -> Violations:
    """Circuit models have a level, or a capacitor setting, for each of the 2**bits codes."""
    for path, adc in adcs(params):
        if adc.model in CIRCUIT_ADCS and adc.bits > MAX_CIRCUIT_BITS:
            yield ParameterError(
                f"{path}.bits", adc.bits, f"too many for the tables of {adc.model}", allowed=f"0 to {MAX_CIRCUIT_BITS}",
                remedy="Use QuantizerADC for a higher resolution",
            )  # fmt: skip
