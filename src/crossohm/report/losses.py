"""What the variants of an error budget lose: the numbers behind their bars, in pages and figures."""

from __future__ import annotations

import math

from crossohm.report.data import Point, ReportData
from crossohm.report.measure import SNR, Measure


def loss(data: ReportData, point: Point, measure: Measure) -> float:
    """What a variant loses, in the unit of `loss_label`, positive where it is worse; NaN where it is not known.

    Measures are compared with the digital network, the noise power of the outputs with that of the complete hardware.
    """
    mean = point.spread(measure.name).mean
    if measure.name == SNR.name:
        complete = [other for other in data.points if data.complete in other.positions and measure.name in other.analog]
        return math.nan if not complete else 100 * 10 ** ((complete[0].spread(measure.name).mean - mean) / 10)
    digital = point.digital.get(measure.name, math.nan)
    worse = digital - mean if measure.higher_is_better else mean - digital
    return 100 * worse if measure.unit == "%" else worse


def loss_label(measure: Measure) -> str:
    """What the bars of a budget show."""
    if measure.name == SNR.name:
        return "noise power (% of that of the complete hardware)"
    if measure.higher_is_better:
        unit = "points" if measure.unit == "%" else measure.unit
        return f"loss of {measure.label[0].lower()}{measure.label[1:]} against the digital network" + (
            f" ({unit})" if unit else ""
        )
    return f"{measure.label}: more than that of the digital network"
