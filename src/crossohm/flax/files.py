"""The state of a model in a file: weights, statistics, chips, generators. Nothing in it is ever executed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.errors import DataError
from crossohm.flax.chip import Programmed
from crossohm.flax.conversion.places import analog_places
from crossohm.flax.conversion.report import require_module
from crossohm.flax.state import read_arrays, write_arrays

_FORMAT = "crossohm-flax-state-1"
_SHOWN = 4
#: What of a layer's `Programmed` all else follows from.
_CHIP = ("chip", "serial")
#: How names of what a model need not have end: generators, chips of layers that may be digital.
_GENERATOR = ":generator"
_OPTIONAL = (_GENERATOR, *(f":{part}" for part in _CHIP))


def save_state(model: Any, path: str | os.PathLike[str]) -> None:
    """Write all state of a model to a safetensors file, chips of analog layers included.

    Args:
        model: Digital or analog; changed parameters are written into its arrays first, as its layers' ``sync`` says.
        path: One of that name is replaced at once.

    Raises:
        ParameterError: ``model`` is no module of Flax NNX.
        WriteError: the file cannot be written.
    """
    require_module(model)
    _write_arrays(model)
    arrays = {name: _plain(leaf) for path, variable in _variables(model) for name, leaf in _parts(path, variable)}
    write_arrays(Path(path), arrays, {"format": _FORMAT})


def load_state(model: Any, path: str | os.PathLike[str]) -> None:
    """Give a model the state of a file: the same weights on the same chips, which answer bit for bit the same.

    Args:
        model: As the one that was saved; layers that were on arrays may be on any hardware, which the file's replaces.
            Chips of layers that are digital here are left out, and generators of random numbers that the file lacks
            stay as they are.
        path: Written by `save_state`.

    Raises:
        DataError: the file cannot be read, or holds the state of another model; says what differs.
        ParameterError: ``model`` is no module of Flax NNX.
    """
    require_module(model)
    found, about = read_arrays(Path(path))
    if about.get("format") != _FORMAT:
        raise DataError(f"{path}: holds no state of a model of Flax. Write it with crossohm.flax.save_state")
    variables = {
        place: variable
        for place, variable in _variables(model)
        if not isinstance(variable, nnx.RngState) or all(name in found for name, _ in _parts(place, variable))
    }
    wanted = {name: leaf for place, variable in variables.items() for name, leaf in _parts(place, variable)}
    _require_same(found, wanted, str(path))
    for place, variable in variables.items():
        variable.set_value(_restored(place, variable, found))
    _write_arrays(model)


def _write_arrays(model: Any) -> None:
    for layer in analog_places(model).values():
        for matrix in layer.matrices:
            matrix.core  # noqa: B018 # written now


def _variables(model: Any) -> Iterator[tuple[str, Any]]:
    return (("/".join(map(str, path)), found) for path, found in nnx.to_flat_state(nnx.state(model)))


def _is_chip(variable: Any) -> bool:
    return isinstance(variable, Programmed) and _CHIP[0] in variable.get_value()


def _parts(place: str, variable: Any) -> list[tuple[str, Any]]:
    """The arrays of a variable by their names in files; of a chip the bytes that all else follows from."""
    value = variable.get_value()
    if _is_chip(variable):
        return [(f"{place}:{part}", value[part]) for part in _CHIP]
    if isinstance(variable, nnx.RngState):
        return [(place + _GENERATOR, value)]
    leaves = jax.tree_util.tree_leaves_with_path(value)
    return [(place + (f":{jax.tree_util.keystr(steps)}" if steps else ""), leaf) for steps, leaf in leaves]


def _restored(place: str, variable: Any, found: dict[str, np.ndarray]) -> Any:
    value, parts = variable.get_value(), [found[name] for name, _ in _parts(place, variable)]
    if _is_chip(variable):
        chip = dict(zip(_CHIP, map(jnp.asarray, parts), strict=True))
        return value | chip | {"stamp": jnp.zeros_like(value["stamp"])}  # of no hardware: leaves are made anew
    if isinstance(variable, nnx.RngKey):
        return jax.random.wrap_key_data(jnp.asarray(parts[0]), impl=jax.random.key_impl(value))
    return jax.tree.unflatten(jax.tree.structure(value), list(map(jnp.asarray, parts)))


def _require_same(found: dict[str, np.ndarray], wanted: dict[str, Any], path: str) -> None:
    shapes = {name: (found[name].shape, _plain(leaf).shape) for name, leaf in wanted.items() if name in found}
    others = {name: pair for name, pair in shapes.items() if pair[0] != pair[1] and not name.endswith(_OPTIONAL)}
    differing = {
        "lacks": [name for name in wanted if name not in found],
        "holds what the model lacks:": [name for name in found if not (name in wanted or name.endswith(_OPTIONAL))],
        "has other shapes:": [f"{name} {there} instead of {here}" for name, (there, here) in others.items()],
    }
    for what, names in differing.items():
        if names:
            more = f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else ""
            raise DataError(f"{path}: {what} {', '.join(names[:_SHOWN])}{more}. Take the model it was saved of")


def _plain(leaf: Any) -> np.ndarray:
    """An array as files have it: keys of random numbers as their bits."""
    return np.asarray(jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf)
