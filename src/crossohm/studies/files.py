"""Results on disk: ``results.json``, ``hardware.csv``, ``accuracy.csv``, ``hardware.json`` and ``outputs.npz``."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets.npz import UNREADABLE
from crossohm.errors import DataError
from crossohm.params import CrossSimParameters
from crossohm.studies.results.provenance import provenance
from crossohm.studies.results.sampling import interval

if TYPE_CHECKING:
    from crossohm.studies.inference import RunResult

FORMAT = "crossohm run 1"
_RESULTS = "results.json"
_SUMMARY = ("settings", "images", "seeds", "digital", "analog", "interval", "paired", "hardware", "seconds")


def summary(result: RunResult) -> dict[str, Any]:
    """Accuracies and hardware of a run as plain values; what ``crossohm run --json`` prints."""
    ranks = sorted({1, result.settings.top_k})
    return {
        "settings": result.settings.as_dict(),
        "images": len(result.labels),
        "seeds": list(result.settings.seeds),
        "digital": {f"top{k}": result.digital_accuracy(k) for k in ranks},
        "analog": {f"top{k}": result.analog_accuracy(k).as_dict() for k in ranks},
        "interval": {f"top{k}": interval(result.analog_accuracy(k).mean, len(result.labels)) for k in ranks},
        "paired": {f"top{k}": result.paired(k).as_dict() for k in ranks},
        "hardware": result.report.as_dict(),
        "seconds": result.seconds,
    }


def write_result(result: RunResult, folder: Path) -> None:
    """Write everything about a run into an existing folder.

    ``results.json`` has the description that was asked for and that of each layer with its calibrated ranges;
    ``hardware.json`` is the former by itself, to be used again.

    Raises:
        DataError: a file cannot be written.
    """
    try:
        _write_files(result, folder)
    except OSError as error:
        raise DataError(f"{folder}: results cannot be written ({error.strerror or error})") from error


def _write_files(result: RunResult, folder: Path) -> None:
    trees = {
        "hardware_described": result.settings.hardware.as_dict(),
        "layer_hardware": {name: params.as_dict() for name, params in result.hardware.items()},
    }
    everything = {"format": FORMAT, **provenance(), **summary(result), **trees}
    text = json.dumps(everything, indent=2, allow_nan=False)
    (folder / _RESULTS).write_text(text + "\n", encoding="utf-8")
    result.settings.hardware.to_json(folder / "hardware.json")
    _write_table(folder / "hardware.csv", [_flat(layer.as_dict()) for layer in result.report.layers])
    _write_table(folder / "accuracy.csv", _accuracies(result))
    np.savez_compressed(
        folder / "outputs.npz",
        labels=result.labels,
        digital=result.digital,
        analog=result.analog,
        seeds=np.asarray(result.settings.seeds),
    )


@final
@dataclass(frozen=True, eq=False)
class SavedRun:
    """A run read back.

    Attributes:
        results: All of ``results.json``.
        hardware: The description that was asked for.
        layers: The description of each layer, with its calibrated ranges.
        outputs: ``labels``, ``seeds``, ``digital`` and ``analog`` outputs.
    """

    results: dict[str, Any]
    hardware: CrossSimParameters
    layers: dict[str, CrossSimParameters]
    outputs: dict[str, NDArray[Any]]

    @property
    def summary(self) -> dict[str, Any]:
        """What `summary` said of the run when it was made."""
        return {name: self.results[name] for name in _SUMMARY if name in self.results}


def holds_run(folder: Path) -> bool:
    """True if a folder has the results of a run, and not of a study."""
    return (folder / _RESULTS).exists()


def read_result(folder: Path) -> SavedRun:
    """A run written by `write_result`.

    Raises:
        DataError: a file is missing, damaged or of another format.
    """
    try:
        results = json.loads((folder / _RESULTS).read_text(encoding="utf-8"))
        if results.get("format") != FORMAT:
            raise DataError(f"{folder}: results of format {results.get('format')!r}; this version reads {FORMAT!r}")
        with np.load(folder / "outputs.npz", allow_pickle=False) as arrays:
            outputs = dict(arrays)
        layers = {name: CrossSimParameters(**tree) for name, tree in results["layer_hardware"].items()}
    except DataError:
        raise
    except UNREADABLE as error:
        raise DataError(f"{folder}: not the results of a run ({error})") from error
    return SavedRun(results, CrossSimParameters.from_json(folder / "hardware.json"), layers, outputs)


def _accuracies(result: RunResult) -> list[dict[str, Any]]:
    """The digital network and every chip, one row each."""
    ranks = sorted({1, result.settings.top_k})
    columns = {f"top{k}": (result.digital_accuracy(k), *result.analog_accuracy(k).values) for k in ranks}
    chips = ("digital", *result.settings.seeds)
    return [{"chip": chip, **{name: values[row] for name, values in columns.items()}} for row, chip in enumerate(chips)]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for CSV: ranges as JSON text, so that they stay one cell and can be read back."""
    return {name: json.dumps(value) if isinstance(value, tuple) else value for name, value in row.items()}


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
