"""Functions whose keywords are checked like parameters: the annotations say what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from crossohm._names import did_you_mean, nearest
from crossohm.errors import ParameterError, UnknownNameError
from crossohm.params.enums import Choice
from crossohm.params.text import PROBLEMS, words

P = ParamSpec("P")
R = TypeVar("R")


def checked_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which takes keywords only, with values of the annotated types.

    NumPy scalars and arrays count as what they hold, choices as their names, and nothing else is converted: the string
    ``"False"`` is not False, and 1 is not True.

    Raises:
        UnknownNameError: when called: a keyword that chooses by name is given another name; has the nearest.
        ParameterError: when called: a value is of the wrong type.
    """
    kinds = {name: kind for name, kind in get_type_hints(function, include_extras=True).items() if name != "return"}

    @wraps(function)
    def call(*args: P.args, **given: P.kwargs) -> R:
        checked = {name: _checked(name, kinds[name], value) for name, value in given.items() if name in kinds}
        return function(*args, **{**given, **checked})

    return call


def _checked(name: str, kind: Any, given: Any) -> Any:
    value = given.name if isinstance(given, Choice) else given
    if get_origin(kind) is Literal and isinstance(value, str):
        return _named(name, value, get_args(kind))
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
    raised = detail.get("ctx", {}).get("error")
    if isinstance(raised, ParameterError):
        raise ParameterError(name, given, raised.problem, allowed=raised.allowed)
    problem = PROBLEMS.get(detail["type"], detail["msg"])
    raise ParameterError(name, given, problem, allowed=words(TypeAdapter(kind).json_schema()))


def _named(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value in choices:
        return value
    same = next((choice for choice in choices if choice.lower() == value.lower()), None)
    remedy = did_you_mean(same or nearest(value, choices))
    raise UnknownNameError(name, value, "no such choice", allowed=", ".join(choices), remedy=remedy)
