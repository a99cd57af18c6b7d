"""Hardware that is legal but probably not what was meant; each advice yields a warning and says why."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from crossohm.params.checks.effects import told, without_effect
from crossohm.params.checks.sides import adcs
from crossohm.params.converters import ADCPair
from crossohm.params.enums import ADCRangeLimits, BalancedCoreStyle, CoreStyle
from crossohm.params.root import CrossSimParameters, advice


@advice
def weight_bits_do_not_quantise(params: CrossSimParameters) -> Iterator[str]:
    """weight_bits looks like a resolution, but cells of BALANCED and OFFSET weights have cell_bits."""
    core, cell_bits = params.core, params.xbar.device.cell_bits
    if core.weight_bits == 0 or core.style is CoreStyle.BITSLICED or _granular(params.xbar.adc):
        return
    expected = {core.weight_bits - core.uses_pairs}
    if core.uses_pairs and core.balanced.style is BalancedCoreStyle.TWO_SIDED:
        expected.add(core.weight_bits)
    if cell_bits not in expected:
        have = f"cells of {cell_bits} bits" if cell_bits else "continuous cells"
        yield (
            f"core.weight_bits = {core.weight_bits} does not quantise {core.style.name} weights, which are in {have}; "
            f"set xbar.device.cell_bits = {min(expected)} for {core.weight_bits}-bit weights, or core.weight_bits = 0"
        )


def _granular(adc: ADCPair) -> bool:
    return any(spec.adc_range_option is ADCRangeLimits.GRANULAR for spec in (adc.mvm, adc.vmm))


@advice
def top_slice_is_used(params: CrossSimParameters) -> Iterator[str]:
    """Bits are dealt out from the lowest slice; with too many slices nothing is left for the highest."""
    core = params.core
    if core.style is CoreStyle.BITSLICED:
        used = -(-(core.weight_bits - core.uses_pairs) // core.bits_per_slice)
        if used < core.bit_sliced.num_slices:
            yield (
                f"core.bit_sliced.num_slices = {core.bit_sliced.num_slices}: {core.weight_bits} weight bits in slices "
                f"of {core.bits_per_slice} fill only {used} of them; the others stay at zero"
            )


@advice
def settings_have_an_effect(params: CrossSimParameters) -> Iterator[str]:
    """What is set was meant to do something; one piece of advice for each reason why it does not."""
    return told(without_effect(params))


@advice
def slice_ranges_differ_by_powers_of_two(params: CrossSimParameters) -> Iterator[str]:
    """Digital addition of slices by shifting needs ADC steps whose ratios are powers of two."""
    if params.core.style is not CoreStyle.BITSLICED:
        return
    for path, adc in adcs(params):
        if adc.converts and adc.adc_range_option is ADCRangeLimits.CALIBRATED:
            widths = [high - low for low, high in adc.calibrated_pairs]
            ratios = [math.log2(one / next_one) for one, next_one in pairwise(widths)]
            if any(abs(ratio - round(ratio)) > 1e-6 for ratio in ratios):
                yield (
                    f"{path}.calibrated_range: widths {widths} do not differ by powers of two, so that slices cannot "
                    "be added by shifting in hardware"
                )
