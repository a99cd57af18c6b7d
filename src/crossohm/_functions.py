"""Functions of a user: ``module:function``, ``file.py:function``, or announced by an installed package."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterable
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from crossohm.errors import DataError, UnknownNameError


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


def unknown(kind: str, name: object, known: Iterable[str], what: str) -> UnknownNameError:
    """The error for a name that is not among the known ones: the nearest and all of them."""
    allowed = tuple(known)
    near = difflib.get_close_matches(str(name), allowed, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else ""
    return UnknownNameError(kind, name, f"no such {what}", allowed=", ".join(allowed), remedy=hint)
