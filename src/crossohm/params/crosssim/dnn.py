"""`dnn_inference_params`: the hardware of one network layer from the few numbers that inference studies vary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from crossohm._names import did_you_mean
from crossohm.errors import ParameterError, UnknownNameError, warn_user
from crossohm.params.base import Flag, Name, Real, Whole
from crossohm.params.converters import Limits, Ranges
from crossohm.params.crosssim.keywords import checked_keywords
from crossohm.params.root import CrossSimParameters, check_rules

Style = Literal["BALANCED", "OFFSET"]
ADCType = Literal["generic", "ramp", "sar", "pipeline", "cyclic"]
RangeOption = Literal["CALIBRATED", "MAX", "GRANULAR"]

_WORDS = ("generic", "none")
_CIRCUIT_ADCS = {"ramp": "RampADC", "sar": "SarADC", "pipeline": "PipelineADC", "cyclic": "CyclicADC"}


@checked_keywords
def dnn_inference_params(
    *,
    ideal: Flag = False,
    core_style: Style = "BALANCED",
    Nslices: Whole = 1,
    balanced_style: Literal["ONE_SIDED", "TWO_SIDED"] = "ONE_SIDED",
    subtract_current_in_xbar: Flag = True,
    interleaved_posneg: Flag = False,
    digital_offset: Flag = True,
    NrowsMax: Whole | None = None,
    NcolsMax: Whole | None = None,
    weight_bits: Whole = 0,
    weight_percentile: Real = 100.0,
    Rmin: Real = 1000.0,
    Rmax: Real = 10000.0,
    infinite_on_off_ratio: Flag = True,
    Vread: Real = 0.1,
    error_model: Name | None = None,
    alpha_error: Real = 0.0,
    proportional_error: Flag = False,
    noise_model: Name | None = None,
    alpha_noise: Real = 0.0,
    proportional_noise: Flag = False,
    drift_model: Name | None = None,
    t_drift: Real = 0.0,
    Rp_row: Real = 0.0,
    Rp_col: Real = 0.0,
    Rp_row_terminal: Real = 0.0,
    Rp_col_terminal: Real = 0.0,
    current_from_input: Flag = True,
    selected_rows: Literal["top", "bottom"] = "top",
    Icol_max: Real = 0.0,
    input_bits: Whole = 8,
    positiveInputsOnly: Flag = False,
    input_range: Limits = (0.0, 1.0),
    input_bitslicing: Flag = False,
    input_slice_size: Whole = 1,
    digital_bias: Flag = False,
    adc_bits: Whole = 8,
    adc_type: ADCType = "generic",
    adc_range_option: RangeOption = "CALIBRATED",
    adc_range: Ranges = (0.0, 1.0),
    adc_per_ibit: Flag = False,
    useGPU: Flag = False,
    gpu_id: Whole = 0,
    x_par: Whole = 1,
    y_par: Whole = 1,
    profile_xbar_inputs: Flag = False,
    profile_adc_inputs: Flag = False,
    ntest: Whole = 1,
) -> CrossSimParameters:
    """Hardware of one layer for inference, under the names that users of CrossSim know.

    Args:
        ideal: Ideal hardware; everything else is ignored.
        core_style: ``"BALANCED"`` or ``"OFFSET"``, of the slices if there are several.
        Nslices: Cells per weight (per sign); above 1 the core is BITSLICED.
        balanced_style: ``"ONE_SIDED"`` or ``"TWO_SIDED"``.
        subtract_current_in_xbar: Subtract the currents of a pair before the ADC.
        interleaved_posneg: The cells of a pair share an output line.
        digital_offset: Subtract the offset digitally; False: by a unit column. OFFSET only.
        NrowsMax: Most matrix columns per array; None or 0: no limit.
        NcolsMax: Most matrix rows per array; None or 0: no limit.
        weight_bits: Resolution of weights, sign included; 0: continuous cells.
        weight_percentile: Per cent of the weights that the weight range holds.
        Rmin: Lowest resistance of a cell, ohm.
        Rmax: Highest resistance of a cell, ohm.
        infinite_on_off_ratio: The lowest conductance is zero.
        Vread: Voltage at full-scale input, V.
        error_model: Programming error: a device model, ``"generic"`` (Gaussian of size ``alpha_error``), or None.
        alpha_error: Standard deviation of the generic error, relative to Gmax, or to the target if proportional.
        proportional_error: The generic error is proportional to the conductance.
        noise_model: Read noise, as ``error_model``.
        alpha_noise: As ``alpha_error``.
        proportional_noise: As ``proportional_error``.
        drift_model: A device model, or None.
        t_drift: Time since programming, in the unit of the model.
        Rp_row: Wire resistance per cell along rows, ohm.
        Rp_col: Wire resistance per cell along columns, ohm.
        Rp_row_terminal: Further resistance at the end of a row, ohm.
        Rp_col_terminal: Further resistance at the end of a column, ohm.
        current_from_input: Input lines feed the cells; False: inputs gate rows on a separate supply.
        selected_rows: ``"top"`` or ``"bottom"``: where the used rows of a larger array are.
        Icol_max: Largest current of a line, in currents of one cell; 0: no limit.
        input_bits: Resolution of the DAC; 0: ideal inputs.
        positiveInputsOnly: The DAC has no sign.
        input_range: Lowest and highest input; made symmetric unless ``positiveInputsOnly``.
        input_bitslicing: Apply inputs a few bits at a time.
        input_slice_size: How many.
        digital_bias: Biases are added digitally; False: inputs up to 1 must be possible, which drive the bias rows.
        adc_bits: Resolution of the ADC; 0: none.
        adc_type: ``"generic"``, ``"ramp"``, ``"sar"``, ``"pipeline"`` or ``"cyclic"``.
        adc_range_option: ``"CALIBRATED"``, ``"MAX"`` or ``"GRANULAR"``.
        adc_range: Limits of a calibrated ADC in normalised current; one pair per slice if ``Nslices > 1``.
        adc_per_ibit: Digitise every input slice; only with ``input_bitslicing``.
        useGPU: No effect, like all that follow: they are kept in the description, so that scripts run.
        gpu_id: No effect: a computation runs where its arrays are.
        x_par: No effect: convolutions are run as such.
        y_par: No effect.
        profile_xbar_inputs: No effect: `crossohm.torch.profile` records what is wanted, when it is wanted.
        profile_adc_inputs: No effect.
        ntest: No effect: records grow as needed.

    Returns:
        The validated description. A nearly symmetric calibrated range of a generic ADC becomes symmetric, with a level
        on zero (SignMagnitudeADC); another one keeps its limits (QuantizerADC).

    Raises:
        UnknownNameError: a style, model or ADC type does not exist.
        ParameterError: a value is out of range, or values contradict each other.
    """
    params = CrossSimParameters()
    params.update(
        {
            "simulation.useGPU": useGPU,
            "simulation.gpu_id": gpu_id,
            "simulation.convolution.x_par": x_par,
            "simulation.convolution.y_par": y_par,
        }
    )
    if ideal:
        return params
    if input_bits == 0 and input_bitslicing:
        warn_user(
            "input_bitslicing = True (and adc_per_ibit) has no effect: input_bits = 0 leaves no bits; set input_bits"
        )
        input_bitslicing = adc_per_ibit = False
    params.update(
        {
            "core.rows_max": NrowsMax or 0,
            "core.cols_max": NcolsMax or 0,
            "core.balanced.style": balanced_style,
            "core.balanced.subtract_current_in_xbar": subtract_current_in_xbar,
            "core.balanced.interleaved_posneg": interleaved_posneg,
            "core.offset.style": "DIGITAL_OFFSET" if digital_offset else "UNIT_COLUMN_SUBTRACTION",
            "core.mapping.weights.percentile": weight_percentile / 100,
            "xbar.device.Rmin": Rmin,
            "xbar.device.Rmax": Rmax,
            "xbar.device.infinite_on_off_ratio": infinite_on_off_ratio,
            "xbar.device.Vread": Vread,
            "xbar.device.time": t_drift,
            "xbar.array.Icol_max": Icol_max,
            "simulation.analytics.profile_xbar_inputs": profile_xbar_inputs,
            "simulation.analytics.profile_adc_inputs": profile_adc_inputs,
            "simulation.analytics.ntest": ntest if profile_xbar_inputs or profile_adc_inputs else 0,
            **_weights(core_style, Nslices, weight_bits),
            **_model("programming_error", "error", error_model, alpha_error, proportional_error),
            **_model("read_noise", "noise", noise_model, alpha_noise, proportional_noise),
            **_model("drift_error", "drift", drift_model, 0.0, False),
            **_wires(Rp_row, Rp_col, Rp_row_terminal, Rp_col_terminal, current_from_input, selected_rows),
            **_inputs(input_bits, positiveInputsOnly, input_range, input_bitslicing, input_slice_size, digital_bias),
        }
    )
    adc: dict[str, Any] = {"adc_per_ibit": adc_per_ibit}
    if adc_bits:
        adc |= _adc(params, adc_bits, adc_type, adc_range_option, adc_range)
    params.update({f"xbar.adc.mvm.{key}": value for key, value in adc.items()})
    check_rules(params)
    return params


def _weights(style: str, slices: int, bits: int) -> dict[str, Any]:
    """Mapping and levels; balanced pairs add the sign bit."""
    signed = style == "BALANCED"
    if slices == 1:
        cell_bits = max(bits - 1, 0) if signed else bits
        return {"core.style": style, "core.weight_bits": bits, "xbar.device.cell_bits": cell_bits}
    found = {"core.style": "BITSLICED", "core.bit_sliced.style": style, "core.bit_sliced.num_slices": slices}
    if slices > 1:
        stored = bits if bits % slices == 0 or not signed else bits - 1
        found["xbar.device.cell_bits"] = -(-stored // slices)
    return {**found, "core.weight_bits": bits}


def _model(role: str, kind: str, name: str | None, alpha: float, proportional: bool) -> dict[str, Any]:
    """One imperfection of the cells; ``kind`` is the ending of its keywords."""
    if name is not None and name not in _WORDS and name.lower() in _WORDS:
        raise UnknownNameError(f"{kind}_model", name, "no such model", remedy=did_you_mean(name.lower()))
    if name is None or name == "none":
        if alpha:
            warn_user(f"alpha_{kind} = {alpha} has no effect: {kind}_model is {name!r}; set {kind}_model = 'generic'")
        return {}
    if name == "generic" and alpha == 0:
        return {}
    if name == "generic":
        name = "NormalProportionalDevice" if proportional else "NormalIndependentDevice"
    values = {"enable": True, "model": name, "magnitude": alpha}
    return {f"xbar.device.{role}.{key}": value for key, value in values.items()}


def _wires(
    row: float, column: float, row_end: float, column_end: float, current_from_input: bool, selected_rows: str
) -> dict[str, Any]:
    if not any((row, column, row_end, column_end)):
        return {}
    values = {
        "enable": True,
        "Rp_row": row,
        "Rp_col": column,
        "Rp_row_terminal": row_end,
        "Rp_col_terminal": column_end,
        "current_from_input": current_from_input,
        "selected_rows": selected_rows,
    }
    return {f"xbar.array.parasitics.{key}": value for key, value in values.items()}


def _inputs(
    bits: int, positive: bool, limits: Sequence[float], slicing: bool, slice_size: int, digital_bias: bool
) -> dict[str, Any]:
    low, high = _limits("input_range", limits)
    if not digital_bias:
        high = max(high, 1.0)
    if not positive:
        high = max(abs(low), abs(high))
        low = -high
    found = {
        "core.mapping.inputs.mvm.min": low,
        "core.mapping.inputs.mvm.max": high,
        "xbar.dac.mvm.signed": not positive,
    }
    if not bits:
        return found
    dac = {
        "model": "QuantizerDAC" if positive else "SignMagnitudeDAC",
        "bits": bits,
        "signed": not positive,
        "input_bitslicing": slicing,
        "slice_size": slice_size,
    }
    return {**found, **{f"xbar.dac.mvm.{key}": value for key, value in dac.items()}}


def _adc(params: CrossSimParameters, bits: int, kind: ADCType, option: RangeOption, given: Ranges) -> dict[str, Any]:
    values: dict[str, Any] = {"bits": bits, "adc_range_option": option}
    if option == "CALIBRATED":
        limits, signed = _calibrated(given, bits, kind)
        values["calibrated_range"] = limits
        symmetric = all(low == -high for low, high in (limits if isinstance(limits[0], list) else [limits]))
    else:
        symmetric = signed = params.sees_both_signs("mvm")
    values["signed"] = signed
    values["model"] = _CIRCUIT_ADCS.get(kind, "SignMagnitudeADC" if signed and symmetric else "QuantizerADC")
    return values


def _calibrated(given: Ranges, bits: int, kind: ADCType) -> tuple[Any, bool]:
    """Limits, and whether any is negative; nearly symmetric ones become symmetric."""
    if all(isinstance(end, int | float) for end in given):
        low, high = _limits("adc_range", given)  # type: ignore[arg-type]
        offset = abs(0.5 * (low + high) / (high - low))
        if low < 0 and (kind != "generic" or offset < 2.0**-bits):
            high = max(abs(low), abs(high))
            low = -high
        return [low, high], low < 0
    pairs = [list(_limits("adc_range", pair)) for pair in given]  # type: ignore[arg-type]
    return pairs, any(low < 0 for low, _ in pairs)


def _limits(name: str, given: Sequence[float]) -> tuple[float, float]:
    values = [float(end) for end in given]
    if len(values) != 2 or not values[0] < values[1]:
        raise ParameterError(name, tuple(given), "is no range", allowed="(lowest, highest), the first below the second")
    return values[0], values[1]
