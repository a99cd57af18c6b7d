"""States in files: safetensors, with a line of JSON about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from crossohm._files import write_whole
from crossohm.errors import DataError


def write_state(path: Path, state: Any, about: dict[str, Any]) -> None:
    """Write the arrays of a pytree; a file of that name is replaced at once.

    Raises:
        WriteError: the file cannot be written.
    """
    write_arrays(path, arrays_of(state), about)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write arrays by name; a file of that name is replaced at once.

    Raises:
        WriteError: the file cannot be written.
    """
    write_whole(path, save(dict(arrays), metadata={"about": json.dumps(about)}))


def read_state(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """A pytree as ``like`` with the arrays of the file, and what the file says about them.

    Raises:
        DataError: the file is missing or damaged, or its arrays are others.
    """
    found, about = read_arrays(path)
    return state_of(found, like, str(path)), about


def read_about(path: Path) -> dict[str, Any]:
    """What the file says about its arrays.

    Raises:
        DataError: the file is missing or damaged.
    """
    return read_arrays(path)[1]


def arrays_of(state: Any) -> dict[str, np.ndarray]:
    """The arrays of a pytree by their place in it."""
    return {name: np.asarray(leaf) for name, leaf in _named(state)}


def state_of(found: Mapping[str, np.ndarray], like: Any, origin: str) -> Any:
    """A pytree as ``like`` with what `arrays_of` gave; ``origin`` is named in messages.

    Raises:
        DataError: the arrays are others.
    """
    leaves = _named(like)
    for name, leaf in leaves:
        if name not in found or found[name].shape != leaf.shape:
            there = found[name].shape if name in found else "nothing"
            raise DataError(
                f"{origin}: {name} is {there}, the network has {leaf.shape}. Take the network it was saved of"
            )
    treedef = jax.tree.structure(like)
    return jax.tree.unflatten(treedef, [jax.numpy.asarray(found[name]) for name, _ in leaves])


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file by name, and what the file says about them.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "np") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as safetensors ({error})") from error


def _named(state: Any) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)]
