"""`dnn_inference_params`: the hardware of one network layer from the few numbers that inference studies vary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossohm.errors import ParameterError, UnknownNameError
from crossohm.params.enums import ADCRangeLimits
from crossohm.params.root import CrossSimParameters

Range = Sequence[float] | Sequence[Sequence[float]]

_CIRCUIT_ADCS = {"ramp": "RampADC", "sar": "SarADC", "pipeline": "PipelineADC", "cyclic": "CyclicADC"}
_STYLES = ("BALANCED", "OFFSET")


def dnn_inference_params(
    *,
    ideal: bool = False,
    core_style: str = "BALANCED",
    Nslices: int = 1,
    balanced_style: str = "ONE_SIDED",
    subtract_current_in_xbar: bool = True,
    interleaved_posneg: bool = False,
    digital_offset: bool = True,
    NrowsMax: int | None = None,
    NcolsMax: int | None = None,
    weight_bits: int = 0,
    weight_percentile: float = 100.0,
    Rmin: float = 1000.0,
    Rmax: float = 10000.0,
    infinite_on_off_ratio: bool = True,
    Vread: float = 0.1,
    error_model: str | None = None,
    alpha_error: float = 0.0,
    proportional_error: bool = False,
    noise_model: str | None = None,
    alpha_noise: float = 0.0,
    proportional_noise: bool = False,
    drift_model: str | None = None,
    t_drift: float = 0.0,
    Rp_row: float = 0.0,
    Rp_col: float = 0.0,
    Rp_row_terminal: float = 0.0,
    Rp_col_terminal: float = 0.0,
    current_from_input: bool = True,
    selected_rows: str = "top",
    Icol_max: float = 0.0,
    input_bits: int = 8,
    positiveInputsOnly: bool = False,
    input_range: Sequence[float] = (0.0, 1.0),
    input_bitslicing: bool = False,
    input_slice_size: int = 1,
    digital_bias: bool = False,
    adc_bits: int = 8,
    adc_type: str = "generic",
    adc_range_option: str = "CALIBRATED",
    adc_range: Range = (0.0, 1.0),
    adc_per_ibit: bool = False,
    useGPU: bool = False,
    gpu_id: int = 0,
    x_par: int = 1,
    y_par: int = 1,
    profile_xbar_inputs: bool = False,
    profile_adc_inputs: bool = False,
    ntest: int = 1,
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
    machine = {
        "simulation.useGPU": useGPU,
        "simulation.gpu_id": gpu_id,
        "simulation.convolution.x_par": x_par,
        "simulation.convolution.y_par": y_par,
    }
    params = CrossSimParameters()
    params.update(machine)
    if ideal:
        return params
    if core_style not in _STYLES:
        raise UnknownNameError("core_style", core_style, "no such style", allowed=" or ".join(_STYLES))
    changes: dict[str, Any] = {
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
        **_model("programming_error", error_model, alpha_error, proportional_error),
        **_model("read_noise", noise_model, alpha_noise, proportional_noise),
        **_model("drift_error", drift_model, 0.0, False),
        **_wires(Rp_row, Rp_col, Rp_row_terminal, Rp_col_terminal, current_from_input, selected_rows),
        **_inputs(input_bits, positiveInputsOnly, input_range, input_bitslicing, input_slice_size, digital_bias),
    }
    if adc_bits:
        signed = core_style == "BALANCED" or not positiveInputsOnly
        changes |= _adc(adc_bits, adc_type, adc_range_option, adc_range, signed)
        changes["xbar.adc.mvm.adc_per_ibit"] = adc_per_ibit
    params.update(changes)
    params.validate()
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


def _model(role: str, name: str | None, alpha: float, proportional: bool) -> dict[str, Any]:
    if name is None or name == "none" or (name == "generic" and alpha == 0):
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
    found = {"core.mapping.inputs.mvm.min": low, "core.mapping.inputs.mvm.max": high}
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


def _adc(bits: int, kind: str, option: str, given: Range, signed: bool) -> dict[str, Any]:
    if kind != "generic" and kind not in _CIRCUIT_ADCS:
        allowed = ", ".join(("generic", *_CIRCUIT_ADCS))
        raise UnknownNameError("adc_type", kind, "no such ADC", allowed=allowed)
    values: dict[str, Any] = {"bits": bits, "adc_range_option": option}
    if option == ADCRangeLimits.CALIBRATED.name:
        limits, signed = _calibrated(given, bits, kind)
        values["calibrated_range"] = limits
        symmetric = all(low == -high for low, high in (limits if isinstance(limits[0], list) else [limits]))
    else:
        symmetric = signed
    values["signed"] = signed
    values["model"] = _CIRCUIT_ADCS.get(kind, "SignMagnitudeADC" if signed and symmetric else "QuantizerADC")
    return {f"xbar.adc.mvm.{key}": value for key, value in values.items()}


def _calibrated(given: Range, bits: int, kind: str) -> tuple[Any, bool]:
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
