"""What pydantic finds wrong with a study, as one message: file, line, value, what is allowed, nearest name."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from crossohm.errors import ParameterError, StudyError, UnknownNameError
from crossohm.params.text import PROBLEMS, allowed, join, unknown_name
from crossohm.studies.file.sections import Study
from crossohm.studies.file.sources import Source

#: Longer values are cut in messages.
_LONGEST = 80

_OWN_PROBLEMS = {
    "dict_type": ("not a table", "a table of names and values"),
    "tuple_type": ("not a list", "a list"),
    "too_short": ("empty", "at least one entry"),
    "string_pattern_mismatch": ("not a name for a folder", "letters, digits, '_', '-' and '.'"),
}


def study_error(error: ValidationError, source: Source) -> StudyError:
    """The first finding, misspelt names before wrong values; the others are notes on it."""
    found = [_finding(detail, source) for detail in error.errors(include_url=False)]
    found.sort(key=lambda finding: "there is no such" not in finding.problem)
    for other in found[1:4]:
        found[0].add_note(f"also: {other}")
    if len(found) > 4:
        found[0].add_note(f"and {len(found) - 4} more")
    return found[0]


def placed(error: ParameterError, source: Source, prefix: str = "") -> StudyError:
    """An error about a parameter, with the place in the file where the parameter is set."""
    raised = StudyError(
        source.place(join(prefix, error.path)),
        error.path,
        shown(error.value),
        error.problem,
        allowed=error.allowed,
        remedy=error.remedy,
    )
    for note in getattr(error, "__notes__", []):
        raised.add_note(note)
    return raised


class _Shown:
    """Stands for a value too long for a message."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def shown(value: object) -> object:
    """The value, or what stands for it in a message."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; an integer of thousands of digits
        return _Shown(f"<{type(value).__name__}>")
    return value if len(text) <= _LONGEST else _Shown(f"{text[: _LONGEST - 4]} ...")


def _finding(detail: Any, source: Source) -> StudyError:
    owner, prefix, rest = _owner(detail["loc"])
    name = str(rest[0]) if rest else ""
    path = join(prefix, name)
    if detail["type"] == "extra_forbidden":
        return placed(_unknown(owner, prefix, name, detail["input"]), source)
    problem, accepted = _OWN_PROBLEMS.get(detail["type"], ("", ""))
    raised = detail.get("ctx", {}).get("error")  # by a validator of ours
    problem = problem or (str(raised) if raised else "") or PROBLEMS.get(detail["type"], detail["msg"])
    accepted = accepted or (allowed(owner, name) if name in owner.model_fields else "")
    full = path + "".join(f"[{index}]" for index in rest[1:])
    place = source.place(".".join(map(str, detail["loc"])))
    return StudyError(place, full or "study", shown(detail["input"]), problem, allowed=accepted)


def _unknown(owner: type[BaseModel], prefix: str, name: str, value: object) -> UnknownNameError:
    found = unknown_name(owner, prefix, name, value)
    problem = "there is no such entry" if prefix else "there is no such section"
    return UnknownNameError(found.path, value, problem, allowed=found.allowed, remedy=found.remedy)


def _owner(where: Sequence[str | int]) -> tuple[type[BaseModel], str, Sequence[str | int]]:
    """The innermost section on the way, its path, and what remains of the way."""
    owner: type[BaseModel] = Study
    prefix = ""
    while len(where) > 1 and str(where[0]) in owner.model_fields:
        inner, steps = _section_of(owner, str(where[0]))
        if inner is None or len(where) <= steps:
            break
        prefix = join(prefix, *map(str, where[:steps]))
        owner, where = inner, where[steps:]
    return owner, prefix, where


def _section_of(owner: type[BaseModel], name: str) -> tuple[type[BaseModel] | None, int]:
    """The section that a field holds, or a table of which it holds; and how many names lead to it."""
    kind = owner.model_fields[name].annotation
    table = typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind, 1
    if len(table) == 2 and isinstance(table[1], type) and issubclass(table[1], BaseModel):
        return table[1], 2
    return None, 0
