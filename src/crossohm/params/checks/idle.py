"""Which settings have no effect, and why: one search for each cause. `effects` asks them.

Models that crossohm does not know may use any parameter of their group; nothing is said about those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from pydantic import BaseModel

from crossohm.params.converters import ADCParameters
from crossohm.params.device import DeviceModelParameters
from crossohm.params.enums import ADCRangeLimits, CoreStyle, PartitionStrategy
from crossohm.params.root import CrossSimParameters
from crossohm.params.text import group_of, join

SIDES = ("mvm", "vmm")
ROLES = ("programming_error", "drift_error", "read_noise", "nonlinear_IV")


@final
@dataclass(frozen=True)
class Finding:
    """Parameters without effect for one reason; ``told`` if a person should hear of it while hardware is built."""

    paths: tuple[str, ...]
    reason: str
    remedy: str
    told: bool = True


Findings = Iterator[Finding]
Search = Callable[[CrossSimParameters], Findings]

SEARCHES: list[Search] = []


def search(function: Search) -> Search:
    """Register a search for settings without effect."""
    SEARCHES.append(function)
    return function


def findings(params: CrossSimParameters) -> Findings:
    """What all searches find; the first finding about a parameter is the most telling."""
    return (finding for look in SEARCHES for finding in look(params))


def leaves(group: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of the single parameters in a group class."""
    for name, field in group.model_fields.items():
        inner = group_of(field)
        if inner is None:
            yield join(prefix, name)
        else:
            yield from leaves(inner, join(prefix, name))


def _at(prefix: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names)


# --- mapping ---------------------------------------------------------------------------------------------------------


@search
def styles_not_chosen(params: CrossSimParameters) -> Findings:
    """Each style of mapping has details of its own."""
    core = params.core
    balanced = _at("core.balanced", "style", "interleaved_posneg", "subtract_current_in_xbar")
    if not core.uses_pairs:
        yield Finding(
            balanced, f"{_style(params)} weights are not pairs of cells", "set core.style = 'BALANCED' for pairs"
        )
    elif core.style is CoreStyle.BITSLICED:
        yield Finding(balanced[:1], "BITSLICED weights are always one-sided", "set core.style = 'BALANCED' to choose")
    if core.style is not CoreStyle.BITSLICED:
        reason = f"{core.style.name} weights are not sliced"
        remedy = "set core.style = 'BITSLICED' for slices"
        yield Finding((*_at("core.bit_sliced", "style", "num_slices"), _WIRELESS), reason, remedy)
    if core.uses_pairs:
        yield Finding(("core.offset.style",), f"{_style(params)} weights have no offset", "set core.style = 'OFFSET'")


_WIRELESS = "xbar.array.parasitics.disable_slices"


def _style(params: CrossSimParameters) -> str:
    sliced = params.core.style is CoreStyle.BITSLICED
    return f"BITSLICED {params.core.bit_sliced.style.name}" if sliced else params.core.style.name


@search
def weight_bits_of_cells(params: CrossSimParameters) -> Findings:
    """Cells have the resolution of BALANCED and OFFSET weights, slices that of BITSLICED ones (see `advice`)."""
    core = params.core
    sides = [getattr(params.xbar.adc, side) for side in SIDES]
    steps = any(adc.converts and adc.adc_range_option is ADCRangeLimits.GRANULAR for adc in sides)
    if core.style is CoreStyle.BITSLICED:
        reason = "BITSLICED cells have the levels that their slice needs"
        yield Finding(_at("xbar.device", "cell_bits"), reason, "vary core.weight_bits or num_slices", told=False)
    elif params.xbar.device.cell_bits or not steps:
        reason = f"{core.style.name} weights have the resolution of xbar.device.cell_bits"
        yield Finding(_at("core", "weight_bits"), reason, "set xbar.device.cell_bits", told=False)


@search
def partitions_without_limit(params: CrossSimParameters) -> Findings:
    """Only matrices larger than an array are divided."""
    weights = params.core.mapping.weights
    for side, limit in (("row", "cols_max"), ("col", "rows_max")):
        priority, strategy = _at("core.mapping.weights", f"{side}_partition_priority", f"{side}_partition_strategy")
        if getattr(params.core, limit) == 0:
            yield Finding((priority, strategy), f"core.{limit} = 0 leaves arrays unlimited", f"set core.{limit}")
        elif getattr(weights, f"{side}_partition_strategy") is PartitionStrategy.MAX:
            yield Finding((priority,), "MAX fills arrays anyway", f"set {strategy} = 'EQUAL'")


@search
def ranges_that_hold_everything(params: CrossSimParameters) -> Findings:
    """Nothing is clipped by a range that is taken from the largest value."""
    weights = params.core.mapping.weights
    if weights.percentile is not None and weights.percentile >= 1:
        reason = f"the range of percentile {weights.percentile:g} holds all weights"
        remedy = "set core.mapping.weights.percentile below 1, or min and max"
        yield Finding(_at("core.mapping.weights", "clipping"), reason, remedy, told=False)


@search
def input_ranges(params: CrossSimParameters) -> Findings:
    """A range of inputs only scales them unless something clips, rounds, or limits."""
    for side in SIDES:
        mapping, path = getattr(params.core.mapping.inputs, side), f"core.mapping.inputs.{side}"
        if mapping.percentile is None:
            yield Finding(_at(path, "percentile_scope"), f"{path} is a fixed range", f"set {path}.percentile")
        else:
            reason = f"with {path}.percentile only a DAC clips"
            yield Finding(_at(path, "clipping"), reason, f"set {path}.min and max, or the bits of a DAC")
        if getattr(params.xbar.dac, side).converts:
            yield Finding(_at(path, "clipping"), "a DAC always clips", f"set xbar.dac.{side}.bits = 0", told=False)
        elif not (mapping.clipping or getattr(params.xbar.adc, side).converts or _sees_voltages(params)):
            reason = "the range cancels: no DAC, ADC, current limit or nonlinear cell knows it"
            remedy = f"set the model and bits of xbar.dac.{side}, or {path}.clipping"
            names = ("min", "max", "percentile", "percentile_scope")
            yield Finding(_at(path, *names), reason, remedy, told=False)


def _sees_voltages(params: CrossSimParameters) -> bool:
    """True if currents are not proportional to inputs."""
    return params.xbar.array.Icol_max > 0 or _active(params, "nonlinear_IV")


# --- cells and wires -------------------------------------------------------------------------------------------------


def _active(params: CrossSimParameters, role: str) -> bool:
    group: DeviceModelParameters = getattr(params.xbar.device, role)
    return group.active


@search
def imperfections_switched_off(params: CrossSimParameters) -> Findings:
    """A model of the cells takes part only if it is enabled."""
    for role in ROLES:
        group, path = getattr(params.xbar.device, role), f"xbar.device.{role}"
        if group.model == "IdealDevice":
            reason, remedy = f"{path}.model = 'IdealDevice' has no errors", f"set {path}.model to a device model"
            yield Finding(_at(path, "enable", "magnitude", "path"), reason, remedy)
        if not group.enable:
            names = _at(path, "model", "magnitude", "path")
            yield Finding(names, f"{path}.enable is False", f"set {path}.enable = True")


@search
def errors_of_a_write(params: CrossSimParameters) -> Findings:
    """A write applies one model: that of the drift, which includes the programming error, or of the programming."""
    device = params.xbar.device
    if not _active(params, "drift_error"):
        reason = "no drift model is enabled"
        remedy = "set xbar.device.drift_error.model and .enable, or set the time to 0"
        used_by_other = any(_active(params, role) for role in ROLES)
        if not used_by_other:
            yield Finding(("xbar.device.time",), reason, remedy, told=False)  # a write tells
    elif _active(params, "programming_error"):
        overruled, rules = ("programming_error", "drift_error")[:: 1 if device.time else -1]
        reason = f"at xbar.device.time = {device.time:g} the model of {rules} describes the cells"
        remedy = f"set xbar.device.{rules}.enable = False" if device.time else "set xbar.device.time"
        other = device.programming_error.model != device.drift_error.model
        names = _at(f"xbar.device.{overruled}", "enable", "model", "magnitude", "path")
        yield Finding(names, reason, remedy, told=other and device.time > 0)


@search
def frame_of_perfect_cells(params: CrossSimParameters) -> Findings:
    """Real resistances and voltages are read by device models and wires; all else is relative."""
    device = params.xbar.device
    modelled = any(_active(params, role) for role in ROLES)
    if device.infinite_on_off_ratio:
        reason = "xbar.device.infinite_on_off_ratio is True: the lowest conductance is 0"
        yield Finding(("xbar.device.Rmax",), reason, "set xbar.device.infinite_on_off_ratio = False")
        if not (modelled or params.xbar.array.parasitics.effective):
            reason = "only wires, device models and a finite on/off ratio know resistances in ohm"
            remedy = "set xbar.device.infinite_on_off_ratio = False, or enable wires or a device model"
            yield Finding(("xbar.device.Rmin",), reason, remedy, told=False)
    if not modelled:
        remedy = "enable a model under xbar.device"
        yield Finding(("xbar.device.Vread",), "only device models know voltages, and none is enabled", remedy)
    if not any(_active(params, role) for role in ROLES[:3]):
        reason = "no model changes conductances"
        remedy = "enable programming_error, read_noise or drift_error under xbar.device"
        yield Finding(("xbar.device.clip_conductance",), reason, remedy)


@search
def wires_switched_off(params: CrossSimParameters) -> Findings:
    """Wires take part if they are enabled and have a resistance."""
    wires, path = params.xbar.array.parasitics, "xbar.array.parasitics"
    resistances = ("Rp_row", "Rp_col", "Rp_row_terminal", "Rp_col_terminal")
    shape = _at(path, "current_from_input", "selected_rows", "disable_slices")
    if not wires.enable:
        yield Finding((*_at(path, *resistances), *shape), f"{path}.enable is False", f"set {path}.enable = True")
    elif not wires.effective:
        remedy = f"set {path}.Rp_row, Rp_col, Rp_row_terminal or Rp_col_terminal, in ohm"
        yield Finding((f"{path}.enable", *shape), "all wire resistances are 0", remedy)
    elif wires.current_from_input:
        reason = f"{path}.current_from_input is True: only driven rows are there"
        yield Finding(_at(path, "selected_rows"), reason, f"set {path}.current_from_input = False")


@search
def pairs_that_do_not_meet(params: CrossSimParameters) -> Findings:
    """Where pairs are subtracted matters to what comes after the cells, or between them."""
    core, wires = params.core, params.xbar.array.parasitics
    if not core.uses_pairs or _sees_voltages(params) or wires.effective:
        return
    if not any(getattr(params.xbar.adc, side).converts for side in SIDES):
        reason = "currents meet no ADC, current limit, wire or nonlinear cell; only records of currents know it"
        names = _at("core.balanced", "interleaved_posneg", "subtract_current_in_xbar")
        yield Finding(names, reason, "set the model and bits of xbar.adc.mvm", told=False)


@search
def sampling_without_noise(params: CrossSimParameters) -> Findings:
    """How read noise is drawn matters where there is some."""
    path = "simulation.read_noise_sampling"
    if not _active(params, "read_noise"):
        yield Finding((path,), "there is no read noise", "set xbar.device.read_noise.model and .enable")
    elif params.simulation.read_noise_sampling == "first_order" and not params.xbar.array.parasitics.effective:
        yield Finding((path,), "there is no wire resistance", "enable xbar.array.parasitics")


# --- converters ------------------------------------------------------------------------------------------------------

_AMPLIFIED = ("gain_db", "sigma_comparator")
_STAGES = (*_AMPLIFIED, "sigma_C1", "sigma_C2", "sigma_Cpar", "group_size")
_DETAILS = {
    "QuantizerADC": ("stochastic_rounding",),
    "SignMagnitudeADC": ("stochastic_rounding",),
    "RampADC": (*_AMPLIFIED, "sigma_capacitor", "symmetric_cdac"),
    "SarADC": (*_AMPLIFIED, "sigma_capacitor", "split_cdac", "group_size"),
    "PipelineADC": _STAGES,
    "CyclicADC": _STAGES,
}
_GENERAL = ("model", "bits", "signed", "adc_per_ibit", "calibrated_range", "adc_range_option")


@search
def adcs_that_do_not_convert(params: CrossSimParameters) -> Findings:
    """An ADC converts if it has a model and bits; where its limits come from is then a matter of description."""
    for side in SIDES:
        adc, path = getattr(params.xbar.adc, side), f"xbar.adc.{side}"
        if adc.converts:
            continue
        reason, remedy = f"{path}.bits = 0 switches the ADC off", f"set {path}.bits"
        if adc.bits == 0:
            yield Finding(_at(path, "model"), reason, remedy)
        if adc.model == "IdealADC":
            reason = f"{path}.model = 'IdealADC' converts nothing"
            remedy = f"set {path}.model, e.g. 'QuantizerADC' or 'SarADC', and bits"
            yield Finding(_at(path, "bits"), reason, remedy)
        described = ("adc_per_ibit", "adc_range_option", "signed")
        details = (name for name in leaves(ADCParameters) if name not in ("model", "bits", *described))
        yield Finding(_at(path, *described), reason, remedy, told=False)
        yield Finding(_at(path, *details), reason, remedy)


@search
def details_of_other_adcs(params: CrossSimParameters) -> Findings:
    """Each ADC model has details of its own; limits are given or follow from the hardware."""
    for side in SIDES:
        adc, path = getattr(params.xbar.adc, side), f"xbar.adc.{side}"
        if not adc.converts:
            continue
        if adc.adc_range_option is not ADCRangeLimits.CALIBRATED:
            reason = f"{path}.adc_range_option = {adc.adc_range_option.name!r} takes limits from the hardware"
            yield Finding(_at(path, "calibrated_range"), reason, f"set {path}.adc_range_option = 'CALIBRATED'")
        if adc.model in _DETAILS:
            known = (*_GENERAL, *_DETAILS[adc.model])
            others = (name for name in leaves(ADCParameters) if name not in known)
            yield Finding(_at(path, *others), f"no part of a {adc.model}", f"set {path}.model to one that has it")
            if adc.model != "SignMagnitudeADC":
                reason = "limits say which signs there are"
                yield Finding(_at(path, "signed"), reason, "vary the range, or the model", told=False)


@search
def dacs_that_do_not_convert(params: CrossSimParameters) -> Findings:
    """A DAC converts if it has a model and bits; its sign also decides the limits of ADCs."""
    for side in SIDES:
        dac, path = getattr(params.xbar.dac, side), f"xbar.dac.{side}"
        if dac.model == "IdealDAC":
            reason = f"{path}.model = 'IdealDAC' converts nothing"
            remedy = f"set {path}.model, e.g. 'SignMagnitudeDAC', or bits = 0"
            yield Finding(_at(path, "bits"), reason, remedy)
        if dac.bits == 0:
            yield Finding(_at(path, "model"), f"{path}.bits = 0 switches the DAC off", f"set {path}.bits")
        if not dac.converts and not _limits_follow_inputs(params, side):
            reason = "there is no DAC, and no limit of an ADC follows from its sign"
            yield Finding(_at(path, "signed"), reason, f"set {path}.model and bits", told=False)


def _limits_follow_inputs(params: CrossSimParameters, side: str) -> bool:
    adc = getattr(params.xbar.adc, side)
    return adc.converts and adc.adc_range_option is not ADCRangeLimits.CALIBRATED


@search
def slices_of_inputs(params: CrossSimParameters) -> Findings:
    """Slices of an input add up to the input where nothing between drive and ADC tells them apart."""
    for side in SIDES:
        dac, adc = getattr(params.xbar.dac, side), getattr(params.xbar.adc, side)
        path = f"xbar.dac.{side}"
        if not dac.input_bitslicing:
            yield Finding(_at(path, "slice_size"), f"{path}.input_bitslicing is False", f"set {path}.input_bitslicing")
            continue
        apart = adc.adc_per_ibit and adc.converts
        gated = params.xbar.array.parasitics.effective and not params.xbar.array.parasitics.current_from_input
        if not (apart or gated or _sees_voltages(params) or _active(params, "read_noise")):
            reason = "slices add up to the input: nothing between DAC and ADC tells them apart"
            remedy = f"set xbar.adc.{side}.adc_per_ibit = True and bits"
            yield Finding(_at(path, "input_bitslicing", "slice_size"), reason, remedy, told=False)


# --- simulation ------------------------------------------------------------------------------------------------------

_VISIBLE = {
    "useGPU": "computations run where their arrays are; pass PyTorch, CuPy or JAX arrays on the GPU",
    "analytics.profile_xbar_inputs": "record with core.profile(), crossohm.torch.profile or get_profiled_xbar_inputs",
    "analytics.profile_adc_inputs": "record with core.profile(), crossohm.torch.profile or get_profiled_adc_inputs",
}


@search
def switches_of_the_reference(params: CrossSimParameters) -> Findings:
    """Some parameters are kept only so that files and scripts of CrossSim run."""
    for name in params.simulation.compatibility_switches():
        reason = "it is kept only so that files and scripts of CrossSim load"
        remedy = _VISIBLE.get(name, "leave it at its default")
        yield Finding((f"simulation.{name}",), reason, remedy, told=name in _VISIBLE)
