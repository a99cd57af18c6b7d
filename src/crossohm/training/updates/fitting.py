"""Formulas fitted to measured pulses, with how well they fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from crossohm.training.checks import require_one_of
from crossohm.training.tables.table import PulseTable
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.converting import piecewise_of, spread_of
from crossohm.training.updates.model import UpdateModel
from crossohm.training.updates.pulsed import LinearStep, PowStep, SoftBounds

Numbers = NDArray[np.float64]

#: Formulas that can be fitted; the last takes the mean steps as they are, at equally spaced states.
KINDS = ("analytic", "linear_step", "soft_bounds", "pow_step", "piecewise_step")


@final
@dataclass(frozen=True)
class Fit:
    """A model fitted to the mean steps of a table.

    Attributes:
        model: The model; its spread from pulse to pulse is that of the table.
        r_squared: Share of the variance of the mean steps that the formula explains, both directions together.
        error: Root mean square of the error of the mean steps, over the mean size of a step.
    """

    model: UpdateModel
    r_squared: float
    error: float


def fit_table(table: PulseTable, kind: str) -> Fit:
    """Fit a formula to a table of pulses by least squares of the mean steps.

    Args:
        table: The measured device.
        kind: One of `KINDS`.

    Raises:
        UnknownNameError: there is no such formula to fit.
    """
    require_one_of("kind", kind, KINDS, "formula to fit")
    w = 2 * (table.g - table.g[0]) / (table.g[-1] - table.g[0]) - 1
    unit = 2 / (table.g[-1] - table.g[0])
    measured = np.concatenate([table.mean_up, -table.mean_down]) * unit
    step = float(np.abs(measured).mean())
    if kind == "piecewise_step":
        model = piecewise_of(table)
        moments = model.moments(w, model.devices(w.shape, np.random.default_rng(0)))
        return _judged(model, model.pulse * np.concatenate([moments.mean_up, -moments.mean_down]), measured)

    def steps(values: Numbers) -> Numbers:
        return step * np.concatenate(_FORMULAS[kind](w, values))

    start = np.ones(_PARAMETERS[kind])
    found = least_squares(lambda values: (steps(values) - measured) / step, start, bounds=(0, np.inf))
    walk = float(np.sqrt(np.mean(measured**2) / (2 * step)))
    return _judged(_model(kind, found.x, step, spread_of(table), walk), steps(found.x), measured)


def _judged(model: UpdateModel, steps: Numbers, measured: Numbers) -> Fit:
    """A model with how well its mean steps are those measured."""
    residual = steps - measured
    r_squared = 1 - float(np.sum(residual**2) / np.sum((measured - measured.mean()) ** 2))
    return Fit(model, r_squared, float(np.sqrt(np.mean(residual**2)) / np.abs(measured).mean()))


def _linear(w: Numbers, of: Numbers) -> tuple[Numbers, Numbers]:
    return of[0] * (1 - of[2] * w), of[1] * (1 + of[3] * w)


def _soft(w: Numbers, of: Numbers) -> tuple[Numbers, Numbers]:
    return of[0] * (1 - w), of[1] * (1 + w)


def _power(w: Numbers, of: Numbers) -> tuple[Numbers, Numbers]:
    room = (1 - w) / 2
    return of[0] * room ** of[2], of[1] * (1 - room) ** of[3]


def _asymmetric(w: Numbers, of: Numbers) -> tuple[Numbers, Numbers]:
    """Small steps of the asymmetric analytic model on ``-1..1``, one scale for both directions."""
    reach = 2 / (1 - np.exp(-(of[1] + 1e-6)))
    return of[0] * (reach - 1 - w) * of[1] / 2, of[0] * (reach - 1 + w) * of[1] / 2


_FORMULAS = {"linear_step": _linear, "soft_bounds": _soft, "pow_step": _power, "analytic": _asymmetric}
_PARAMETERS = {"linear_step": 4, "soft_bounds": 2, "pow_step": 4, "analytic": 2}


def _model(kind: str, of: Numbers, step: float, noise: float, walk: float) -> UpdateModel:
    """The model with the fitted parameters; ``walk`` turns a pulse's spread into that of a write over the range."""
    if kind == "analytic":
        return AnalyticUpdate(nonlinearity=float(of[1]), write_noise=noise * walk)
    up, down = of[:2] * step
    asymmetry = float(1 - down / up) if down <= up else -float(1 - up / down)
    shared: dict[str, Any] = {
        "step_size": float(max(up, down)),
        "asymmetry": asymmetry,
        "cycle_noise": noise,
        "low": -1.0,
        "high": 1.0,
        **dict.fromkeys(("step_spread", "asymmetry_spread", "bound_spread"), 0.0),
    }
    if kind == "soft_bounds":
        return SoftBounds(**shared)
    if kind == "pow_step":
        return PowStep(**shared, power_up=float(of[2]), power_down=float(of[3]))
    return LinearStep(**shared, slope_up=float(of[2]), slope_down=float(of[3]))
