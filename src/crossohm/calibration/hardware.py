"""Hardware descriptions with the ranges that suit what a layer's converters saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossohm.calibration.ranges import (
    ChosenRange,
    Objective,
    Signal,
    choose_range,
    choose_slice_ranges,
    percentile_range,
)
from crossohm.calibration.scale import adc_scale, dac_scale
from crossohm.errors import ParameterError
from crossohm.params import ADCRangeLimits, CoreStyle, CrossSimParameters, switched_off

if TYPE_CHECKING:
    from crossohm.chain import Profile


def without_random_errors(params: CrossSimParameters) -> CrossSimParameters:
    """The same hardware with perfect writing, no drift, no read noise and no ADC; all that is systematic stays."""
    effects = ("programming_error", "drift_error", "read_noise")
    cells = {f"xbar.device.{effect}.enable": False for effect in effects} | {"xbar.device.time": 0}
    return switched_off(params, {**cells, "xbar.adc.mvm.bits": 0, "xbar.adc.vmm.bits": 0})


def is_reached(seen: Profile) -> bool:
    """True if anything was multiplied: layers of a network may get no data, or empty batches only."""
    return "mvm" in seen.inputs and seen.inputs["mvm"].total > 0


def unreached(params: CrossSimParameters) -> CrossSimParameters:
    """The hardware of a layer that no data reached: as described, or, where that waits for ranges, with the widest."""
    kept = params.copy()
    adc = kept.xbar.adc.mvm
    if takes_adc_range(kept) and adc.adc_range_option is ADCRangeLimits.CALIBRATED and not adc.calibrated_range:
        kept.update({"xbar.adc.mvm.adc_range_option": "MAX"})
    return kept


def input_range(
    params: CrossSimParameters, seen: Profile, objective: Objective, zero_level: bool, layer: str
) -> ChosenRange | None:
    """The input range of a layer; None if it takes its range from every vector.

    Without a DAC that quantises, the range is only a scale: the largest magnitude. The ones that drive bias columns are
    always within the range.

    Raises:
        ParameterError: the DAC has no sign and inputs are negative; names the layer.
    """
    if params.core.mapping.inputs.mvm.percentile is not None:
        return None
    record, signed = seen.inputs["mvm"], params.xbar.dac.mvm.signed
    if not signed and record.low < 0:
        raise ParameterError(
            "xbar.dac.mvm.signed", False, f"layer {layer!r} has negative inputs, down to {record.low:.4g}",
            remedy="Set it to True (model SignMagnitudeDAC)",
        )  # fmt: skip
    scale = dac_scale(params.xbar.dac.mvm, zero_level)
    if scale is None:
        high = max(percentile_range(record, 100)[1], 1.0 if seen.constants else 0.0)
        return ChosenRange(-high if signed else 0.0, high, 0.0)
    signal = Signal((record,), (1.0,))
    chosen = choose_range(signal, scale, objective)
    if seen.constants and chosen.high < 1:
        low, high = scale.cover(chosen.low, 1.0)
        chosen = ChosenRange(low, high, signal.loss(scale, objective.power).relative(low, high))
    return chosen


def takes_adc_range(params: CrossSimParameters) -> bool:
    """True if the ADC converts, over a range that calibration may choose."""
    adc = params.xbar.adc.mvm
    return adc.converts and adc.adc_range_option is not ADCRangeLimits.GRANULAR


def adc_ranges(
    params: CrossSimParameters, seen: Profile, objective: Objective, zero_level: bool
) -> tuple[ChosenRange, ...]:
    """The ADC range of a layer, or one per weight slice; empty if it converts nothing or its range is kept."""
    scale = adc_scale(params.xbar.adc.mvm, zero_level)
    if scale is None or not takes_adc_range(params) or not is_reached(seen):
        return ()
    slices = params.core.bit_sliced.num_slices if params.core.style is CoreStyle.BITSLICED else 1
    signals = _signals(seen, slices, params.xbar.dac.mvm.slice_size)
    if params.core.style is not CoreStyle.BITSLICED:
        return (choose_range(signals[0], scale, objective),)
    weights = [2.0 ** (params.core.bits_per_slice * number) for number in range(slices)]
    return tuple(choose_slice_ranges(signals, weights, scale, objective))


def _signals(seen: Profile, slices: int, slice_size: int) -> list[Signal]:
    """What the converters of each weight slice see; errors of an input slice count by its significance."""
    keys = seen.by_slice("mvm", slices)
    # Where a ReLU removes everything, there is nothing to weigh but the floors themselves.
    dead = not any(record.total for record in seen.conversions.values())
    records, floors = (seen.floors, {}) if dead else (seen.conversions, seen.floors)
    return [
        Signal(
            tuple(records[key] for number, key in keys if number == slice_),
            tuple(2.0 ** (slice_size * key.plane) for number, key in keys if number == slice_),
            tuple(floors[key] for number, key in keys if number == slice_ and key in floors),
        )
        for slice_ in range(slices)
    ]


def with_ranges(
    params: CrossSimParameters, inputs: ChosenRange | None, adc: Sequence[ChosenRange], batchnorm_folded: bool | None
) -> CrossSimParameters:
    """The hardware with ranges set; None and empty leave it as described. It knows of which kind of layer they are."""
    ranged = params.copy()
    ranged.batchnorm_folded = batchnorm_folded
    if inputs is not None:
        ranged.update({"core.mapping.inputs.mvm.min": inputs.low, "core.mapping.inputs.mvm.max": inputs.high})
    if adc:
        sliced = params.core.style is CoreStyle.BITSLICED
        limits = [chosen.limits for chosen in adc]
        found = {"calibrated_range": limits if sliced else limits[0], "adc_range_option": "CALIBRATED"}
        ranged.update({f"xbar.adc.mvm.{name}": value for name, value in found.items()})
    return ranged
