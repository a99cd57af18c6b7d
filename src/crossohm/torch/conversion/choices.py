"""One choice for all layers of a model, a list with one per layer, or a table of name patterns."""

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
            matches a layer's name decides (``*`` and ``?`` as in file names).
        names: The layers.

    Raises:
        ParameterError: a list has another length than ``names``.
        UnknownNameError: a pattern matches no layer.
    """
    if isinstance(given, Mapping):
        return _by_pattern(argument, given, names)
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


def _by_pattern(argument: str, table: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    for pattern in table:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownNameError(
                f"{argument}[{pattern!r}]",
                pattern,
                "matches no convertible module",
                allowed=_listed(names),
                remedy=did_you_mean(nearest(pattern, names)),
            )
    chosen = {}
    for name in names:
        matches = [pattern for pattern in table if fnmatchcase(name, pattern)]
        if matches:
            chosen[name] = table[matches[0]]
    return chosen


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
