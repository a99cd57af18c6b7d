"""What a user meets before any physics: a cheap import, public names, one version."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import crossohm

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = ("torch", "jax", "keras", "tensorflow", "cupy")


def _modules_after(statement: str) -> set[str]:
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_loads_nothing_heavy() -> None:
    assert not {"numpy", "scipy", "pydantic", *FRAMEWORKS} & _modules_after("import crossohm")


def test_numpy_use_imports_no_framework() -> None:
    use = "import crossohm, numpy; crossohm.AnalogCore(numpy.eye(2)) @ numpy.ones(2)"
    assert not set(FRAMEWORKS) & _modules_after(use)


@pytest.mark.parametrize("name", crossohm.__all__)
def test_public_names_exist(name: str) -> None:
    assert getattr(crossohm, name) is not None
    assert name in dir(crossohm)


def packages(parent: ModuleType) -> Iterator[ModuleType]:
    """A package and those in it, all their modules imported; but for CuPy's, which needs its library."""
    yield parent
    for found in pkgutil.iter_modules(parent.__path__):
        if found.name in ("cupy", "__main__"):
            continue
        module = importlib.import_module(f"{parent.__name__}.{found.name}")
        if found.ispkg:
            yield from packages(module)


def test_no_module_takes_the_place_of_a_public_name() -> None:
    """A module of the same name, imported later, would."""
    pytest.importorskip("torch")
    taken = [
        f"{package.__name__}.{name}"
        for package in list(packages(crossohm))
        for name in getattr(package, "__all__", ())
        if isinstance(getattr(package, name), ModuleType)
    ]
    assert taken == ["crossohm.params.checks.advice", "crossohm.params.checks.rules"]  # these are modules


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="AnalogCores"):
        crossohm.AnalogCores  # noqa: B018


def test_one_version() -> None:
    assert f"version: {crossohm.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
