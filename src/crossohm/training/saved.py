"""Models of devices as arrays, tables of pulses included: what saved states carry, so that they load anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import CrossOhmError, DataError
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import below
from crossohm.training.described import TABLES, described_model, parameters_of
from crossohm.training.tables.container import arrays_of, tables_of
from crossohm.training.updates.model import UpdateModel

_MODEL, _DESCRIPTION = "model", "description"


def with_model(state: Mapping[str, NDArray[Any]], model: UpdateModel) -> dict[str, NDArray[Any]]:
    """A state, and the model of its devices under ``model/``, see `settings_for`.

    A model of the user's own that is not registered, or no set of plain values, is left out.
    """
    return {**state, **{f"{_MODEL}/{name}": of for name, of in _arrays(model).items()}}


def settings_for(state: Mapping[str, NDArray[Any]], settings: ArraySettings) -> ArraySettings:
    """The settings for arrays that are to go on from a state: with the model that the state carries.

    Returns:
        The settings themselves if the state carries their model, or none.

    Raises:
        DataError: what it carries is damaged.
        UnknownNameError: the model is one of the user's own that is not registered here.
    """
    saved, own = below(_MODEL, state), _arrays(settings.model)
    if not saved or (saved.keys() == own.keys() and all(np.array_equal(saved[name], own[name]) for name in own)):
        return settings
    return replace(settings, model=_model(saved))


def without_model(state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What `with_model` was given."""
    return {name: of for name, of in state.items() if not name.startswith(f"{_MODEL}/")}


def _arrays(model: UpdateModel) -> dict[str, NDArray[Any]]:
    """A model as arrays; nothing of one that is no set of plain values."""
    try:
        text = json.dumps(parameters_of(model))
    except (CrossOhmError, TypeError, ValueError):
        return {}
    tables = getattr(model, TABLES, ())
    entries = arrays_of(tables) if tables else {}
    return {_DESCRIPTION: np.array(text), **{f"{TABLES}/{name}": of for name, of in entries.items()}}


def _model(saved: Mapping[str, NDArray[Any]]) -> UpdateModel:
    """The model that `_arrays` turned into arrays."""
    try:
        values = json.loads(str(saved[_DESCRIPTION].item()))
    except (KeyError, ValueError) as error:
        raise DataError(f"the model of the devices in the state to load is damaged ({error})") from error
    tables = below(TABLES, saved)
    if not isinstance(values, dict):
        raise DataError("the model of the devices in the state to load is damaged (no table of parameters)")
    return described_model(values, tables_of(tables, "the state to load") if tables else ())
