"""What training found, in a folder: one record per point, complete or not, and where each can go on."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm._files import write_whole
from crossohm._npz import read_arrays
from crossohm.errors import DataError
from crossohm.studies.results.records import RecordFolder

#: What files of these are called in their own heading.
STUDY_FORM, POINT_FORM = "crossohm training study 1", "crossohm training point 1"


@final
@dataclass(frozen=True)
class TrainedPoint:
    """How networks learned at a point.

    Attributes:
        label: What is special about the point.
        settings: What is varied, by the names of the sweep.
        seeds: Replicas.
        accuracy: Share of the test samples answered right, ``(epochs done + 1, replicas)``; the first before training.
        loss: Mean training loss ``(epochs done, replicas)``.
        seconds: Of each epoch, all replicas together.
        epochs: Epochs wanted.
        notes: What the plan says of arrays and writes, as text.
        updates: Diagnostics of the writes of the first layer after the last epoch, by name.
        gains: The same by weight, see `crossohm.training.diagnostics.update_gains`; empty for networks that do not say
            it, and with ``visible_noise``.
        at_limits: Share of the devices at a limit, ``epochs done + 1`` numbers; empty for networks that do not say it.
    """

    label: str
    settings: dict[str, str]
    seeds: list[int]
    epochs: int
    accuracy: list[list[float]] = field(default_factory=list)
    loss: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    notes: str = ""
    updates: dict[str, float] = field(default_factory=dict)
    gains: dict[str, list[float | None]] = field(default_factory=dict)
    at_limits: list[float] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """True if all epochs are done."""
        return len(self.loss) >= self.epochs

    @property
    def final(self) -> tuple[float, float]:
        """Mean and standard deviation over the replicas of the last accuracy."""
        last = np.array(self.accuracy[-1])
        return float(last.mean()), float(last.std(ddof=1)) if last.size > 1 else 0.0

    @property
    def worst(self) -> float:
        """Lowest last accuracy of the replicas."""
        return min(self.accuracy[-1])


@final
class TrainingFolder:
    """The files of a training study.

    Args:
        folder: Is made if it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._records = RecordFolder(folder, "training", STUDY_FORM)

    def _state(self, number: int, epoch: int) -> Path:
        return self._records.folder / f"{_name(number)}.{epoch:04d}.npz"

    def open_for(self, tree: Mapping[str, Any], labels: list[str]) -> None:
        """Say which study the folder belongs to.

        Raises:
            DataError: it belongs to another.
            WriteError: it cannot be written.
        """
        self._records.open_for({"study": tree, "labels": labels})

    def write(self, number: int, point: TrainedPoint, state: Mapping[str, NDArray[Any]]) -> None:
        """Keep a point and where it can go on; the record comes last, so that it vouches for the state."""
        path, content = self._state(number, len(point.loss)), io.BytesIO()
        np.savez(content, allow_pickle=False, **dict(state))
        write_whole(path, content.getvalue())
        self._records.write(_name(number), POINT_FORM, asdict(point))
        for other in path.parent.glob(f"{_name(number)}.*.npz"):
            if other != path:
                other.unlink(missing_ok=True)

    def read(self, number: int) -> TrainedPoint | None:
        """A point; None if there is nothing yet.

        Raises:
            DataError: its record is damaged.
        """
        body = self._records.read(_name(number), POINT_FORM)
        try:
            return None if body is None else TrainedPoint(**body)
        except TypeError as error:
            path = self._records.path(_name(number))
            raise DataError(f"{path}: not the record of a trained point ({error})") from error

    def read_state(self, number: int, point: TrainedPoint) -> dict[str, NDArray[Any]]:
        """Where a point can go on.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self._state(number, len(point.loss))
        try:
            return read_arrays(path)
        except DataError as error:
            raise DataError(f"{error}; remove {path.parent} to begin anew") from error

    def points(self) -> tuple[TrainedPoint, ...]:
        """All points so far.

        Raises:
            DataError: the folder holds no training.
        """
        labels = self._records.work()["labels"]
        found = (self.read(number) for number in range(len(labels)))
        return tuple(point for point in found if point is not None)


def _name(number: int) -> str:
    """Of the files of a point."""
    return f"point-{number:03d}"
