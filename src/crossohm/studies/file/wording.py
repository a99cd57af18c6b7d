"""Numbers and settings as people write them: the one owner for tables, pages and figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

#: Digits that show a number; more only where settings would look the same.
DIGITS = 4
_EXACT = 17
_LARGE = 1e6


def number(value: float, digits: int = DIGITS) -> str:
    """A number in few digits: whole ones below a million as they are, ``0.002154``, ``1.5e-7``, ``2e6``.

    Args:
        value: Any number; infinite and undefined ones become ``inf``, ``-inf`` and ``nan``.
        digits: Significant digits of numbers that are not whole.
    """
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < _LARGE):
        return str(int(value))
    if 10**digits <= abs(value) < _LARGE:
        return f"{value:.0f}"
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def settings(values: Sequence[Any]) -> tuple[str, ...]:
    """Settings of one kind as texts: with as few digits as tell apart what is different."""
    different = len({repr(value) for value in values})
    for digits in range(DIGITS, _EXACT + 1):
        texts = tuple(_setting(value, digits) for value in values)
        if len(set(texts)) == different:
            return texts
    return tuple(_setting(value, DIGITS) for value in values)


def _setting(value: Any, digits: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value, digits)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_setting(part, digits) for part in value)}]"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_setting(part, digits)}" for name, part in value.items())
    return json.dumps(value)
