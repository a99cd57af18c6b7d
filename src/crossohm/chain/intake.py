"""What a user hands to a core, checked and brought to the host."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from crossohm.backends import Array, backend_of, is_array
from crossohm.errors import InputError, ParameterError, ShapeError
from crossohm.params import CrossSimParameters


def snapshot(params: CrossSimParameters | Sequence[CrossSimParameters] | None) -> tuple[CrossSimParameters, ...]:
    """Checked copies of the hardware descriptions."""
    given = [CrossSimParameters()] if params is None else params
    several = [given] if isinstance(given, CrossSimParameters) else list(given)
    for item in several:
        if not isinstance(item, CrossSimParameters):
            raise ParameterError(
                "params", type(item).__name__, "is no hardware description", allowed="CrossSimParameters"
            )
    if not several:
        raise ParameterError("params", [], "is empty", allowed="CrossSimParameters or a list of them")
    copies = tuple(item.copy() for item in several)
    for item in copies:
        item.validate()
    return copies


def chip_seed(seed: int | None) -> int:
    """The chip number given, or a fresh one."""
    if seed is None:
        return secrets.randbits(63)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ParameterError("seed", seed, "is no chip number", allowed="a non-negative integer, or None")
    return int(seed)


def as_array(value: Any) -> Array:
    """Numbers in any form as an array of a supported library; sparse matrices are filled up.

    Of ``numpy.matrix`` and masked arrays, whose operators mean other things, the plain array is taken.

    Raises:
        InputError: entries are masked.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ndarray):
        if np.ma.is_masked(value):
            raise InputError("entries are masked, and no voltage or conductance stands for them; use x.filled(0)")
        return np.asarray(value)
    if is_array(value) and hasattr(value, "ndim"):
        return value
    return as_array(value.toarray()) if hasattr(value, "toarray") else np.asarray(value)


def host_matrix(matrix: Any) -> tuple[np.ndarray, str]:
    """The matrix on the host, and its dtype name."""
    given = as_array(matrix)
    backend = backend_of(given)
    if backend.is_traced(given):
        raise InputError(
            "matrix is traced (jax.jit, grad or vmap, tf.function), so its values are not known yet; build the core "
            "outside the traced function and call it inside"
        )
    name = backend.dtype_name(given)
    if name == "object" or not name.startswith(("float", "int", "uint", "bool", "complex", "bfloat")):
        raise InputError(f"matrix has dtype {name}; a core holds numbers: float, integer or complex")
    if name in ("longdouble", "float128", "clongdouble", "complex256"):
        raise InputError(f"matrix has dtype {name}, which is wider than the simulation; convert it to float64")
    if given.ndim != 2:
        raise ShapeError(
            f"matrix of shape {tuple(given.shape)} has {given.ndim} dimensions; a core holds two: (outputs, inputs)"
        )
    if 0 in given.shape:
        raise ShapeError(f"matrix of shape {tuple(given.shape)} is empty; a core needs at least one row and one column")
    return backend.to_numpy(given), name
