"""Recipes of the published training studies: networks, weight limits and learning rates.

Numbers are those of CrossSim's training scripts (Sandia, version 2.0), but for two: Fashion-MNIST is scaled like
MNIST, and learns at its rates, where those scripts train on raw pixel values; several tables learn SPECTF at the rate
of one, as no rate is published for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.training.checks import require_one_of
from crossohm.training.updates.lookup import LookupUpdate
from crossohm.training.updates.model import UpdateModel

#: Weight limits over the constants of the recipes.
CLIP_SCALE = 1.5
#: Epochs (the first is 0) before which the learning rate falls, and to how much of what it was.
SCHEDULE, FACTOR = (5, 10, 15), 0.75


@final
@dataclass(frozen=True)
class Recipe:
    """A network, its data set and how it learns.

    Attributes:
        dataset: Name in `crossohm.datasets`.
        sizes: Inputs, units of each hidden layer, classes.
        limits: Weight limit of each layer.
        scaling: ``"whole"``: samples less the mean of all training values, over twice their standard deviation;
            ``"columns"``: the same for each input by itself.
        epochs: Passes over the training set.
        rates: Learning rates of ``"numeric"`` devices (ideal, analytic, pulsed), of one ``"table"`` of pulses, of
            several ``"tables"``.
    """

    dataset: str
    sizes: tuple[int, ...]
    limits: tuple[float, ...]
    scaling: str
    epochs: int
    rates: Mapping[str, float]

    def rate(self, model: UpdateModel, epoch: int) -> float:
        """Learning rate of an epoch (the first is 0) for devices of a kind."""
        kind = "numeric"
        if isinstance(model, LookupUpdate):
            kind = "table" if len(model.tables) == 1 else "tables"
        return self.rates[kind] * scheduled(epoch)

    def scaled(
        self, train: NDArray[np.floating], test: NDArray[np.floating]
    ) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Samples ``(samples, inputs)`` as the network sees them; the test samples by the numbers of the training."""
        axis = 0 if self.scaling == "columns" else None
        middle, spread = train.mean(axis=axis), 2 * train.std(axis=axis)
        spread = np.where(spread > 0, spread, 1)
        return (train - middle) / spread, (test - middle) / spread


def scheduled(epoch: int) -> float:
    """What the schedule leaves of a learning rate in an epoch (the first is 0)."""
    return float(FACTOR ** sum(epoch >= start for start in SCHEDULE))


@cache
def _recipes() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("crossohm.training").joinpath("recipes.json").read_text("utf-8"))
    return found


def recipe_names() -> tuple[str, ...]:
    """Names that `recipe` knows."""
    return tuple(_recipes())


def recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        UnknownNameError: there is none; the nearest and all names are listed.
    """
    require_one_of("recipe", name, _recipes(), "recipe")
    values = dict(_recipes()[name])
    limits = tuple(CLIP_SCALE * limit for limit in values.pop("limits"))
    return Recipe(sizes=tuple(values.pop("sizes")), limits=limits, **values)
