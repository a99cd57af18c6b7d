"""Warnings that point at the user's line, whatever of this package lies between."""

from __future__ import annotations

import sys
import warnings


def warn(message: str) -> None:
    """A `UserWarning` at the user's line."""
    warnings.warn(message, UserWarning, stacklevel=_caller_level())


def _caller_level() -> int:
    """Stack level of the user's line: the first frame that is not in this package, counted from `warn`."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "crossohm":
        frame, level = frame.f_back, level + 1
    return level
