"""Checks of the numbers that models, arrays and algorithms of training are made with."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from crossohm._names import unknown
from crossohm.errors import ParameterError


def require_number(
    name: str, value: object, *, at_least: float = -math.inf, above: float = -math.inf, at_most: float = math.inf
) -> None:
    """Raise `ParameterError` unless ``value`` is a finite number within the limits."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if good and at_least <= value <= at_most and (above == -math.inf or value > above):  # type: ignore[operator]
        return
    limits = [f"above {above:g}"] if above > -math.inf else []
    limits += [f"{at_least:g} or more"] if at_least > -math.inf else []
    limits += [f"at most {at_most:g}"] if at_most < math.inf else []
    raise ParameterError(name, value, "not such a number", allowed=", ".join(["a finite number", *limits]))


def require_count(name: str, value: object, *, at_least: int = 0) -> None:
    """Raise `ParameterError` unless ``value`` is an integer of at least ``at_least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ParameterError(name, value, "not such a number", allowed=f"integers, {at_least} or more")


def require_flag(name: str, value: object) -> None:
    """Raise `ParameterError` unless ``value`` is True or False."""
    if not isinstance(value, bool):
        raise ParameterError(name, value, "not a switch", allowed="true, false")


def require_one_of(name: str, value: Any, known: Collection[str], what: str) -> None:
    """Raise `UnknownNameError` unless ``value`` is one of the known words."""
    if value not in known:
        raise unknown(name, value, known, what)


def require_range(low: object, high: object) -> None:
    """Raise `ParameterError` unless ``low`` and ``high`` are the ends of a range of states."""
    require_number("low", low)
    require_number("high", high, above=float(low))  # type: ignore[arg-type]


def require_levels(levels: object, stochastic: object) -> None:
    """Raise `ParameterError` unless a model can have so many levels."""
    require_count("levels", levels)
    if levels == 1:
        raise ParameterError("levels", levels, "holds no information", allowed="0 (any state), or 2 or more")
    require_flag("stochastic_levels", stochastic)
