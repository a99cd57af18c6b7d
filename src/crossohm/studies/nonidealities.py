"""What makes hardware less than ideal, one by one: whether a description has it, and the same without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from crossohm.layers.hardware import LayerHardware, each
from crossohm.params import ADCRangeLimits, CoreStyle, CrossSimParameters, switched_off

#: In place of a layer's name: all layers together.
EVERYWHERE = "*"


@final
@dataclass(frozen=True)
class Nonideality:
    """One cause of errors.

    Attributes:
        label: What it is, for tables.
        present: True for hardware that has it, and whose other parts mean the same without it.
        cure: Parameters that take it away.
    """

    label: str
    present: Callable[[CrossSimParameters], bool]
    cure: dict[str, Any]


def _model(name: str, label: str) -> Nonideality:
    """An imperfection of the cells that has a model of its own."""
    return Nonideality(
        label, lambda params: getattr(params.xbar.device, name).enable, {f"xbar.device.{name}.enable": False}
    )


def _quantises(params: CrossSimParameters) -> bool:
    """Slices hold digits, and GRANULAR ADC levels follow from the cells: neither means the same with other cells."""
    follows = params.xbar.adc.mvm.adc_range_option is ADCRangeLimits.GRANULAR
    return params.xbar.device.cell_bits > 0 and params.core.style is not CoreStyle.BITSLICED and not follows


def _clips(params: CrossSimParameters) -> bool:
    weights = params.core.mapping.weights
    return weights.clipping and (weights.percentile is None or weights.percentile < 1)


def _drives_levels(params: CrossSimParameters) -> bool:
    """Input slices are digits, as weight slices are."""
    dac = params.xbar.dac.mvm
    return dac.converts and not dac.input_bitslicing


NONIDEALITIES: dict[str, Nonideality] = {
    "programming_error": _model("programming_error", "programming error"),
    "drift": _model("drift_error", "drift"),
    "read_noise": _model("read_noise", "read noise"),
    "nonlinearity": _model("nonlinear_IV", "nonlinear cells"),
    "weight_quantisation": Nonideality(
        "weight quantisation", _quantises, {"xbar.device.cell_bits": 0, "core.weight_bits": 0}
    ),
    "weight_clipping": Nonideality("weight clipping", _clips, {"core.mapping.weights.clipping": False}),
    "on_off_ratio": Nonideality(
        "finite on/off ratio",
        lambda params: not params.xbar.device.infinite_on_off_ratio,
        {"xbar.device.infinite_on_off_ratio": True},
    ),
    "wires": Nonideality(
        "wire resistance",
        lambda params: params.xbar.array.parasitics.effective,
        {"xbar.array.parasitics.enable": False},
    ),
    "current_limit": Nonideality(
        "current limit", lambda params: params.xbar.array.Icol_max > 0, {"xbar.array.Icol_max": 0.0}
    ),
    "dac": Nonideality("DAC", _drives_levels, {"xbar.dac.mvm.bits": 0}),
    "adc": Nonideality("ADC", lambda params: params.xbar.adc.mvm.converts, {"xbar.adc.mvm.bits": 0}),
}
"""Causes of errors by name. A drift model includes the programming error of its device."""


def without(hardware: LayerHardware, names: Sequence[str]) -> LayerHardware:
    """The same hardware without some of its non-idealities; those it does not have are passed over."""
    return each(hardware, lambda params: _cured(params, names))


def _cured(params: CrossSimParameters, names: Sequence[str]) -> CrossSimParameters:
    for name in names:
        if NONIDEALITIES[name].present(params):
            params = switched_off(params, NONIDEALITIES[name].cure)
    return params
