"""A device known by its measured pulses: the distribution of the change of one pulse, at every conductance."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import DataError, warn_user

#: Relative difference up to which grids of two files are the same.
SAME_GRID = 1e-6
#: Spread of the steps of a grid, relative to the largest, up to which it counts as regular.
REGULAR = 1e-4
#: Range of conductances, as fractions of the table's, over which the direction of the pulses is checked.
USED = (0.1, 0.9)
#: No number of a device is larger, in whichever unit: sums of squares stay finite.
MOST = 1e100
#: Larger conductances are in another unit than siemens: no memory cell conducts so well.
_SIEMENS = 0.01


@final
@dataclass(frozen=True, eq=False)
class PulseTable:
    """Quantiles of the change made by one pulse, as a function of the conductance before it.

    ``increasing[c, g]`` is the ``cdf[c]``-quantile of the change made by one SET pulse at conductance ``g[g]``, and
    ``decreasing`` that of one RESET pulse. Single cells and columns may have the other sign; the mean over the middle
    of the range may not.

    Attributes:
        g: Conductances, shape ``(nG,)``, ascending; siemens, or any unit: only ratios matter.
        cdf: Cumulative probabilities, shape ``(nC,)``, ascending from 0 to 1.
        increasing: Changes of SET pulses, shape ``(nC, nG)``, in the unit of ``g``.
        decreasing: Changes of RESET pulses, shape ``(nC, nG)``.
        title: Free text.

    Raises:
        DataError: the numbers are not those of a table; the message says which.

    Warns:
        UserWarning: SET and RESET are the wrong way round, and were exchanged.
    """

    g: NDArray[np.float64]
    cdf: NDArray[np.float64]
    increasing: NDArray[np.float64]
    decreasing: NDArray[np.float64]
    title: str = field(default="")

    def __post_init__(self) -> None:
        for name in ("g", "cdf", "increasing", "decreasing"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if not np.isfinite(values).all():
                raise DataError(f"{name} of a pulse table: not all numbers are finite; leave out what was not measured")
            if np.abs(values).max(initial=0) > MOST:
                raise DataError(f"{name} of a pulse table has numbers beyond {MOST:g}; give them in a usual unit")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        require_conductances(self.g)
        require_probabilities(self.cdf)
        for name in ("increasing", "decreasing"):
            found, wanted = getattr(self, name).shape, (self.cdf.size, self.g.size)
            if found != wanted:
                raise DataError(f"{name} of a pulse table has shape {found}; {wanted} wanted: (len(cdf), len(g))")
        self._turn_round()

    def _turn_round(self) -> None:
        """Check that SET raises and RESET lowers the conductance, and exchange the two if it is the other way round."""
        up, down = (float(mean[self.columns(*USED)].mean()) for mean in (self.mean_up, self.mean_down))
        if up > 0 > down:
            return
        if up < 0 < down:
            warn_user(
                "pulse table: the increasing pulses lower the conductance and the decreasing ones raise it; they are "
                "taken the other way round"
            )
            increasing, decreasing = self.decreasing, self.increasing
            object.__setattr__(self, "increasing", increasing)
            object.__setattr__(self, "decreasing", decreasing)
            return
        wrong, mean, sign = ("increasing", up, "positive") if up <= 0 else ("decreasing", down, "negative")
        raise DataError(
            f"{wrong} of a pulse table changes the conductance by {mean:.3g} on average between {USED[0]:.0%} and "
            f"{USED[1]:.0%} of its range; it must be {sign}"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PulseTable) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """SHA-256 of all numbers."""
        found = hashlib.sha256()
        for values in (self.g, self.cdf, self.increasing, self.decreasing):
            found.update(np.int64(values.shape[-1]).tobytes())
            found.update(values.tobytes())
        return found.hexdigest()

    @property
    def regular(self) -> bool:
        """True if both grids are equally spaced."""
        return all(np.ptp(np.diff(grid)) < REGULAR * np.diff(grid).max() for grid in (self.g, self.cdf))

    @property
    def siemens(self) -> bool:
        """True if the numbers look like conductances of memory cells in siemens."""
        return bool(self.g[-1] <= _SIEMENS)

    @property
    def mean_up(self) -> NDArray[np.float64]:
        """Mean change of a SET pulse at each conductance, shape ``(nG,)``; the trapezoid rule over the quantiles."""
        return np.asarray(np.trapezoid(self.increasing, self.cdf, axis=0))

    @property
    def mean_down(self) -> NDArray[np.float64]:
        """Mean change of a RESET pulse at each conductance, shape ``(nG,)``."""
        return np.asarray(np.trapezoid(self.decreasing, self.cdf, axis=0))

    def at(self, fraction: float) -> float:
        """The conductance at a fraction of the table's range."""
        return float(self.g[0] + fraction * (self.g[-1] - self.g[0]))

    def columns(self, low: float, high: float) -> slice:
        """Grid columns from the one nearest to the fraction ``low`` of the range to that nearest to ``high``."""
        first, last = (int(np.abs(self.g - self.at(fraction)).argmin()) for fraction in (low, high))
        return slice(first, last + 1)


def require_conductances(values: NDArray[np.float64]) -> None:
    """Raise `DataError` unless these can be the conductances of a table."""
    _require_grid("g", values)
    if values[0] < 0:
        raise DataError(f"g of a pulse table begins with {values[0]:g}; conductances are not negative")
    if values[-1] - values[0] < 1 / MOST:
        raise DataError(f"g of a pulse table ends at {values[-1]:g}; give conductances in a usual unit")


def require_probabilities(values: NDArray[np.float64]) -> None:
    """Raise `DataError` unless these can be the cumulative probabilities of a table."""
    _require_grid("cdf", values)
    if values[0] != 0 or values[-1] != 1:
        raise DataError(f"cdf of a pulse table goes from {values[0]:g} to {values[-1]:g}; it must go from 0 to 1")


def _require_grid(name: str, values: NDArray[np.float64]) -> None:
    if values.ndim != 1 or values.size < 2:
        raise DataError(f"{name} of a pulse table has shape {values.shape}; at least two numbers in a row wanted")
    steps = np.diff(values)
    if not (steps > 0).all():
        place = int(np.argmin(steps > 0))
        raise DataError(
            f"{name} of a pulse table does not ascend: number {place + 1} is {values[place]:g}, number {place + 2} is "
            f"{values[place + 1]:g}"
        )
