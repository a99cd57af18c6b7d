"""What computes writes: compiled loops where numba is installed, and NumPy."""

from __future__ import annotations

import importlib.util


def available() -> bool:
    """True if writes can be compiled."""
    return importlib.util.find_spec("numba") is not None
