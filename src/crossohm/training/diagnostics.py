"""What writes did against what they were asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray


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


def _gain(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Slope of a regression through zero."""
    return float(found @ wanted / (wanted @ wanted)) if wanted.size else 0.0
