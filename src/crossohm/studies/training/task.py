"""What a point trains: the network, its samples, and its learning rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm._names import load_function
from crossohm.datasets import load_dataset
from crossohm.errors import UnsupportedError
from crossohm.layers.network import front_end_of
from crossohm.studies.training.sections import TrainingStudy
from crossohm.studies.training.study import TrainingPoint
from crossohm.training.learner import Learner
from crossohm.training.perceptron import Perceptron
from crossohm.training.recipes import recipe, scheduled

Split = tuple[NDArray[np.floating], NDArray[np.integer]]


@final
@dataclass(frozen=True)
class Task:
    """One thing to train.

    Attributes:
        learner: The network, all seeds of it.
        train: Training samples and their classes.
        test: Test samples and their classes.
        epochs: Passes over the training samples.
        rate: Learning rate of an epoch; the first is 0.
    """

    learner: Learner
    train: Split
    test: Split
    epochs: int
    rate: Callable[[int], float]


def task_of(point: TrainingPoint, folder: Path) -> Task:
    """The task of a point; relative paths start at ``folder``.

    Raises:
        DataError: the data set, or the function that makes the network, cannot be read.
        UnsupportedError: there is no front end that puts such a network on devices.
    """
    return _of_recipe(point, folder) if point.study.network is None else _of_network(point, folder)


def _of_recipe(point: TrainingPoint, folder: Path) -> Task:
    study, chosen = point.study, recipe(point.study.recipe)
    train, test = _splits(study, chosen.dataset, folder)
    samples = chosen.scaled(*(of.reshape(len(of), -1) for of, _ in (train, test)))
    network = Perceptron(chosen.sizes, chosen.limits, point.array, point.rule, point.seeds)

    def rate(epoch: int) -> float:
        if study.learning_rate is None:
            return chosen.rate(point.array.model, epoch)
        return study.learning_rate * scheduled(epoch)

    return Task(network, (samples[0], train[1]), (samples[1], test[1]), study.epochs or chosen.epochs, rate)


def _of_network(point: TrainingPoint, folder: Path) -> Task:
    study = point.study
    model = load_function(_in_folder(study.network or "", folder))()
    make = getattr(front_end_of(model), "learner", None)
    if make is None:
        raise UnsupportedError(f"{study.network}: only networks of PyTorch are trained on devices yet")
    train, test = _splits(study, study.dataset or "", folder)
    learner = make(model, point.array, point.rule, point.seeds)
    first = study.learning_rate or 0.0
    return Task(learner, train, test, study.epochs or 1, lambda epoch: first * scheduled(epoch))


def _in_folder(function: str, folder: Path) -> str:
    """``file.py:function`` with the file's place written out."""
    file, _, name = function.rpartition(":")
    return f"{folder / file}:{name}" if file.endswith(".py") else function


def _splits(study: TrainingStudy, dataset: str, folder: Path) -> tuple[Split, Split]:
    data_dir = None if study.data_dir is None else folder / study.data_dir
    limits = {"train": study.train_samples, "test": study.test_samples}
    found = [load_dataset(dataset, data_dir=data_dir, split=name, limit=limit) for name, limit in limits.items()]
    train, test = ((of.images.astype(np.float32), of.labels) for of in found)
    return train, test
