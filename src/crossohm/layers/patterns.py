"""What is chosen for layers by name: one choice for all, a list with one per layer, or name patterns.

Patterns are those of file names: ``*`` for any text, ``?`` for one character. In tables the first that matches decides;
in study files every one that matches has a say, and later ones win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from crossohm._names import did_you_mean, nearest
from crossohm.errors import ParameterError, UnknownNameError


def choice_of_layers(argument: str, given: Any, names: Sequence[str]) -> dict[str, Any]:
    """What is chosen for each layer; layers no pattern matches are absent.

    Args:
        argument: Name of the argument, for messages.
        given: One choice, a list with one per layer, or a table ``{pattern: choice}`` in which the first pattern that
            matches a layer's name decides.
        names: The layers.

    Raises:
        ParameterError: a list has another length than ``names``.
        UnknownNameError: a pattern matches no layer.
    """
    if isinstance(given, Mapping):
        found = patterns_of({pattern: f"{argument}[{pattern!r}]" for pattern in given}, names, "convertible module")
        return {name: given[matching[0]] for name, matching in found.items() if matching}
    if not isinstance(given, list | tuple):
        return dict.fromkeys(names, given)
    if len(given) != len(names):
        raise ParameterError(
            argument,
            f"list of {len(given)}",
            f"the model has {len(names)} convertible modules",
            allowed=f"one value, a list of {len(names)}, or a table of name patterns",
            remedy=f"In order of definition: {_listed(names)}",
        )
    return dict(zip(names, given, strict=True))


def choice_of_some(given: Any, names: Sequence[str]) -> dict[str, Any]:
    """What is chosen for the first layers of a model whose others are not known yet; see `choice_of_layers`.

    Args:
        given: As there.
        names: These layers.
    """
    if isinstance(given, Mapping):
        found = {name: [pattern for pattern in given if matches(name, pattern)] for name in names}
        return {name: given[matching[0]] for name, matching in found.items() if matching}
    return dict(zip(names, given, strict=False)) if isinstance(given, list | tuple) else dict.fromkeys(names, given)


def patterns_of(places: Mapping[str, str], names: Sequence[str], what: str) -> dict[str, tuple[str, ...]]:
    """For each name, the patterns that match it, in their order.

    Args:
        places: The patterns, each with the place where a user wrote it, for messages.
        names: What they may match.
        what: Word for one of them, for messages.

    Raises:
        UnknownNameError: a pattern matches no name.
    """
    found = {name: tuple(pattern for pattern in places if matches(name, pattern)) for name in names}
    used = {pattern for matching in found.values() for pattern in matching}
    for pattern in places:
        if pattern not in used:
            raise UnknownNameError(
                places[pattern],
                pattern,
                f"matches no {what}",
                allowed=_listed(names),
                remedy=did_you_mean(nearest(pattern, names)),
            )
    return found


def matches(name: str, pattern: str) -> bool:
    """True if the pattern matches the whole name; a name matches itself, whatever characters it has."""
    return name == pattern or fnmatchcase(name, pattern)


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
