"""`mvm_params`: the hardware of a plain core under the names of CrossSim's ``set_params``."""

from __future__ import annotations

from typing import Any

from crossohm.errors import ParameterError
from crossohm.params.base import Flag, Whole
from crossohm.params.converters import Limits, Ranges
from crossohm.params.crosssim.dnn import ADCType, RangeOption, Style, dnn_inference_params
from crossohm.params.crosssim.keywords import checked_keywords
from crossohm.params.root import CrossSimParameters

#: Errors of converters' circuits, by ADC type; their amplifiers have `_GAIN_DB`.
_ADC_ERRORS: dict[str, dict[str, float]] = {
    "generic": {},
    "ramp": {"sigma_capacitor": 0.25},
    "sar": {"sigma_capacitor": 0.10},
    "pipeline": {"sigma_C1": 0.10, "sigma_comparator": 0.10},
    "cyclic": {},
}
_GAIN_DB = 60.0


@checked_keywords
def mvm_params(
    *,
    wtmodel: Style = "BALANCED",
    complex_matrix: Flag = False,
    complex_input: Flag = False,
    input_bits: Whole = 0,
    input_range: Limits | None = None,
    adc_bits: Whole = 0,
    adc_type: ADCType = "generic",
    adc_range_option: RangeOption = "CALIBRATED",
    adc_range: Ranges | None = None,
    infinite_on_off_ratio: Flag = False,
    **keywords: Any,
) -> CrossSimParameters:
    """Hardware of a plain `AnalogCore`, under the names that users of CrossSim's ``set_params`` know.

    As `dnn_inference_params`, whose other keywords it takes, but for cores that are no network layers: no converters
    unless bits are given, a finite on/off ratio, and circuit ADCs with errors (gain 60 dB; mismatch of capacitors 0.25
    for ``"ramp"``, 0.10 for ``"sar"``; of C1 and the comparator 0.10 for ``"pipeline"``). CrossSim's ranges of -1e12 to
    1e12 stood for none; a converter here needs the one it has, and lines have no current limit unless ``Icol_max`` is
    given.

    Args:
        wtmodel: ``"BALANCED"`` or ``"OFFSET"``, of the slices if there are several (``Nslices``).
        complex_matrix: The matrix may be complex.
        complex_input: Inputs may be complex.
        input_bits: Resolution of the DAC; 0: ideal inputs.
        input_range: Lowest and highest input; made symmetric unless ``positiveInputsOnly``. None: -1 to 1, as a unit
            of currents; with a DAC it has to be given.
        adc_bits: Resolution of the ADC; 0: none.
        adc_type: ``"generic"``, ``"ramp"``, ``"sar"``, ``"pipeline"`` or ``"cyclic"``.
        adc_range_option: ``"CALIBRATED"``, ``"MAX"`` or ``"GRANULAR"``.
        adc_range: Limits of a calibrated ADC in normalised current; one pair per slice if ``Nslices > 1``.
        infinite_on_off_ratio: The lowest conductance is zero.
        **keywords: Others of `dnn_inference_params`, with its defaults.

    Raises:
        UnknownNameError: a style, model or ADC type does not exist.
        ParameterError: a value is out of range, or values contradict each other, or a converter has no range.
    """
    if input_bits and input_range is None:
        raise ParameterError(
            "input_range",
            None,
            f"a DAC of {input_bits} bits needs the range of its inputs",
            allowed="(lowest, highest)",
        )
    if adc_bits and adc_range_option == "CALIBRATED" and adc_range is None:
        raise ParameterError(
            "adc_range", None, f"an ADC of {adc_bits} bits needs its limits", allowed="(lowest, highest)",
            remedy="Give those that core.profile() shows, or adc_range_option = 'MAX'",
        )  # fmt: skip
    params = dnn_inference_params(
        **{
            "core_style": wtmodel,
            "input_bits": input_bits,
            "input_range": (-1.0, 1.0) if input_range is None else input_range,
            "digital_bias": True,
            "adc_bits": adc_bits,
            "adc_type": adc_type,
            "adc_range_option": adc_range_option,
            "adc_range": (0.0, 1.0) if adc_range is None else adc_range,
            "infinite_on_off_ratio": infinite_on_off_ratio,
            **keywords,
        }
    )
    params.update({"core.complex_matrix": complex_matrix, "core.complex_input": complex_input})
    if adc_bits and adc_type != "generic":
        errors = {"gain_db": _GAIN_DB, **_ADC_ERRORS[adc_type]}
        params.update({f"xbar.adc.mvm.{name}": value for name, value in errors.items()})
    return params
