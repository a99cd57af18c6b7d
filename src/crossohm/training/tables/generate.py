"""A pulse table from raw ramps: the empirical distribution of the change of one pulse at every conductance.

The steps are those of CrossSim's generator (Sandia; manual of version 0.3, "Lookup tables"), with interpolation along
the probabilities and then along the conductances in place of a triangulation of the scattered samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError, ParameterError
from crossohm.training.tables.ramps import Ramp
from crossohm.training.tables.table import PulseTable

#: Bin points at either end that hold too few samples to be used.
_TRIMMED_BELOW, _TRIMMED_ABOVE = 2, 1
#: Extrapolated steps are at most so many times the largest measured one of their ramp.
_LIMIT = 2.0


@final
@dataclass(frozen=True)
class TableSettings:
    """How a table is made.

    Attributes:
        bins: Intervals between the lowest and the highest conductance that both directions reach.
        extrapolate: Continue a ramp's steps linearly before its first pulse; False: hold the first.
        cdf_points: Probabilities of the table.
        cdf_end_points: Further probabilities close to either end, for finer tails.
        g_points: Conductances of the table.
        filter_cdf: Probability at either end whose changes are held rather than used: removes rare events.
        clamp_measured: Limit also measured steps to twice the smallest and largest of their ramp, as CrossSim's
            generator does; it lifts small steps of ramps whose steps all have one sign.
    """

    bins: int = 50
    extrapolate: bool = True
    cdf_points: int = 501
    cdf_end_points: int = 0
    g_points: int = 501
    filter_cdf: float = 0.0
    clamp_measured: bool = False

    def __post_init__(self) -> None:
        least = {"bins": _TRIMMED_BELOW + _TRIMMED_ABOVE + 1, "cdf_points": 2, "cdf_end_points": 0, "g_points": 2}
        for field in fields(self):
            value = getattr(self, field.name)
            low = least.get(field.name)
            if low is not None and (isinstance(value, bool) or not isinstance(value, int) or value < low):
                raise ParameterError(field.name, value, "not a number of points", allowed=f"integers, {low} or more")
        if not 0 <= self.filter_cdf < 0.5:
            raise ParameterError("filter_cdf", self.filter_cdf, "leaves nothing", allowed="0 to less than 0.5")


def table_from_ramps(
    set_ramps: Sequence[Ramp],
    reset_ramps: Sequence[Ramp],
    settings: TableSettings | None = None,
    *,
    title: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PulseTable:
    """The table of a device whose SET and RESET ramps were measured.

    Args:
        set_ramps: Conductances after successive pulses that raise it, siemens; at least two numbers each.
        reset_ramps: The same of pulses that lower it.
        settings: How the table is made.
        title: Of the table.
        progress: Called with the ramps done and their number.

    Raises:
        DataError: the two directions have no conductances in common, or too few samples.
    """
    chosen = settings or TableSettings()
    bins = _bin_points(set_ramps, reset_ramps, chosen.bins)
    total, samples = len(set_ramps) + len(reset_ramps), []
    done = 0
    for ramps in (set_ramps, reset_ramps):
        of_bins: list[list[float]] = [[] for _ in bins]
        for ramp in ramps:
            _collect(ramp, bins, of_bins, chosen)
            done += 1
            progress(done, total)
        samples.append(of_bins)
    used = slice(_TRIMMED_BELOW, len(bins) - _TRIMMED_ABOVE)
    g = np.linspace(bins[used][0], bins[used][-1], chosen.g_points)
    cdf = _probabilities(chosen)
    up, down = (
        _on_grid(g, cdf, bins[used], of_bins[used], name, chosen.filter_cdf)
        for name, of_bins in zip(("SET", "RESET"), samples, strict=True)
    )
    return PulseTable(g, cdf, up, down, title)


def _bin_points(set_ramps: Sequence[Ramp], reset_ramps: Sequence[Ramp], bins: int) -> NDArray[np.float64]:
    """Conductances that both directions reach, equally spaced."""
    low = max(min(float(ramp.min()) for ramp in ramps) for ramps in (set_ramps, reset_ramps))
    high = min(max(float(ramp.max()) for ramp in ramps) for ramps in (set_ramps, reset_ramps))
    if not low < high:
        raise DataError(
            f"SET and RESET ramps have no conductances in common: both reach {low:.4g} S, neither falls below, or "
            f"{high:.4g} S is the most that both reach"
        )
    return np.linspace(low, high, bins + 1)


def _collect(ramp: Ramp, bins: NDArray[np.float64], samples: list[list[float]], settings: TableSettings) -> None:
    """Add a ramp's step at each bin point within its own range to the samples of that point."""
    steps, middles = np.diff(ramp), (ramp[1:] + ramp[:-1]) / 2
    order = np.argsort(middles, kind="stable")
    steps, middles = steps[order], middles[order]
    found = np.interp(bins, middles, steps)
    if settings.extrapolate and len(middles) > 1:
        rising = ramp[-1] > ramp[0]
        found = _extrapolated(bins, middles, steps, found, rising=rising, clamp_measured=settings.clamp_measured)
    inside = (bins >= ramp.min()) & (bins <= ramp.max())
    inside[-1] = False
    for place in np.flatnonzero(inside):
        samples[place].append(float(found[place]))


def _extrapolated(
    bins: NDArray[np.float64],
    middles: NDArray[np.float64],
    steps: NDArray[np.float64],
    held: NDArray[np.float64],
    *,
    rising: bool,
    clamp_measured: bool,
) -> NDArray[np.float64]:
    """Steps continued linearly before the first pulse of a ramp, and held after its last."""
    before = bins < middles[0] if rising else bins > middles[-1]
    near, next_to = (0, 1) if rising else (-1, -2)
    run = middles[near] - middles[next_to]
    slope = (steps[near] - steps[next_to]) / run if run else 0.0
    found = np.where(before, steps[near] + slope * (bins - middles[near]), held)
    if clamp_measured:
        return np.clip(found, _LIMIT * steps.min(), _LIMIT * steps.max())
    limits = min(0.0, _LIMIT * steps.min()), max(0.0, _LIMIT * steps.max())
    return np.where(before, np.clip(found, *limits), found)


def _probabilities(settings: TableSettings) -> NDArray[np.float64]:
    """Cumulative probabilities of the table."""
    even = np.linspace(0, 1, settings.cdf_points)
    if not settings.cdf_end_points:
        return even
    tail = even[1] * 2.0 ** np.arange(-settings.cdf_end_points, 0)
    return np.unique(np.concatenate([even, tail, 1 - tail]))


def _on_grid(
    g: NDArray[np.float64],
    cdf: NDArray[np.float64],
    bins: NDArray[np.float64],
    samples: list[list[float]],
    direction: str,
    filtered: float,
) -> NDArray[np.float64]:
    """Changes at the table's probabilities and conductances, shape ``(nC, nG)``."""
    everything = [value for of_bin in samples for value in of_bin]
    if not everything:
        raise DataError(f"no {direction} pulse starts between {bins[0]:.4g} and {bins[-1]:.4g} S; measure longer ramps")
    columns = np.empty((cdf.size, bins.size))
    for column, of_bin in zip(columns.T, samples, strict=True):
        column[:] = _quantiles(cdf, np.sort(of_bin), filtered) if of_bin else np.mean(everything)
    return np.stack([np.interp(g, bins, row) for row in columns])


def _quantiles(cdf: NDArray[np.float64], ordered: NDArray[np.float64], filtered: float) -> NDArray[np.float64]:
    """Quantiles of sorted samples; probabilities beyond the samples take the value at the first one within."""
    at = (np.arange(ordered.size) + 0.5) / ordered.size
    low, high = max(at[0], filtered), min(at[-1], 1 - filtered)
    within = cdf[(cdf >= low) & (cdf <= high)] if not filtered else cdf[(cdf > filtered) & (cdf < 1 - filtered)]
    within = within[(within >= at[0]) & (within <= at[-1])]
    if not within.size:
        return np.full(cdf.size, np.median(ordered))
    return np.interp(np.clip(cdf, within[0], within[-1]), at, ordered)
