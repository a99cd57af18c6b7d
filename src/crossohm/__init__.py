"""Simulator of analog in-memory computing.

Write a matrix into simulated hardware once, then multiply with it as if it were an array::

    from crossohm import AnalogCore, CrossSimParameters

    core = AnalogCore(matrix, CrossSimParameters())
    y = core @ x

Importing this package is cheap: the names below are loaded on first use, and no framework (PyTorch, JAX, TensorFlow,
CuPy) is imported unless you pass one of its arrays or import its front end, such as `crossohm.torch`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from crossohm.errors import (
    CrossOhmError,
    DataError,
    InputError,
    KeyRangeError,
    KeyTypeError,
    MissingDependencyError,
    OperandError,
    ParameterError,
    ShapeError,
    StaleArraysError,
    UnknownNameError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from crossohm.calibration import Calibration, calibrate
    from crossohm.chain import AnalogCore
    from crossohm.params import CrossSimParameters

__version__ = "0.1.0"

__all__ = [
    "AnalogCore",
    "Calibration",
    "CrossOhmError",
    "CrossSimParameters",
    "DataError",
    "InputError",
    "KeyRangeError",
    "KeyTypeError",
    "MissingDependencyError",
    "OperandError",
    "ParameterError",
    "ShapeError",
    "StaleArraysError",
    "UnknownNameError",
    "UnsupportedError",
    "__version__",
    "calibrate",
]

_LAZY = {
    "AnalogCore": "crossohm.chain",
    "Calibration": "crossohm.calibration",
    "CrossSimParameters": "crossohm.params",
    "calibrate": "crossohm.calibration",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
