"""Whether a user's class can be called as crossohm calls its kind: known at registration, not only when it fails."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def misfit(cls: type, base: type, parts: Collection[str] = ()) -> str:
    """What of ``cls`` cannot be called as methods of ``base`` are, and what is wanted instead; empty if all can.

    An override may name its arguments as it likes, take more that have defaults, or ``*args``; it may not lack one,
    need one more, or call one by the name of another.

    Args:
        cls: The class of a model.
        base: The class that says how models are called.
        parts: Names of what an argument of ``base`` holds: nobody passes that by itself.
    """
    if not (isinstance(cls, type) and issubclass(cls, base)):
        return f"it is no class derived from {base.__module__}.{base.__name__}; write class ...({base.__name__})"
    found = [_constructor(cls), *(_method(cls, base, name, parts) for name in _public(base))]
    problems = "; ".join(filter(None, found))
    return f"{problems} (see docs/extending.md)" if problems else ""


def _public(base: type) -> Iterator[str]:
    return (name for name, value in vars(base).items() if inspect.isfunction(value) and not name.startswith("_"))


def _constructor(cls: type) -> str:
    signature = _signature(cls)
    if signature is None or _accepts(signature, ()):
        return ""
    return f"{cls.__name__}{signature} is created without arguments: give those of __init__ defaults"


def _method(cls: type, base: type, name: str, parts: Collection[str]) -> str:
    own, wanted = getattr(cls, name), getattr(base, name)
    arguments = tuple(inspect.signature(wanted).parameters)
    call = f"{name}({', '.join(arguments)})"
    if own is wanted:
        return ""
    if not callable(own):
        return f"{name} = {own!r} is no method: write def {call}"
    signature = _signature(own)
    is_bound = isinstance(inspect.getattr_static(cls, name), staticmethod | classmethod)
    passed = arguments[1:] if is_bound else arguments
    if signature is None or (_accepts(signature, passed) and not _misnamed(signature, passed, parts)):
        return ""
    given = ", ".join(str(one.replace(annotation=inspect.Parameter.empty)) for one in signature.parameters.values())
    return f"write def {call} in place of {name}({given})"


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """None for compiled code that does not say what it takes."""
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def _accepts(signature: inspect.Signature, passed: tuple[str, ...]) -> bool:
    try:
        signature.bind(*passed)
    except TypeError:
        return False
    return True


def _misnamed(signature: inspect.Signature, passed: tuple[str, ...], parts: Collection[str]) -> bool:
    """True if an argument has the name of another one, or of a part of one: it would get something else."""
    own = [one.name for one in signature.parameters.values() if one.kind in _POSITIONAL]
    others = {*passed, *parts}
    return any(name != wanted and name in others for name, wanted in zip(own, passed, strict=False))
