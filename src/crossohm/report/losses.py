"""What the variants of an error budget lose: the numbers behind their bars, in pages and figures."""

from __future__ import annotations

import math

from crossohm.report.data import Point, ReportData
from crossohm.report.measure import Measure


def loss(data: ReportData, point: Point, measure: Measure) -> float:
    """What a variant loses, in the unit of `loss_label`; NaN where it is not known.

    Accuracies and errors are compared with the digital network, noise power with that of the complete hardware.
    """
    mean = point.spread(measure.name).mean
    if measure.unit == "dB":
        complete = [other for other in data.points if data.complete in other.positions and measure.name in other.analog]
        return math.nan if not complete else 100 * 10 ** ((complete[0].spread(measure.name).mean - mean) / 10)
    digital = point.digital.get(measure.name, math.nan)
    return 100 * (digital - mean) if measure.unit == "%" else mean - digital


def loss_label(measure: Measure) -> str:
    """What the bars of a budget show."""
    if measure.unit == "dB":
        return "noise power (% of that of the complete hardware)"
    if measure.unit == "%":
        return f"loss of {measure.label.lower()} against the digital network (points)"
    return f"{measure.label}: more than that of the digital network"
