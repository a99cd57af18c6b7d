"""Questions asked of whole networks: inference runs, and their results on disk.

    >>> from crossohm.studies import RunSettings, load_hardware, run_inference
    >>> result = run_inference(RunSettings(hardware=load_hardware("rram-8bit"), images=100, draws=2))
    >>> result.analog_accuracy().mean  # doctest: +SKIP
    0.98

What needs PyTorch is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from crossohm.studies.folder import new_folder
from crossohm.studies.hardware import load_hardware, parse_override
from crossohm.studies.plugins import load_plugin
from crossohm.studies.settings import RunSettings
from crossohm.studies.statistics import Spread, spread, top_k_accuracy

if TYPE_CHECKING:
    from crossohm.studies.files import SavedRun, read_result, write_result
    from crossohm.studies.inference import RunResult, prepare, run_inference
    from crossohm.studies.report import HardwareReport, LayerReport, hardware_report

__all__ = [
    "HardwareReport",
    "LayerReport",
    "RunResult",
    "RunSettings",
    "SavedRun",
    "Spread",
    "hardware_report",
    "load_hardware",
    "load_plugin",
    "new_folder",
    "parse_override",
    "prepare",
    "read_result",
    "run_inference",
    "spread",
    "top_k_accuracy",
    "write_result",
]

_LAZY = {
    "files": ("SavedRun", "read_result", "write_result"),
    "inference": ("RunResult", "prepare", "run_inference"),
    "report": ("HardwareReport", "LayerReport", "hardware_report"),
}


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(f"crossohm.studies.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
