"""References to layers beside the registered ones: in lists, tuples, dictionaries, methods and objects of the user."""

from __future__ import annotations

import dataclasses
import functools
from collections import deque
from collections.abc import Iterable, Mapping
from types import MethodType
from typing import Any, final

from torch import nn

#: Attributes of modules that hold no layers.
_TENSORS = ("_parameters", "_buffers")
#: Packages whose objects hold no layers of the user.
_FOREIGN = ("torch", "numpy", "crossohm", "builtins")


def follow(model: nn.Module, table: Mapping[int, Any]) -> None:
    """Put other modules in the place of some wherever ``model`` refers to them, in place.

    Args:
        model: Looked through, with all its modules and what their attributes hold: lists, tuples, dictionaries, sets,
            deques, bound methods, partials, data classes and plain objects, nested. Closures cannot be looked into.
        table: The new module for the identity of each old one.
    """
    if not table:
        return
    follower = _Follower(table)
    for start in (model, *table.values()):
        follower.visit(start)


@final
class _Follower:
    def __init__(self, table: Mapping[int, Any]) -> None:
        self._table = table
        self._seen: dict[int, Any] = {}  # kept alive, so that no identity is used twice

    def visit(self, value: Any) -> None:
        """Replace what an object with attributes refers to."""
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        for name, old in _attributes(value):
            new = self._followed(old)
            if new is not old:
                # Past the setters of modules, which register, and of frozen data classes, which refuse.
                object.__setattr__(value, name, new)

    def _followed(self, value: Any) -> Any:
        """``value``, changed in place where that is possible, or what takes its place."""
        if id(value) in self._table:
            return self._table[id(value)]
        if isinstance(value, MethodType):
            return self._method(value)
        if isinstance(value, functools.partial):
            return self._partial(value)
        if isinstance(value, tuple | frozenset):
            return self._immutable(value)
        if isinstance(value, list | deque | set | dict):
            if id(value) not in self._seen:
                self._seen[id(value)] = value
                self._contents(value)
        elif _is_open(value):
            self.visit(value)
        return value

    def _method(self, value: MethodType) -> Any:
        owner = self._followed(value.__self__)
        if owner is value.__self__:
            return value
        return getattr(owner, value.__func__.__name__, None) or MethodType(value.__func__, owner)

    def _partial(self, value: functools.partial) -> functools.partial:
        function, arguments = self._followed(value.func), self._followed(value.args)
        self._followed(value.keywords)
        if function is value.func and arguments is value.args:
            return value
        return functools.partial(function, *arguments, **value.keywords)

    def _immutable(self, value: tuple | frozenset) -> Any:
        items = self._all(value)
        if items is None:
            return value
        return value._make(items) if hasattr(value, "_make") else type(value)(items)

    def _contents(self, value: list | deque | set | dict) -> None:
        if isinstance(value, dict):
            keys, values = self._all(value), self._all(value.values())
            if keys is None and values is not None:
                value.update(zip(list(value), values, strict=True))
            elif keys is not None:
                pairs = dict(zip(keys, values or list(value.values()), strict=True))
                value.clear()
                value.update(pairs)
            return
        items = self._all(value)
        if items is None:
            return
        value.clear()
        if isinstance(value, set):
            value.update(items)
        else:
            value.extend(items)

    def _all(self, values: Iterable[Any]) -> list[Any] | None:
        """What takes the places of ``values``; None if they stay."""
        old = list(values)
        new = [self._followed(item) for item in old]
        return new if any(a is not b for a, b in zip(new, old, strict=True)) else None


def _attributes(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, nn.Module):
        hidden = (*_TENSORS, *getattr(value, "_own", ()))
        return [(name, held) for name, held in vars(value).items() if name not in hidden]
    if hasattr(value, "__dict__"):
        return list(vars(value).items())
    return [(field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value)]


def _is_open(value: Any) -> bool:
    """True if an object may refer to layers by its attributes."""
    if isinstance(value, nn.Module):
        return True
    kind = type(value)
    if isinstance(value, type) or kind.__module__.partition(".")[0] in _FOREIGN:
        return False
    return hasattr(value, "__dict__") or dataclasses.is_dataclass(value)
