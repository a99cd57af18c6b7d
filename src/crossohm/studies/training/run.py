"""Training studies carried out: point by point, epoch by epoch, from where they stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets import load_dataset
from crossohm.studies.training.results import TrainedPoint, TrainingFolder
from crossohm.studies.training.study import LoadedTraining, TrainingPoint
from crossohm.training.diagnostics import update_diagnostics
from crossohm.training.perceptron import Perceptron
from crossohm.training.recipes import Recipe, recipe, scheduled

#: Called with the number of the point, the epochs done at it, and what was found so far.
Progress = Callable[[int, int, TrainedPoint], None]
#: Samples whose writes are compared with what they were asked to do.
_WATCHED = 50

_Split = tuple[NDArray[np.floating], NDArray[np.integer]]


def _silent(point: int, epoch: int, found: TrainedPoint) -> None:
    """Show nothing."""


def run_training(loaded: LoadedTraining, folder: Path, *, progress: Progress = _silent) -> tuple[TrainedPoint, ...]:
    """Train every point of a study, each with all its seeds at once; what is done in the folder already stays.

    Args:
        loaded: The study.
        folder: Where results are, and from where they go on after every epoch.
        progress: Called after every epoch.

    Returns:
        What was found, in the order of the points.

    Raises:
        DataError: the folder holds another study, or the data set cannot be read.
    """
    files = TrainingFolder(folder)
    files.open_for(loaded.tree, [point.label for point in loaded.points])
    return tuple(
        _trained(files, number, point, loaded.source.folder, progress) for number, point in enumerate(loaded.points)
    )


def _trained(files: TrainingFolder, number: int, point: TrainingPoint, base: Path, progress: Progress) -> TrainedPoint:
    """One point, from where it stopped."""
    chosen, study = recipe(point.study.recipe), point.study
    epochs = study.epochs or chosen.epochs
    found = files.read(number)
    if found is not None and found.complete:
        return found
    train, test = _data(chosen, point, base)
    network = Perceptron(chosen.sizes, chosen.limits, point.array, point.rule, point.seeds)
    if found is None:
        before = network.accuracy(*test).tolist()
        found = TrainedPoint(point.label, point.settings, list(point.seeds), epochs, [before], notes=network.explain())
    else:
        network.load_state_dict(files.read_state(number, found))
    for epoch in range(len(found.loss), epochs):
        rate = chosen.rate(point.array.model, epoch)
        if study.learning_rate is not None:
            rate = study.learning_rate * scheduled(epoch)
        start = time.perf_counter()
        loss = network.train(*train, rate, semantics=study.semantics, batch=study.batch)
        found.seconds.append(time.perf_counter() - start)
        found.loss.append(loss.tolist())
        found.accuracy.append(network.accuracy(*test).tolist())
        state = network.state_dict()
        found.updates.update(_compared(network, train, rate, point))
        network.load_state_dict(state)  # the writes that were looked at are undone
        files.write(number, found, state)
        progress(number, epoch + 1, found)
    return found


def _data(chosen: Recipe, point: TrainingPoint, base: Path) -> tuple[_Split, _Split]:
    """Training and test samples as the network sees them."""
    folder = None if point.study.data_dir is None else base / point.study.data_dir
    limits = {"train": point.study.train_samples, "test": point.study.test_samples}
    splits = [load_dataset(chosen.dataset, data_dir=folder, split=name, limit=limit) for name, limit in limits.items()]
    samples = [split.images.reshape(len(split), -1).astype(np.float32) for split in splits]
    train, test = chosen.scaled(*samples)
    return (train, splits[0].labels), (test, splits[1].labels)


def _compared(network: Perceptron, train: _Split, rate: float, point: TrainingPoint) -> Mapping[str, Any]:
    """What the writes of the first layer do against what they are asked for, over some samples."""
    requested, realised = [], []
    for sample in range(min(_WATCHED, len(train[0]))):
        part = slice(sample, sample + 1)
        wanted, done = network.watched(train[0][part], train[1][part], rate)
        requested.append(wanted)
        realised.append(done)
    found = update_diagnostics(np.stack(requested), np.stack(realised))
    return {} if found is None else found.as_dict()
