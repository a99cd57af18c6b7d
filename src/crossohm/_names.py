"""What is found by name: registered models, a user's functions, what installed packages announce; and the nearest name.

A model is built in, in a user's own file, or of an installed plug-in. A function is written ``module:function`` or
``file.py:function``, or announced by an installed package.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from crossohm._signatures import misfit
from crossohm.errors import CrossOhmError, DataError, ParameterError, UnknownNameError, warn_user

T = TypeVar("T")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like ``name``; None if none is similar enough, by `difflib`'s measure."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(near: str | None) -> str:
    """The question for an error message; empty if nothing is near."""
    return f"Did you mean {near!r}?" if near else ""


def unknown(kind: str, name: object, known: Iterable[str], what: str) -> UnknownNameError:
    """The error for a name that is not among the known ones: the nearest and all of them."""
    allowed = tuple(known)
    remedy = did_you_mean(nearest(str(name), allowed))
    return UnknownNameError(kind, name, f"no such {what}", allowed=", ".join(allowed), remedy=remedy)


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
        """An instance of the model called ``name``, see `find`."""
        return self.find(name, path)()

    def name_of(self, cls: type[T]) -> str:
        """The name that a registered class has.

        Raises:
            CrossOhmError: the class is not registered.
        """
        for name, known in self._classes.items():
            if known is cls:
                return name
        raise CrossOhmError(f"{self._kind} {cls.__name__} has no name; register it with a decorator of this kind")

    def find(self, name: str, path: str) -> type[T]:
        """The class of the model called ``name``; ``path`` is the parameter that named it.

        Raises:
            UnknownNameError: no such model; lists the nearest and all known names.
            ParameterError: the model cannot be called as models of this kind are.
        """
        if name not in self._classes or name in self._announced:
            self._load_plugins()
        if name in self._refused:
            raise ParameterError(path, name, f"this {self._kind} is refused: {self._refused[name]}")
        if name not in self._classes:
            question = did_you_mean(nearest(name, self._classes))
            remedy = question or f"Register it with a decorator of this {self._kind} kind"
            raise UnknownNameError(path, name, f"no such {self._kind}", allowed=", ".join(self), remedy=remedy)
        return self._classes[name]

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


def names_function(text: str) -> bool:
    """True for ``module:function`` and ``file.py:function``."""
    return ":" in text


def load_function(text: str) -> Callable[..., Any]:
    """The function called ``module:function`` (of an importable module) or ``file.py:function``.

    Raises:
        DataError: there is no such module, file or function, or it cannot be executed.
    """
    source, _, name = text.rpartition(":")
    module = execute_file(source) if source.endswith(".py") else _import(source, text)
    found = getattr(module, name, None)
    if not callable(found):
        raise DataError(f"{text}: {source} has no function {name!r}")
    return found  # type: ignore[no-any-return]


def execute_file(path: str | Path) -> ModuleType:
    """The module that a Python file makes when executed.

    Raises:
        DataError: there is no such file, or it cannot be executed.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file; give the path of a Python file")
    name = f"crossohm_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        raise DataError(f"{file}: not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        # Not exec_module: its cache of compiled files tells versions apart by size and full seconds only.
        exec(spec.loader.source_to_code(file.read_bytes(), str(file)), module.__dict__)
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        del sys.modules[name]
        raise DataError(f"{file}: {type(error).__name__}: {error}") from error
    return module


def _import(source: str, text: str) -> ModuleType:
    try:
        return importlib.import_module(source)
    except (Exception, SystemExit) as error:  # the module is anyone's and may raise anything
        remedy = "Install it, put its folder on PYTHONPATH, or give the path of its file: file.py:function"
        raise DataError(f"{text}: {source!r} cannot be imported ({type(error).__name__}: {error}). {remedy}") from error


def announced(group: str, taken: Iterable[str]) -> dict[str, Callable[[], Any]]:
    """What installed packages announce in an entry-point group: names, and what loads them.

    A name of ours (``taken``), or of a package that comes before, is not replaced; a warning says so.
    """
    found: dict[str, Callable[[], Any]] = {}
    ours, first = set(taken), dict[str, str]()
    for point in entry_points(group=group):
        owner = "crossohm" if point.name in ours else first.setdefault(point.name, point.value)
        if owner == point.value:
            found[point.name] = point.load
        else:
            warnings.warn(
                f"{group}: {point.name!r} of {point.value} is not used; the name belongs to {owner}",
                RuntimeWarning,
                stacklevel=3,
            )
    return found
