"""Names for the points of an error budget: what is wrong with the hardware of each."""

from __future__ import annotations

from crossohm.studies import ChipResult, Results
from crossohm.studies.nonidealities import EVERYWHERE, NONIDEALITIES

#: Name of the variant that nothing was taken away from.
COMPLETE = "complete hardware"


def budget_labels(results: Results) -> dict[int, str]:
    """What every point of an error budget has, by number: everything, nothing, all but one cause, or one only.

    Empty for results that are none.
    """
    if not any(chip.cures for chip in results.chips):
        return {}
    everything = {cause for chip in results.chips for layer, cause in chip.cures if layer == EVERYWHERE}
    layers = {layer for chip in results.chips for layer, _ in chip.cures} - {EVERYWHERE}
    return {chip.point: _label(chip, everything, layers) for chip in results.chips}


def _label(chip: ChipResult, everything: set[str], layers: set[str]) -> str:
    cured = {cause for layer, cause in chip.cures if layer == EVERYWHERE}
    if not chip.cures:
        return COMPLETE
    if cured == everything and len(everything) > 1:
        return "perfect arrays"
    if len(chip.cures) == 1:
        layer, cause = chip.cures[0]
        return f"without {NONIDEALITIES[cause].label}{_in(layer)}"
    left = ", ".join(NONIDEALITIES[cause].label for cause in sorted(everything - cured))
    elsewhere = {layer for layer, _ in chip.cures} - {EVERYWHERE}
    return f"only {left}{_in(', '.join(sorted(layers - elsewhere)) if elsewhere else EVERYWHERE)}"


def _in(layer: str) -> str:
    return "" if layer == EVERYWHERE else f" in {layer}"
