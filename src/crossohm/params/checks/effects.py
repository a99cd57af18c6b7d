"""Settings without effect: what a description sets although something else in it keeps it from mattering.

A *finding* (see `idle`) names parameters, why they do not matter given the rest of the tree, and what would make them
matter. Findings that a person wants to hear of while hardware is built are *told*: a setting that was probably meant to
do something. The others are ordinary descriptions (a range that cancels without converters, a choice that only shows in
recorded currents) and concern only those who vary them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, final

from crossohm.params.base import Group
from crossohm.params.checks.idle import Finding, findings, leaves
from crossohm.params.root import CrossSimParameters


@final
@dataclass(frozen=True)
class Advice:
    """A setting without effect.

    Attributes:
        path: Dotted path from the root, e.g. ``"xbar.adc.mvm.bits"``.
        value: Its value; of choices the name.
        reason: Why it does not matter, with the parameter responsible.
        remedy: What would make it matter.
    """

    path: str
    value: Any
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path} = {self.value!r} has no effect: {self.reason}; {self.remedy}"


def without_effect(params: CrossSimParameters, asked: Iterable[str] | None = None) -> tuple[Advice, ...]:
    """Settings that change no result of a product, given the other settings.

    Args:
        params: The hardware; it need not be valid.
        asked: Dotted paths of parameters or groups to judge, whatever their values (a group has no effect if nothing in
            it has). None: all that differ from their defaults and were probably meant to have an effect.

    Returns:
        One entry for each such path that has no effect, in the order asked, or of the tree. Nothing is said of what
        models that crossohm does not know may use.

    Raises:
        UnknownNameError: a path does not exist.
    """
    found: dict[str, Finding] = {}
    for finding in findings(params):
        for path in finding.paths:
            found.setdefault(path, finding)
    if asked is None:
        changed = params.diff(_defaults())
        return tuple(_advice(params, path, found[path]) for path in changed if path in found and found[path].told)
    judged = ((path, _finding_of(params, path, found)) for path in asked)
    return tuple(_advice(params, path, finding) for path, finding in judged if finding is not None)


def told(advice: Iterable[Advice]) -> Iterator[str]:
    """Pieces of advice as sentences without values: one for all settings that have no effect for the same reason."""
    for (reason, remedy), group in groupby(advice, lambda one: (one.reason, one.remedy)):
        names = [one.path for one in group]
        yield f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no effect: {reason}; {remedy}"


def switched_off(params: CrossSimParameters, changes: Mapping[str, Any]) -> CrossSimParameters:
    """A copy with ``changes``, by path; settings that mean nothing without what they switch off take their defaults."""
    found = params.copy()
    found.update(changes)
    before = without_effect(params)
    found.update({one.path: _defaults().get(one.path) for one in without_effect(found) if one not in before})
    return found


@cache
def _defaults() -> CrossSimParameters:
    """A description to compare with; building one takes longer than everything else here."""
    return CrossSimParameters()


def _finding_of(params: CrossSimParameters, path: str, found: dict[str, Finding]) -> Finding | None:
    """Why the parameter, or all that is in the group, has no effect."""
    value = params.get(path)
    if not isinstance(value, Group):
        return found.get(path)
    reasons = [found.get(f"{path}.{leaf}") for leaf in leaves(type(value))]
    return reasons[0] if all(reasons) else None


def _advice(params: CrossSimParameters, path: str, finding: Finding) -> Advice:
    value = params.get(path)
    return Advice(path, getattr(value, "name", value), finding.reason, finding.remedy)
