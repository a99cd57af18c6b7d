"""What was measured, and how people write it: the one owner for tables, pages and figures."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import final

from crossohm.metrics import Words
from crossohm.studies.file.wording import number
from crossohm.studies.results.results import OUTPUT_SNR
from crossohm.studies.results.statistics import Spread


@final
@dataclass(frozen=True)
class Measure(Words):
    """Something that was measured of every chip, see `crossohm.metrics.Words`."""

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


def measure(words: Words) -> Measure:
    """What was measured, in words that a table writes."""
    return Measure(**asdict(words))
