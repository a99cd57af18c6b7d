"""How networks of cores are trained: fresh noise, augmented images, Adam, weights within what conductances can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, final, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from crossohm._names import unknown
from crossohm._random import chip_rng
from crossohm.errors import DataError, ParameterError
from crossohm.flax.eic.augment import Augmentation, encoded
from crossohm.flax.eic.execution import Execution
from crossohm.flax.eic.net import EICNet
from crossohm.flax.state import arrays_of, read_state, state_of, write_state

#: Images that gains and thresholds are calibrated on before training.
CALIBRATION = 512
#: Of comparators, in training: other numbers in every step, or always the same.
Noise = Literal["fresh", "frozen"]


@final
@dataclass(frozen=True)
class Recipe:
    """Numbers of a training.

    Args:
        epochs: Passes over the images.
        batch: Images of a step; what is left over at the end of an epoch waits for another one.
        rate: Highest learning rate, reached after ``warm_up`` of all steps; then it falls to 0 as a cosine.
        warm_up: Part of all steps.
        sd: Noise of the comparators, in units of the calibrated standard deviation.
        augmentation: How far images are moved.
        seed: Of everything that is drawn.
        calibrate: Set gains and thresholds before the first step, from some images.
        noise: ``"fresh"``, or ``"frozen"``: each step draws the same, as the notebook did; to compare with.

    Raises:
        ParameterError: there is nothing to train.
        UnknownNameError: no such noise.
    """

    epochs: int = 20
    batch: int = 256
    rate: float = 3e-3
    warm_up: float = 0.1
    sd: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    calibrate: bool = True
    noise: Noise = "fresh"

    def __post_init__(self) -> None:
        if self.noise not in get_args(Noise):
            raise unknown("recipe.noise", self.noise, get_args(Noise), "noise")
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ParameterError(f"recipe.{name}", getattr(self, name), "is out of range", allowed="1, 2, 3, ...")


class Trainer:
    """Trains a network in place, epoch by epoch.

    Args:
        net: The network; its gains and thresholds are calibrated first, unless the recipe says otherwise.
        images: ``(n, side, side)``, 0 to 1; ``side**2`` inputs.
        labels: ``(n,)``.
        recipe: How.

    Attributes:
        epoch: Epochs that are done.
        traces: How often the step was compiled: once.

    Raises:
        ParameterError: fewer images than a batch.
    """

    def __init__(self, net: EICNet, images: np.ndarray, labels: np.ndarray, recipe: Recipe) -> None:
        if len(images) < recipe.batch:
            raise ParameterError(
                "recipe.batch", recipe.batch, "is too large", allowed=f"at most {len(images)}, all images"
            )
        self.net, self.images, self.labels, self.recipe = net, images, labels, recipe
        self.epoch = self.traces = 0
        self._key = jax.random.key(recipe.seed)
        self._pool = jax.random.normal(self._key, (2 * recipe.batch * _widest(net),))
        bits = net.shape.input_bits
        if recipe.calibrate:
            first = encoded(jnp.asarray(images[:CALIBRATION]), bits)
            net.calibrate(first, Execution("noisy", recipe.sd, jax.random.fold_in(self._key, 0)))
        steps = recipe.epochs * self._steps
        schedule = optax.warmup_cosine_decay_schedule(0.0, recipe.rate, max(1, int(recipe.warm_up * steps)), steps)
        optimizer = optax.adam(schedule)
        graph, params, _ = nnx.split(net, nnx.Param, ...)
        self._optimizer_state = optimizer.init(params)

        def step(params: Any, state: Any, rest: Any, images: Any, labels: Any, key: Any, pool: Any) -> tuple[Any, ...]:
            self.traces += 1
            move, noise = jax.random.split(key)
            noise = self._key if recipe.noise == "frozen" else noise
            inputs = encoded(recipe.augmentation(images, move), bits)

            def loss(params: Any) -> jax.Array:
                scores = nnx.merge(graph, params, rest)(inputs, Execution("noisy", recipe.sd, noise, pool))
                return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()

            found, gradient = jax.value_and_grad(loss)(params)
            updates, state = optimizer.update(gradient, state, params)
            updated = nnx.merge(graph, optax.apply_updates(params, updates), rest)
            updated.clip()
            return nnx.state(updated, nnx.Param), state, found

        self._step = jax.jit(step, donate_argnums=(0, 1))

    @property
    def _steps(self) -> int:
        return len(self.images) // self.recipe.batch

    def run_epoch(self) -> float:
        """Train on all images once; the mean loss."""
        _, params, rest = nnx.split(self.net, nnx.Param, ...)
        state, losses = self._optimizer_state, []
        for number, chosen in enumerate(self._batches(), 1 + self.epoch * self._steps):
            key = jax.random.fold_in(self._key, number)
            batch = self.images[chosen], self.labels[chosen]
            params, state, loss = self._step(params, state, rest, *batch, key, self._pool)
            losses.append(loss)
        nnx.update(self.net, params)
        self._optimizer_state = state
        self.epoch += 1
        return float(np.mean(jax.device_get(losses)))

    def save(self, path: Path) -> None:
        """Write all that `load` needs: weights, thresholds, gains, the optimizer, the epoch.

        Raises:
            WriteError: the file cannot be written.
        """
        write_state(path, self._state(), {"epoch": self.epoch, **self._about})

    def load(self, path: Path) -> None:
        """Go on where `save` was called; the rest of the training is the same to the last bit.

        Raises:
            DataError: the file is damaged, or of another network or recipe.
        """
        (state, variables), about = read_state(path, self._state())
        for name, here in self._about.items():
            if about.get(name) != here:
                raise DataError(f"{path}: {name} is {about.get(name)}, here it is {here}. Go on as it was started")
        self._optimizer_state = state
        nnx.update(self.net, variables)
        self.epoch = about["epoch"]

    def arrays(self) -> dict[str, np.ndarray]:
        """All that `restore` needs but the epoch, by name."""
        return arrays_of(self._state())

    def restore(self, arrays: Mapping[str, np.ndarray], epoch: int) -> None:
        """Go on where `arrays` was called, after so many epochs; the rest is the same to the last bit.

        Raises:
            DataError: they are of another network.
        """
        self._optimizer_state, variables = state_of(arrays, self._state(), "arrays")
        nnx.update(self.net, variables)
        self.epoch = epoch

    def start_from(self, path: Path) -> None:
        """Start with the weights, thresholds and gains of another training's file; optimizer and rates are as new.

        Recipe and input bits may differ.

        Raises:
            DataError: the file is damaged, or of a network that is wired in another way.
        """
        (_, variables), about = read_state(path, self._state())
        here, there = (_without_bits(found.get("shape", {})) for found in (self._about, about))
        for name, value in here.items():
            if there.get(name) != value:
                raise DataError(f"{path}: {name} is {there.get(name)}, here it is {value}. Start from the same wiring")
        nnx.update(self.net, variables)

    @property
    def _about(self) -> dict[str, Any]:
        """What must be the same to go on; as JSON returns it."""
        return {"recipe": asdict(self.recipe), "shape": json.loads(json.dumps(self.net.shape.as_dict()))}

    def _state(self) -> tuple[Any, Any]:
        return self._optimizer_state, nnx.state(self.net)

    def _batches(self) -> Iterator[np.ndarray]:
        order = chip_rng(self.recipe.seed, "epoch", self.epoch).permutation(len(self.images))
        return (order[i * self.recipe.batch :][: self.recipe.batch] for i in range(self._steps))


def _without_bits(shape: dict[str, Any]) -> dict[str, Any]:
    """What `NetworkShape.as_dict` returned, less the bits of the inputs."""
    chip = {name: value for name, value in shape.get("chip", {}).items() if name != "input_bits"}
    return {**{name: value for name, value in shape.items() if name != "input_bits"}, "chip": chip}


def _widest(net: EICNet) -> int:
    """Comparators of the largest bank."""
    columns = net.shape.chip.core_out
    return max(math.prod((layer.dense.blocks_in, layer.dense.blocks_out, columns)) for layer in net.layers)
