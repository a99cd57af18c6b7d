"""What a point trains: the network, its samples, and its learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm._names import load_function
from crossohm.datasets import load_dataset
from crossohm.errors import ParameterError, UnsupportedError
from crossohm.layers.network import chip_training, front_end_of
from crossohm.studies.training.sections import ChipSection, TrainingStudy
from crossohm.studies.training.study import TrainingPoint, chip_hardware, chip_shape
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
    if point.study.chip is not None:
        return _of_chip(point, point.study.chip, folder)
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


def _of_chip(point: TrainingPoint, section: ChipSection, folder: Path) -> Task:
    training = chip_training()
    recipe = training.recipe_of(section.recipe, point.study.epochs)
    splits = _splits(point.study, point.study.dataset or "", folder)
    train, test = ((_padded(images, section.sizes[0]), labels) for images, labels in splits)
    hardware = chip_hardware(section, folder)
    offset = 0.0 if section.hardware is None else section.hardware.comparator_offset
    learner = training.ChipLearner(chip_shape(section), recipe, point.seeds, *train, hardware, offset)
    return Task(learner, train, test, recipe.epochs, lambda epoch: recipe.rate)


def _padded(images: NDArray[np.floating], inputs: int) -> NDArray[np.floating]:
    """Images ``(n, 1, side, side)`` in the middle of a square of so many pixels."""
    side, need = math.isqrt(inputs), images.shape[-1]
    if images.ndim != 4 or images.shape[1] != 1 or side * side != inputs or side < need:
        raise ParameterError(
            "chip.sizes[0]", inputs, f"does not fit images {images.shape[1:]}",
            allowed="grey images; the square of a side that is not smaller than theirs",
        )  # fmt: skip
    before = (side - need) // 2
    border = (before, side - need - before)
    return np.pad(images[:, 0], ((0, 0), border, border))


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
