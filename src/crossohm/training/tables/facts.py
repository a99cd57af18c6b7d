"""What a pulse table says about its device, in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.training.tables.table import USED, PulseTable


@final
@dataclass(frozen=True)
class DirectionFacts:
    """The pulses of one direction over the used range.

    Attributes:
        step: Mean change of a pulse, in the unit of the table; negative if it lowers the conductance.
        steps: Mean pulses from one end of the range to the other: the range over the mean change.
        noise: Standard deviation of the change of a pulse, over the mean change.
        fall: Mean change where pulses of this direction begin (the low end for SET), over that where they end; None
            if the two have different signs.
        wrong: Share of pulses that change the conductance the other way, over all conductances of the range.
    """

    step: float
    steps: float
    noise: float
    fall: float | None
    wrong: float


@final
@dataclass(frozen=True)
class TableFacts:
    """What a pulse table says about its device.

    Attributes:
        lowest: Lowest conductance of the table, in its unit.
        highest: Highest conductance of the table.
        low: Lowest used conductance.
        high: Highest used conductance.
        up: SET pulses.
        down: RESET pulses.
        symmetry: Where one SET and one RESET pulse cancel on average, 0 to 1 of the used range; None: nowhere within.
        regular: Both grids are equally spaced.
        points: Conductances and probabilities of the table.
    """

    lowest: float
    highest: float
    low: float
    high: float
    up: DirectionFacts
    down: DirectionFacts
    symmetry: float | None
    regular: bool
    points: tuple[int, int]


def table_facts(table: PulseTable) -> TableFacts:
    """What a table says about its device between 10 and 90 % of its range."""
    used = table.columns(*USED)
    ends = table.at(USED[0]), table.at(USED[1])
    means = table.mean_up, table.mean_down
    up, down = (
        _direction(changes, mean, table.cdf, used, ends[1] - ends[0])
        for changes, mean in zip((table.increasing, table.decreasing), means, strict=True)
    )
    symmetry = crossing(table.g[used], (means[0] + means[1])[used])
    return TableFacts(
        lowest=float(table.g[0]),
        highest=float(table.g[-1]),
        low=ends[0],
        high=ends[1],
        up=up,
        down=down,
        symmetry=None if symmetry is None else (symmetry - ends[0]) / (ends[1] - ends[0]),
        regular=table.regular,
        points=(table.g.size, table.cdf.size),
    )


def _direction(
    changes: NDArray[np.float64],
    mean: NDArray[np.float64],
    cdf: NDArray[np.float64],
    used: slice,
    span: float,
) -> DirectionFacts:
    """One direction; ``changes`` and ``mean`` of all columns."""
    step = float(mean[used].mean())
    spread = np.sqrt(np.trapezoid((changes - mean) ** 2, cdf, axis=0))[used]
    ends = mean[used][[0, -1]] if step > 0 else mean[used][[-1, 0]]
    wrong = np.trapezoid((changes[:, used] * step < 0).astype(np.float64), cdf, axis=0)
    return DirectionFacts(
        step=step,
        steps=span / abs(step),
        noise=float(spread.mean()) / abs(step),
        fall=float(ends[0] / ends[1]) if ends[0] * ends[1] > 0 else None,
        wrong=float(wrong.mean()),
    )


def crossing(g: NDArray[np.float64], sums: NDArray[np.float64]) -> float | None:
    """The conductance towards which alternating pulses drive a device: where the sum of both means falls through 0."""
    places = np.flatnonzero((sums[:-1] > 0) & (sums[1:] <= 0))
    if not places.size:
        return None
    first = int(places[0])
    part = sums[first] / (sums[first] - sums[first + 1])
    return float(g[first] + part * (g[first + 1] - g[first]))
