"""Models looked up by name: built-in ones, a user's own file, or an installed plug-in."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from crossohm._signatures import misfit
from crossohm.errors import CrossOhmError, ParameterError, UnknownNameError, warn_user

T = TypeVar("T")


def is_own(code: object) -> bool:
    """True for a class or function of crossohm itself, False for a user's."""
    return str(getattr(code, "__module__", "")).partition(".")[0] == "crossohm"


def _origin(cls: type) -> tuple[str, str]:
    """Where a class comes from: its file, or module if there is none (a notebook), and its qualified name."""
    module = str(getattr(cls, "__module__", "nowhere"))  # what is no class is registered only to be refused
    file = getattr(sys.modules.get(module), "__file__", None)
    return (module if file is None else os.path.realpath(file)), str(getattr(cls, "__qualname__", cls))


class Registry(Generic[T]):
    """Names to classes of one kind (devices, ADCs, DACs).

    Args:
        kind: Word used in messages, e.g. ``"device model"``.
        group: Entry-point group searched for plug-ins, e.g. ``"crossohm.devices"``.
        base: Class that all of them derive from, and that says how their methods are called.
        parts: Names that are no arguments of methods, because an argument holds what they stand for.
    """

    def __init__(self, kind: str, group: str, base: type[T], parts: Collection[str] = ()) -> None:
        self._kind = kind
        self._group = group
        self._base = base
        self._parts = parts
        self._classes: dict[str, type[T]] = {}
        self._origins: dict[str, tuple[str, str]] = {}
        self._refused: dict[str, str] = {}
        self._plugins_loaded = False

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that makes the class available under ``name``.

        Registering a name again replaces the class only if it is a redefinition of the same class: of the same
        qualified name, from the same file or notebook (a cell that is run again, a file that is executed again).
        Another class under a taken name raises `CrossOhmError`. A class that cannot be called as models of this kind
        are is refused: a warning now, and an error where it is used, say what is wanted.
        """

        def add(cls: type[T]) -> type[T]:
            origin = _origin(cls)
            known = self._origins.get(name, origin)
            if name in self._classes and known != origin:
                raise CrossOhmError(
                    f"{self._kind} {name!r} is already registered by {known[1]} of {known[0]}, and would be replaced "
                    f"by {origin[1]} of {origin[0]}; choose another name"
                )
            problem = misfit(cls, self._base, self._parts)
            for table in (self._classes, self._refused):
                table.pop(name, None)
            self._origins[name] = origin
            if problem:
                self._refused[name] = problem
                warn_user(f"{self._kind} {name!r} is refused: {problem}")
            else:
                self._classes[name] = cls
            return cls

        return add

    def create(self, name: str, path: str) -> T:
        """An instance of the model called ``name``; ``path`` is the parameter that named it.

        Raises:
            UnknownNameError: no such model; lists the nearest and all known names.
            ParameterError: the model cannot be called as models of this kind are.
        """
        if name not in self._classes or name in self._announced:
            self._load_plugins()
        if name in self._refused:
            raise ParameterError(path, name, f"this {self._kind} is refused: {self._refused[name]}")
        if name not in self._classes:
            near = difflib.get_close_matches(name, self._classes, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Register it with a decorator of this {self._kind} kind"
            raise UnknownNameError(path, name, f"no such {self._kind}", allowed=", ".join(self), remedy=hint)
        return self._classes[name]()

    def __iter__(self) -> Iterator[str]:
        self._load_plugins()
        return iter(sorted(self._classes))

    @cached_property
    def _announced(self) -> frozenset[str]:
        """Names that installed packages announce; one that is taken shows when it is asked for."""
        return frozenset(point.name for point in entry_points(group=self._group))

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        for point in entry_points(group=self._group):
            try:
                self.register(point.name)(point.load())
            except Exception as error:  # a broken plug-in must not take the built-in models down
                warnings.warn(
                    f"{self._kind} plug-in {point.name!r} ({point.value}) cannot be loaded: {error}",
                    RuntimeWarning,
                    stacklevel=3,
                )
