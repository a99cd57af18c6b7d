"""Update models as plain values, for JSON and study files: ``{"model": "lookup", "path": "device.npz"}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from crossohm._names import unknown
from crossohm.errors import ParameterError
from crossohm.training.tables import read_tables
from crossohm.training.updates import analytic, ideal, lookup  # noqa: F401 - they register themselves
from crossohm.training.updates.model import UpdateModel
from crossohm.training.updates.registry import UPDATE_MODELS

#: The entry that names the model, and the one that names a place with tables.
NAME, PATH = "model", "path"


def update_model_of(description: Mapping[str, Any] | str, folder: Path | None = None) -> UpdateModel:
    """The model that a description names.

    Args:
        description: The registered name under ``"model"`` and the model's parameters; models that are made of tables of
            pulses take ``"path"`` in their place. A text is the name alone.
        folder: Where a relative path starts; None: the working directory.

    Raises:
        UnknownNameError: no such model or parameter; the nearest and all are named.
        ParameterError: a parameter is out of its range.
        DataError: there are no tables at the path.
    """
    values = {NAME: description} if isinstance(description, str) else dict(description)
    name = values.pop(NAME, None)
    if not isinstance(name, str):
        raise ParameterError(NAME, name, "names no update model", allowed=", ".join(UPDATE_MODELS))
    kind = UPDATE_MODELS.find(name, NAME)
    if not is_dataclass(kind):
        return kind(**values)
    known = {field.name: field for field in fields(kind)}
    if "tables" in known:
        if PATH not in values:
            raise ParameterError(PATH, None, f"{name} needs tables of pulses", remedy="Give the place of a table")
        values["tables"] = read_tables((folder or Path()) / str(values.pop(PATH)))
    for key in values:
        if key not in known:
            raise unknown(key, values[key], [NAME, PATH, *known], f"parameter of the update model {name}")
    return kind(**values)


def described(model: UpdateModel) -> dict[str, Any]:
    """The parameters of a model that are not at their defaults, without tables; for files and headings."""
    found: dict[str, Any] = {NAME: UPDATE_MODELS.name_of(type(model))}
    for field in fields(model) if is_dataclass(model) else ():  # type: ignore[var-annotated]
        value = getattr(model, field.name)
        default = field.default if field.default is not MISSING else None
        if field.name != "tables" and value != default:
            found[field.name] = value
    return found
