"""Devices, arrays and rules as plain values, for JSON and study files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from crossohm._names import Registry, unknown
from crossohm.circuits.grid import Wires
from crossohm.errors import ParameterError, UnsupportedError
from crossohm.training.arrays.interfaces import Interface, Interfaces
from crossohm.training.arrays.reads import ReadNoise
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.rules import buffered, carry, mixed_precision, parallel, tiki_taka  # noqa: F401 - they register themselves
from crossohm.training.rules.model import Rule
from crossohm.training.rules.registry import RULES
from crossohm.training.tables import PulseTable, read_tables
from crossohm.training.updates import analytic, ideal, lookup, pulsed  # noqa: F401 - they register themselves
from crossohm.training.updates.model import UpdateModel
from crossohm.training.updates.registry import UPDATE_MODELS

T = TypeVar("T")

#: The entry that names a registered class, and the one that names a place with tables of pulses.
NAME, PATH = "model", "path"
#: The field of models that are made of such tables.
TABLES = "tables"


def update_model_of(description: Mapping[str, Any] | str, folder: Path | None = None) -> UpdateModel:
    """The update model that a description names.

    Args:
        description: The registered name, or that of a preset, under ``"model"``, and the model's parameters; models
            that are made of tables of pulses take ``"path"`` in their place. A text is the name alone.
        folder: Where a relative path starts; None: the working directory.

    Raises:
        UnknownNameError: no such model or parameter; the nearest and all are named.
        ParameterError: a parameter is out of its range.
        DataError: there are no tables at the path.
    """
    values = {NAME: description} if isinstance(description, str) else dict(description)
    preset = _presets().get(str(values.get(NAME)), {})
    values = {**preset, **values, NAME: preset.get(NAME, values.get(NAME))}
    kind, _ = _named(UPDATE_MODELS, values, "device")
    if not _of_tables(kind):
        return described_model(values)
    if PATH not in values:
        raise ParameterError(f"device.{PATH}", None, "no tables of pulses", remedy="Give the place of a table")
    return described_model(values, read_tables((folder or Path()) / str(values.pop(PATH))))


def described_model(description: Mapping[str, Any], tables: Sequence[PulseTable] = ()) -> UpdateModel:
    """The update model that `parameters_of` described, of the tables given.

    Raises:
        UnknownNameError: no such model or parameter; the nearest and all are named.
        ParameterError: a parameter is out of its range.
    """
    kind, values = _named(UPDATE_MODELS, description, "device")
    return made(kind, {**values, TABLES: tables} if _of_tables(kind) else values, "device")


def description_of(model: UpdateModel) -> dict[str, Any]:
    """A model as `update_model_of` takes it: its name, and the parameters that are not the defaults.

    Raises:
        UnsupportedError: the model is made of tables of pulses, or is no dataclass.
    """
    if _of_tables(type(model)):
        raise UnsupportedError(f"{type(model).__name__} is no set of plain values; describe it by its name and path")
    return parameters_of(model)


def parameters_of(model: UpdateModel) -> dict[str, Any]:
    """The name of a model, and its parameters that are not the defaults; tables of pulses are left out.

    Raises:
        UnsupportedError: the model is no dataclass.
        CrossOhmError: its class is not registered.
    """
    if not is_dataclass(model):
        raise UnsupportedError(f"{type(model).__name__} is no set of plain values; make it a dataclass")
    described: dict[str, Any] = {NAME: UPDATE_MODELS.name_of(type(model))}
    for field in fields(model):
        value = getattr(model, field.name)
        if field.name != TABLES and value != field.default:
            described[field.name] = list(value) if isinstance(value, tuple) else value
    return described


def _of_tables(kind: type[UpdateModel]) -> bool:
    """True of models that are made of tables of pulses."""
    return is_dataclass(kind) and any(field.name == TABLES for field in fields(kind))


@cache
def _presets() -> dict[str, dict[str, Any]]:
    text = files("crossohm.training.updates").joinpath("presets.json").read_text("utf-8")
    found: dict[str, dict[str, Any]] = json.loads(text)
    return found


def device_presets() -> tuple[str, ...]:
    """Names of published devices that `update_model_of` knows."""
    return tuple(_presets())


def rule_of(description: Mapping[str, Any] | str) -> Rule:
    """The training rule that a description names: the registered name under ``"model"``, and the rule's parameters.

    Raises:
        UnknownNameError: no such rule or parameter; the nearest and all are named.
        ParameterError: a parameter is out of its range.
    """
    kind, values = _named(RULES, description, "rule")
    return made(kind, values, "rule")


def array_settings_of(description: Mapping[str, Any], model: UpdateModel) -> ArraySettings:
    """The settings of arrays of such devices.

    Args:
        description: Fields of `ArraySettings` but the model; ``"interfaces"`` may be the name of a preset.
        model: The devices.

    Raises:
        UnknownNameError: no such field or preset; the nearest and all are named.
        ParameterError: a value is out of its range.
    """
    values = dict(description)
    interfaces = values.get("interfaces")
    if isinstance(interfaces, str):
        values["interfaces"] = Interfaces.preset(interfaces)
    elif isinstance(interfaces, Mapping):
        of = {name: made(Interface, value, f"array.interfaces.{name}") for name, value in interfaces.items()}
        values["interfaces"] = made(Interfaces, of, "array.interfaces")
    for name, kind in (("read_noise", ReadNoise), ("wires", Wires)):
        if isinstance(values.get(name), Mapping):
            values[name] = made(kind, values[name], f"array.{name}")
    return made(ArraySettings, {**values, "model": model}, "array")


def _named(registry: Registry[T], description: Mapping[str, Any] | str, path: str) -> tuple[type[T], dict[str, Any]]:
    """The class that a description names, and its parameters."""
    values = {NAME: description} if isinstance(description, str) else dict(description)
    name = values.pop(NAME, None)
    if not isinstance(name, str):
        raise ParameterError(f"{path}.{NAME}", name, "no name", allowed=", ".join(registry))
    return registry.find(name, path), values


def made(kind: type[T], values: Any, path: str) -> T:
    """An instance of a class from the values of its fields; ``path`` is where they stand, for messages.

    Raises:
        UnknownNameError: there is no such field.
        ParameterError: a value is not possible.
    """
    if not isinstance(values, Mapping):
        raise ParameterError(path, values, "not a table", allowed="a table of names and values")
    known = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    for key, value in values.items():
        if key not in known:
            raise unknown(f"{path}.{key}", value, known, f"entry of {path}")
    try:
        return kind(**values)
    except ParameterError as error:
        where = {"allowed": error.allowed, "remedy": error.remedy}
        raise ParameterError(f"{path}.{error.path}", error.value, error.problem, **where) from None
    except TypeError as error:
        raise ParameterError(path, dict(values), str(error), allowed=", ".join(known)) from None
