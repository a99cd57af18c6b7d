"""One device as another: a model as a table of pulses, a table as steps at equally spaced states, trains as bounds."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from crossohm.errors import ParameterError, UnsupportedError
from crossohm.training.checks import require_count, require_number
from crossohm.training.tables.table import PulseTable
from crossohm.training.updates.model import UpdateModel
from crossohm.training.updates.pulsed import PiecewiseStep, SoftBounds

#: Tables hold finite quantiles: those of the outermost probabilities stand at half a step from the ends.
_INSIDE = 0.5


def table_of(
    model: UpdateModel, *, pulse: float | None = None, columns: int = 101, probabilities: int = 101, title: str = ""
) -> PulseTable:
    """A model as a table of pulses: normal quantiles with the mean and the variance of a pulse at each state.

    Args:
        model: Any model that says its moments; of several devices, a typical one.
        pulse: Change that one pulse asks for, normalised; None: that of the model.
        columns: States of the table, over the window.
        probabilities: Probabilities of the table.
        title: Of the table.

    Returns:
        The table, in normalised states moved up so that all are positive.

    Raises:
        UnsupportedError: the model has no pulses and none is given, or does not say its moments.
        ParameterError: a number of points is too small.
    """
    require_count("columns", columns, at_least=2)
    require_count("probabilities", probabilities, at_least=3)
    size = model.pulse if pulse is None else pulse
    if not size > 0:
        raise UnsupportedError(
            f"{type(model).__name__} has no pulses; say what one asks for: table_of(model, pulse=...)"
        )
    window = model.window
    w = np.linspace(window.floor, window.ceiling, columns)
    moments = model.moments(w, typical(model, columns))
    cdf = np.linspace(0, 1, probabilities)
    inside = _INSIDE / (probabilities - 1)
    quantiles = ndtri(np.clip(cdf, inside, 1 - inside))[:, None]
    quantiles = quantiles / np.sqrt(np.trapezoid(quantiles**2, cdf, axis=0))
    up, down = (
        size * mean + np.sqrt(size * variance) * quantiles
        for mean, variance in (
            (moments.mean_up, moments.variance_up),
            (moments.mean_down, moments.variance_down),
        )
    )
    return PulseTable(w - min(window.floor, 0.0), cdf, up, down, title)


def typical(model: UpdateModel, count: int) -> dict[str, np.ndarray]:
    """What differs from device to device, at the middle of many devices."""
    many = model.devices((1001,), np.random.default_rng(0))
    return {name: np.full(count, np.median(of.astype(np.float64))).astype(of.dtype) for name, of in many.items()}


def piecewise_of(table: PulseTable, *, nodes: int = 21) -> PiecewiseStep:
    """A table as a signed device with the same mean steps and one spread from pulse to pulse.

    Skew, steps of the wrong sign and noise that depends on the state are lost.

    Args:
        table: The measured device.
        nodes: Equally spaced states at which steps are given.

    Raises:
        ParameterError: there are fewer than two nodes.
    """
    require_count("nodes", nodes, at_least=2)
    places = np.linspace(table.g[0], table.g[-1], nodes)
    unit = 2 / (table.g[-1] - table.g[0])
    means = {"up": table.mean_up * unit, "down": -table.mean_down * unit}
    step = float(np.mean([mean.mean() for mean in means.values()]))
    curves = {name: np.interp(places, table.g, mean) / step for name, mean in means.items()}
    return PiecewiseStep(
        step_size=step,
        step_spread=0.0,
        asymmetry_spread=0.0,
        bound_spread=0.0,
        cycle_noise=spread_of(table),
        low=-1.0,
        high=1.0,
        nodes_up=tuple(map(float, curves["up"])),
        nodes_down=tuple(map(float, curves["down"])),
    )


def soft_bounds_of(lowest: float, highest: float, *, pulses: float, rate: float) -> SoftBounds:
    r"""Soft bounds as they are read off pulse trains, all devices alike and every pulse the mean one.

    ``pulses`` pulses lead from the lowest state to the highest along ``lowest + B (1 - exp(-rate p))``, with
    ``B = (highest - lowest) / (1 - exp(-rate pulses))``, and as many back along the mirrored curve. Trains do not reach
    the bounds, which are ``B`` away from where they begin.

    Args:
        lowest: State at which trains up begin.
        highest: State at which trains down begin.
        pulses: Pulses from one to the other (``p_max``).
        rate: Share of the way to the bound that one pulse goes, if it is small (``alpha``).

    Raises:
        ParameterError: a parameter is out of its range, or zero is not between the bounds.
    """
    require_number("highest", highest, above=lowest)
    require_number("pulses", pulses, above=0)
    require_number("rate", rate, above=0)
    reach = (highest - lowest) / -math.expm1(-rate * pulses)
    low, high = highest - reach, lowest + reach
    if not low < 0 < high:
        problem, remedy = f"bounds of {low:.4g} and {high:.4g} do not enclose 0", "Shift both states: they are signed"
        raise ParameterError("highest", highest, problem, remedy=remedy)
    up, down = (-math.expm1(-rate) * size for size in (high, -low))
    return SoftBounds(
        step_size=max(up, down),
        step_spread=0.0,
        asymmetry=1 - down / up if up > down else up / down - 1,
        asymmetry_spread=0.0,
        cycle_noise=0.0,
        low=low,
        high=high,
        bound_spread=0.0,
    )


def spread_of(table: PulseTable) -> float:
    """Spread of a pulse over its mean, both by their root mean square over all states and directions."""
    squares, means = [], []
    for changes, mean in ((table.increasing, table.mean_up), (table.decreasing, table.mean_down)):
        squares.append(np.trapezoid((changes - mean) ** 2, table.cdf, axis=0))
        means.append(mean**2)
    return float(np.sqrt(np.mean(squares) / np.mean(means)))
