"""Parameters of other CrossSim releases: passed over with one notice, so that files and scripts run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from crossohm.errors import warn_user
from crossohm.params.text import group_of, join

NOTHING = "it had no effect on results"


def without_obsolete(group: type[BaseModel], prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a group class without obsolete names, in dicts for its sub-groups too; one notice names them all."""
    found: dict[str, str] = {}
    kept = _kept(group, prefix, values, found)
    _notify(found)
    return kept


def without_obsolete_paths(group: type[BaseModel], prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The same for values by dotted path."""
    found: dict[str, str] = {}
    kept: dict[str, Any] = {}
    for path, value in values.items():
        *names, last = path.split(".")
        owner: type[BaseModel] | None = group
        for name in names:
            owner = owner and group_of(owner.model_fields.get(name))
        if owner is None:  # no such path, which is for the assignment to say
            kept[path] = value
            continue
        for name, inner in _kept(owner, join(prefix, *names), {last: value}, found).items():
            kept[join(*names, name)] = inner
    _notify(found)
    return kept


def _kept(group: type[BaseModel], prefix: str, values: Mapping[str, Any], found: dict[str, str]) -> dict[str, Any]:
    obsolete: Mapping[str, str] = getattr(group, "obsolete", {})
    kept = {}
    for name, value in values.items():
        if name in obsolete:
            found[join(prefix, name)] = obsolete[name]
            continue
        inner = group_of(group.model_fields.get(name))
        kept[name] = _kept(inner, join(prefix, name), value, found) if inner and isinstance(value, dict) else value
    return kept


def _notify(found: Mapping[str, str]) -> None:
    if found:
        listed = "; ".join(f"{path} ({instead})" for path, instead in found.items())
        warn_user(f"obsolete parameters of other CrossSim releases are passed over: {listed}")
