"""Which dtype a result has, and in which it is computed."""

from __future__ import annotations

from functools import cache

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.errors import InputError
from crossohm.params import OutputDType

_EXPLICIT = {
    OutputDType.FLOAT32: "float32",
    OutputDType.FLOAT64: "float64",
    OutputDType.FLOAT16: "float16",
    OutputDType.INT64: "int64",
    OutputDType.INT32: "int32",
    OutputDType.INT16: "int16",
    OutputDType.INT8: "int8",
}
_REAL_OF = {"complex64": "float32", "complex128": "float64", "float16": "float32", "bfloat16": "float32"}


def compute_dtype(name: str) -> str:
    """Real floating dtype in which a matrix or input of dtype ``name`` is handled.

    Half precision is computed in single; integers and truth values in double, which holds them exactly.
    """
    if name in ("float32", "float64"):
        return name
    return _REAL_OF.get(name, "float64")


def counts_steps(name: str) -> bool:
    """True if converters may count in steps, with units moved into the matrix.

    In double precision the order of operations is the definition's: currents in the exact middle of two levels, common
    where weights and inputs are few-bit numbers, then round as written. In single precision the rounding of the sums
    decides about them in any case.
    """
    return name == "float32"


@cache  # asked for in every product
def joint_dtype(matrix: str, inputs: str) -> str:
    """Dtype of the computation: double if either side needs it; integer inputs follow the matrix."""
    needed = {compute_dtype(matrix)}
    if inputs.startswith(("float", "complex", "bfloat")):
        needed.add(compute_dtype(inputs))
    return "float64" if "float64" in needed else "float32"


@cache  # asked for in every product
def promote(matrix: str, inputs: str) -> str:
    """NumPy's promotion, with bfloat16 (which NumPy lacks) as the narrowest float."""
    names = [name for name in (matrix, inputs) if name != "bfloat16"]
    if len(names) == 2:
        return np.promote_types(*names).name
    if not names or names[0].startswith(("int", "uint", "bool")):
        return "bfloat16"
    return names[0] if names[0] != "float16" else "float32"


def output_dtype(rule: OutputDType, matrix: str, inputs: str) -> str:
    """Dtype name of a result for the parameter ``core.output_dtype``."""
    if rule is OutputDType.NATIVE:
        return promote(matrix, inputs)
    if rule is OutputDType.MATRIX:
        return matrix
    if rule is OutputDType.INPUT:
        return inputs
    return _EXPLICIT[rule]


def cast_output(y: Array, dtype: str) -> Array:
    """``y`` as ``dtype``; integers are rounded to nearest, ties to even.

    Raises:
        InputError: a result does not fit the integer type (checked where values are known).
    """
    backend = backend_of(y)
    if dtype.startswith(("int", "uint")):
        y = backend.xp.round(y)
        _check_fits(y, dtype)
    return backend.astype(y, dtype)


def _check_fits(y: Array, dtype: str) -> None:
    backend = backend_of(y)
    if backend.is_traced(y) or 0 in y.shape:
        return
    bounds = np.iinfo(dtype)
    low, high = float(backend.xp.min(y)), float(backend.xp.max(y))
    if not (bounds.min <= low and high <= bounds.max):
        raise InputError(
            f"results between {low:g} and {high:g} do not fit {dtype} ({bounds.min} to {bounds.max}); choose a wider "
            "core.output_dtype"
        )
