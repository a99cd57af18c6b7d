"""What was measured, and how people write it: the one owner for tables, pages and figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from crossohm.studies.file.wording import number
from crossohm.studies.results.results import OUTPUT_SNR
from crossohm.studies.results.statistics import Spread

_ERRORS = {
    "rmse": "Root-mean-square error",
    "mae": "Mean absolute error",
    "nrmse": "Error relative to the spread of the targets",
}


@final
@dataclass(frozen=True)
class Measure:
    """Something that was measured of every chip.

    Attributes:
        name: As results call it, e.g. ``"top1"``.
        label: As people call it.
        unit: ``"%"`` for shares (kept as 0..1), ``"dB"``, or nothing.
    """

    name: str
    label: str
    unit: str = ""

    def amount(self, value: float) -> str:
        """A value as people write it, without its unit."""
        if not math.isfinite(value):
            return "undefined" if math.isnan(value) else f"{'−' if value < 0 else ''}∞"
        return f"{100 * value:.2f}" if self.unit == "%" else number(value)

    def text(self, value: float) -> str:
        """A value as people write it."""
        return self.amount(value) if math.isnan(value) else f"{self.amount(value)} {self.unit}".rstrip()

    def spread_text(self, found: Spread) -> str:
        """Mean and standard deviation as people write them; the mean alone of a single chip, or if it is infinite."""
        if found.std is None or not math.isfinite(found.std):
            return self.text(found.mean)
        return f"{self.text(found.mean)} ± {self.text(found.std)}"

    def interval_text(self, limits: tuple[float, float]) -> str:
        """Lower and upper limit as people write them."""
        return f"{self.amount(limits[0])} … {self.text(limits[1])}"

    def cell(self, found: Spread) -> str:
        """The same in a column of numbers: the unit once."""
        if found.std is None or not math.isfinite(found.std):
            return self.text(found.mean)
        return f"{self.amount(found.mean)} ± {self.text(found.std)}"


def p_text(value: float) -> str:
    """A p-value as people write it."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


#: Signal-to-noise ratio of the network's outputs.
SNR = Measure(OUTPUT_SNR, "Output signal-to-noise ratio", "dB")


def measure(name: str) -> Measure:
    """The measure that results call by this name."""
    if name.startswith("top"):
        return Measure(name, f"Top-{name.removeprefix('top')} accuracy", "%")
    return SNR if name == SNR.name else Measure(name, _ERRORS.get(name, name))
