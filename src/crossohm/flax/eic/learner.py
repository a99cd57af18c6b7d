"""Networks of cores as training studies see them: `crossohm.training.learner.Learner`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from crossohm._names import unknown
from crossohm.chip import NetworkShape
from crossohm.errors import ParameterError
from crossohm.flax.eic.augment import Augmentation, encoded
from crossohm.flax.eic.device import on_chip, recalibrate
from crossohm.flax.eic.evaluation import single_read
from crossohm.flax.eic.net import EICNet
from crossohm.flax.eic.training import CALIBRATION, Recipe, Trainer
from crossohm.params import CrossSimParameters

#: What a study says of a recipe, besides the table of augmentations.
_NUMBERS = ("batch", "rate", "warm_up", "sd", "seed")


class ChipLearner:
    """One network, judged by a single noisy read for each seed: of the noise, or of chips.

    Args:
        shape: The network.
        recipe: How it is trained: rates and batches too.
        seeds: Of the noise, and of the chips, when it is judged.
        images: To train on, ``(n, side, side)``, 0 to 1; ``side**2`` inputs.
        labels: ``(n,)``.
        hardware: Of the chips, whose thresholds are calibrated again on training images; None: no chips.
        comparator_offset: Of them, see `crossohm.flax.on_chip`.
    """

    def __init__(
        self, shape: NetworkShape, recipe: Recipe, seeds: Sequence[int], images: np.ndarray, labels: np.ndarray,
        hardware: CrossSimParameters | None = None, comparator_offset: float = 0.0,
    ) -> None:  # fmt: skip
        self._trainer = Trainer(EICNet(shape, rngs=nnx.Rngs(recipe.seed)), images, labels, recipe)
        self._seeds, self._hardware, self._offset = tuple(seeds), hardware, comparator_offset

    def train(
        self, x: NDArray[np.floating], labels: NDArray[np.integer], lr: float, *, semantics: str = "", batch: int = 1
    ) -> NDArray[np.float64]:
        """An epoch on the images it was made for, as the recipe says; its mean loss, for each seed the same."""
        return np.full(len(self._seeds), self._trainer.run_epoch())

    def accuracy(self, x: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
        """Share of the images ``(n, side, side)`` that a single noisy read answers right, for each seed."""
        sd = self._trainer.recipe.sd
        if self._hardware is None:
            return np.array([single_read(self._trainer.net, x, labels, sd=sd, seed=seed) for seed in self._seeds])
        chips = ((self._chip(self._hardware, seed), seed) for seed in self._seeds)
        return np.array([single_read(chip, x, labels, sd=sd, seed=seed, mode="device") for chip, seed in chips])

    def _chip(self, hardware: CrossSimParameters, seed: int) -> EICNet:
        """The network as it is now, programmed and calibrated."""
        trainer = self._trainer
        seen = encoded(jnp.asarray(trainer.images[:CALIBRATION]), trainer.net.shape.input_bits)
        chip = on_chip(trainer.net, hardware, seed, seen, comparator_offset=self._offset)
        recalibrate(chip, seen, sd=trainer.recipe.sd, seed=seed)
        return chip

    def explain(self) -> str:
        """The network and its recipe."""
        shape = self._trainer.net.shape
        cores = sum(stage.cores for stage in shape.stages)
        return (
            f"network {shape.sizes} of {cores} logical cores, inputs of {shape.input_bits} bits\n{self._trainer.recipe}"
        )

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Weights, thresholds, gains, the optimizer, the epoch."""
        return {**self._trainer.arrays(), "epoch": np.array(self._trainer.epoch)}

    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state_dict` gave, bit for bit.

        Raises:
            DataError: it is of another network.
        """
        self._trainer.restore(values, int(values["epoch"]))


def recipe_of(numbers: Mapping[str, Any], epochs: int | None) -> Recipe:
    """The recipe that a study says; ``augmentation`` is a table.

    Raises:
        ParameterError: an entry is unknown or no number.
    """
    given = dict(numbers)
    augmentation = given.pop("augmentation", {})
    if not isinstance(augmentation, Mapping):
        names = ", ".join(field.name for field in fields(Augmentation))
        raise ParameterError("chip.recipe.augmentation", augmentation, "is no table", allowed=f"a table with {names}")
    _require_numbers("chip.recipe", given, _NUMBERS)
    moves = dict(augmentation)
    _require_numbers("chip.recipe.augmentation", moves, [field.name for field in fields(Augmentation)])
    if epochs is not None:
        given["epochs"] = epochs
    return Recipe(**given, augmentation=Augmentation(**moves))


def _require_numbers(path: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name, value in given.items():
        if name not in known:
            raise unknown(f"{path}.{name}", value, known, "entry of the recipe")
        whole = name in ("batch", "seed")
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value < 0:
            allowed = "0, 1, 2, ..." if whole else "a number, 0 or more"
            raise ParameterError(f"{path}.{name}", value, "is out of range", allowed=allowed)
