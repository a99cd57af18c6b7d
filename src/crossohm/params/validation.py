"""All rules and all advice together: what `CrossSimParameters.validate` runs."""

from __future__ import annotations

import sys
import warnings

from crossohm.params.advice import ADVICE
from crossohm.params.root import CrossSimParameters
from crossohm.params.rules import RULES


def check(params: CrossSimParameters) -> None:
    """Raise the first violation, with the others as notes; if there is none, warn as advised."""
    found = [violation for broken in RULES for violation in broken(params)]
    for other in found[1:]:
        found[0].add_note(f"also: {other}")
    if found:
        raise found[0]
    for advise in ADVICE:
        for message in advise(params):
            warnings.warn(message, UserWarning, stacklevel=_caller_level())


def _caller_level() -> int:
    """Stack level of the user's line: the first frame that is not in this package, counted from `check`."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "crossohm":
        frame, level = frame.f_back, level + 1
    return level
