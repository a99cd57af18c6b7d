"""What a user's device model may answer: conductances, deviations and currents that cells can have.

A model that answers in siemens instead of parts of the highest conductance, or forgets an axis, would otherwise write
arrays that look like others. Only what is systematic is refused: single values beyond the range are what errors do.
"""

from __future__ import annotations

import numpy as np

from crossohm._answers import of_shape
from crossohm.backends import Array
from crossohm.devices.model import Cell
from crossohm.errors import ModelError

#: Most that single cells may be programmed to, and that much more for every unit of magnitude. Wide: laws have tails.
HIGHEST = 10.0

#: Standard errors by which a mean must lie outside the range, and cells that it needs to mean something.
SIGMAS, FEWEST = 5.0, 100

_UNIT = "conductances are parts of the highest one, 1/Rmin: 0 to 1, and little beyond"


def conductances(answer: Array, g: Array, who: str, cell: Cell) -> Array:
    """Conductances after a write of ``g``.

    Raises:
        ModelError: they are not of the shape of ``g``, not finite, or out of range on average or by far.
    """
    found = _host(of_shape(answer, tuple(g.shape), who))
    if not found.size:
        return answer
    _require_finite(found, who)
    mean, error = float(found.mean()), SIGMAS * float(found.std()) / found.size**0.5
    if found.size >= FEWEST and not -error <= mean <= 1 + error:
        raise ModelError(f"{who} returned conductances of {mean:.3g} on average; {_UNIT}")
    worst = found.ravel()[np.abs(found).argmax()]
    if abs(worst) > HIGHEST * (1 + cell.magnitude):
        raise ModelError(f"{who} returned a conductance of {worst:.3g}; {_UNIT}")
    return answer


def deviations(answer: Array, g: Array, who: str) -> Array:
    """Standard deviations of the read noise of cells at ``g``.

    Raises:
        ModelError: they are not of the shape of ``g``, not finite, or negative.
    """
    found = _host(of_shape(answer, tuple(g.shape), who))
    _require_finite(found, who)
    if found.size and found.min() < 0:
        raise ModelError(f"{who} returned a standard deviation of {found.min():.3g}; allowed: 0 or more")
    return answer


def coefficients(answer: dict[int, Array], g: Array, who: str) -> dict[int, Array]:
    """Coefficients of the I-V curves of cells at ``g``.

    Raises:
        ModelError: they are not of the shape of ``g``, or not finite.
    """
    for value in answer.values():
        _require_finite(_host(of_shape(value, tuple(g.shape), who)), who)
    return answer


def _host(answer: Array) -> np.ndarray:
    """The numbers where they can be looked at: of NumPy, in which hardware is written; empty otherwise."""
    return answer if isinstance(answer, np.ndarray) else np.empty(0)


def _require_finite(found: np.ndarray, who: str) -> None:
    if not np.isfinite(found).all():
        value = found[~np.isfinite(found)][0]
        raise ModelError(f"{who} returned {value}; allowed: finite numbers, also for cells at 0")
