"""Cores on the hardware that every law is tested on."""

from __future__ import annotations

from typing import Any

from crossohm import AnalogCore
from crossohm.testing.hardware import EXACT_RANGE, FULL_CODE, INFINITE, STYLES, hardware

__all__ = ["EXACT_RANGE", "FULL_CODE", "INFINITE", "STYLES", "core_on", "hardware"]


def core_on(matrix: Any, *overrides: dict[str, Any], seed: int = 1) -> AnalogCore:
    """A core on default hardware with overrides."""
    return AnalogCore(matrix, hardware(*overrides), seed=seed)
