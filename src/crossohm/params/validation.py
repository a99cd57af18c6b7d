"""All rules and all advice together: what `CrossSimParameters.validate` runs."""

from __future__ import annotations

from crossohm.errors import warn_user
from crossohm.params.advice import ADVICE
from crossohm.params.root import CrossSimParameters
from crossohm.params.rules import RULES


def check(params: CrossSimParameters) -> None:
    """Raise the first violation, with the others as notes; if there is none, warn as advised."""
    check_rules(params)
    for message in (message for advise in ADVICE for message in advise(params)):
        warn_user(message)


def check_rules(params: CrossSimParameters) -> None:
    """Raise the first violation, with the others as notes."""
    found = [violation for broken in RULES for violation in broken(params)]
    for other in found[1:]:
        found[0].add_note(f"also: {other}")
    if found:
        raise found[0]
