"""What writes did against what they were asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import UnsupportedError
from crossohm.training.tables.facts import crossing
from crossohm.training.updates.converting import typical
from crossohm.training.updates.model import UpdateModel

#: Parts of the range of weights in which requests and changes are compared, and requests below which that says little.
_PARTS, _FEW = 10, 20
#: States at which a symmetry point is looked for.
_STATES = 501


@final
@dataclass(frozen=True)
class UpdateDiagnostics:
    """Requested and realised changes of weights, each over twice its own standard deviation, compared.

    Attributes:
        error: Mean of the realised less the requested change.
        error_spread: Standard deviation of that error.
        spread_up: The same of requests that raise the weight.
        spread_down: The same of requests that lower it.
        asymmetry: Size of the difference of the two.
        gain_up: Realised per requested change, by regression through zero, of requests that raise the weight, before
            the scaling.
        gain_down: The same of requests that lower it.
    """

    error: float
    error_spread: float
    spread_up: float
    spread_down: float
    asymmetry: float
    gain_up: float
    gain_down: float

    def as_dict(self) -> dict[str, float]:
        """The numbers by name."""
        return asdict(self)


def update_diagnostics(requested: NDArray[np.floating], realised: NDArray[np.floating]) -> UpdateDiagnostics | None:
    """Compare changes of weights (CrossSim 0.3 manual, "Update diagnostics").

    Args:
        requested: Wanted changes, any shape; zeros are left out.
        realised: Changes of the same weights.

    Returns:
        The comparison; None if nothing was asked for, or nothing happened.
    """
    asked = requested != 0
    wanted, found = (values[asked].astype(np.float64) for values in (requested, realised))
    up = wanted > 0
    if not wanted.size or not wanted.std() or not found.std():
        return None
    error = found / (2 * found.std()) - wanted / (2 * wanted.std())
    spread_up, spread_down = (float(error[part].std()) if part.any() else 0.0 for part in (up, ~up))
    gain_up, gain_down = (_gain(wanted[part], found[part]) for part in (up, ~up))
    asymmetry = abs(spread_up - spread_down)
    return UpdateDiagnostics(
        float(error.mean()), float(error.std()), spread_up, spread_down, asymmetry, gain_up, gain_down
    )


def update_gains(
    requested: NDArray[np.floating], realised: NDArray[np.floating], before: NDArray[np.floating], limit: float
) -> dict[str, list[float | None]]:
    """Realised per requested changes by the weight before the write.

    Args:
        requested: Wanted changes, any shape; zeros are left out.
        realised: Changes of the same weights.
        before: The same weights before.
        limit: Their limit.

    Returns:
        For equal parts of the range from ``-limit`` to ``limit``: ``weight``, the middle over the limit; ``share`` of
        the requests; ``gain_up`` and ``gain_down``, the slopes of regressions through zero, None where few ask.
    """
    asked = requested != 0
    wanted, done, weight = (values[asked].astype(np.float64) for values in (requested, realised, before))
    part = np.clip(((weight / limit + 1) / 2 * _PARTS).astype(int), 0, _PARTS - 1)
    found: dict[str, list[float | None]] = {"weight": [], "share": [], "gain_up": [], "gain_down": []}
    for number in range(_PARTS):
        here = part == number
        found["weight"].append((2 * number + 1) / _PARTS - 1)
        found["share"].append(float(here.mean()) if here.size else 0.0)
        for name, way in (("gain_up", here & (wanted > 0)), ("gain_down", here & (wanted < 0))):
            found[name].append(_gain(wanted[way], done[way]) if way.sum() >= _FEW else None)
    return found


def symmetry_point(model: UpdateModel) -> float | None:
    """The state towards which equal requests up and down drive a typical device, 0 to 1 of the used range.

    Returns:
        None if there is none within, or the model does not say its moments.
    """
    window = model.window
    w = np.linspace(window.low, window.high, _STATES)
    try:
        moments = model.moments(w, typical(model, _STATES))
    except UnsupportedError:
        return None
    found = crossing(w, moments.mean_up + moments.mean_down)
    return None if found is None else (found - window.low) / window.width


def _gain(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Slope of a regression through zero."""
    return float(found @ wanted / (wanted @ wanted)) if wanted.size else 0.0
