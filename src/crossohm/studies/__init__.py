"""Questions asked of whole networks: studies with or without sweeps, and their results on disk.

A study, from a file or a dict, into a folder; calling it again goes on where it stopped:

    >>> from crossohm.studies import load_study, open_results, run_study
    >>> study = load_study({"hardware": "rram-8bit", "dataset": {"name": "digits", "images": 100}, "repeats": 2})
    >>> results = run_study(study, Path("results"))  # doctest: +SKIP
    >>> results.spread(0, "top1").mean  # doctest: +SKIP
    0.98

Everything that shows results reads them through `open_results`:

    >>> results = open_results("results")  # doctest: +SKIP
    >>> results.axes  # what was varied: name, paths, positions ({path: value})  # doctest: +SKIP
    >>> results.to_dataframe()  # one row per chip; to_xarray() has one dimension per axis  # doctest: +SKIP
    >>> for point, chips in results.points.items():  # doctest: +SKIP
    ...     chips[0].coordinates, results.spread(point, "top1").mean, chips[0].layer_snr, chips[0].adc_inputs

`Results` also has ``study`` (settings), ``text`` (the file), ``complete``, ``measures``, ``hardware(chip)`` (calibrated
description of every layer), ``hardware_report(chip)``, ``arrays(chip)`` (outputs, signals, conductances); `ChipResult`
has ``analog``, ``digital``, ``output_snr``, ``seed``, ``provenance``.

What needs PyTorch is loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from crossohm.studies.file.hardware import load_hardware, parse_override
from crossohm.studies.file.sections import study_schema
from crossohm.studies.results.statistics import Spread, spread, top_k_accuracy
from crossohm.studies.work.plugins import load_plugin

if TYPE_CHECKING:
    from crossohm.costs.occupancy import HardwareReport, LayerReport, hardware_report
    from crossohm.studies.budget import ErrorBudget, error_budget
    from crossohm.studies.file.study_file import LoadedStudy, load_study
    from crossohm.studies.results.results import ChipResult, Failure, Results, open_results
    from crossohm.studies.work.checks import Checked, check_study
    from crossohm.studies.work.cluster import Dask
    from crossohm.studies.work.processes import Processes
    from crossohm.studies.work.sweep import calibrate_study, prepare_study, run_study

__all__ = [
    "Checked",
    "ChipResult",
    "Dask",
    "ErrorBudget",
    "Failure",
    "HardwareReport",
    "LayerReport",
    "LoadedStudy",
    "Processes",
    "Results",
    "Spread",
    "calibrate_study",
    "check_study",
    "error_budget",
    "hardware_report",
    "load_hardware",
    "load_plugin",
    "load_study",
    "open_results",
    "parse_override",
    "prepare_study",
    "run_study",
    "spread",
    "study_schema",
    "top_k_accuracy",
]

_LAZY = {
    "crossohm.costs.occupancy": ("HardwareReport", "LayerReport", "hardware_report"),
    "crossohm.studies.budget": ("ErrorBudget", "error_budget"),
    "crossohm.studies.work.checks": ("Checked", "check_study"),
    "crossohm.studies.work.cluster": ("Dask",),
    "crossohm.studies.work.processes": ("Processes",),
    "crossohm.studies.results.results": ("ChipResult", "Failure", "Results", "open_results"),
    "crossohm.studies.file.study_file": ("LoadedStudy", "load_study"),
    "crossohm.studies.work.sweep": ("calibrate_study", "prepare_study", "run_study"),
}


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
