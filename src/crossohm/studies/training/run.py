"""Training studies carried out: point by point, epoch by epoch, from where they stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from crossohm.studies.training.results import TrainedPoint, TrainingFolder
from crossohm.studies.training.study import LoadedTraining, TrainingPoint
from crossohm.studies.training.task import Task, task_of
from crossohm.training.diagnostics import symmetry_point, update_diagnostics, update_gains
from crossohm.training.perceptron import Perceptron

#: Called with the number of the point, the epochs done at it, and what was found so far.
Progress = Callable[[int, int, TrainedPoint], None]
#: Samples whose writes are compared with what they were asked to do.
_WATCHED = 50


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
    base = loaded.source.folder
    return tuple(_trained(files, number, point, base, progress) for number, point in enumerate(loaded.points))


def _trained(files: TrainingFolder, number: int, point: TrainingPoint, base: Path, progress: Progress) -> TrainedPoint:
    """One point, from where it stopped."""
    found = files.read(number)
    if found is not None and found.complete:
        return found
    task = task_of(point, base)
    learner, seeds = task.learner, list(point.seeds)
    if found is None:
        before = learner.accuracy(*task.test).tolist()
        found = TrainedPoint(point.label, point.settings, seeds, task.epochs, [before], notes=learner.explain())
        if isinstance(learner, Perceptron):
            found.at_limits.append(learner.at_limits())
    else:
        learner.load_state_dict(files.read_state(number, found))
    for epoch in range(len(found.loss), task.epochs):
        start = time.perf_counter()
        loss = learner.train(*task.train, task.rate(epoch), semantics=point.study.semantics, batch=point.study.batch)
        found.seconds.append(time.perf_counter() - start)
        found.loss.append(loss.tolist())
        found.accuracy.append(learner.accuracy(*task.test).tolist())
        state = learner.state_dict()
        if isinstance(learner, Perceptron):
            found.at_limits.append(learner.at_limits())
            _compare(found, learner, task, epoch)
            learner.load_state_dict(state)  # the writes that were looked at are undone
        files.write(number, found, state)
        progress(number, epoch + 1, found)
    return found


def _compare(point: TrainedPoint, network: Perceptron, task: Task, epoch: int) -> None:
    """Note what the writes of the first layer do against what they are asked for, over some samples."""
    x, labels = task.train
    seen = []
    for sample in range(min(_WATCHED, len(x))):
        part = slice(sample, sample + 1)
        seen.append(network.watched(x[part], labels[part], task.rate(epoch)))
    requested, realised, before = (np.stack(of) for of in zip(*seen, strict=True))
    found = update_diagnostics(requested, realised)
    if found is None:
        return
    point.updates.update(found.as_dict())
    if not network.model.visible_deviation:  # weights seen too high by chance fall at the next write, whatever is asked
        point.gains.update(update_gains(requested, realised, before, network.limits[0]))
    settled = symmetry_point(network.model)
    if settled is not None:
        point.updates["symmetry_point"] = settled
