"""Accuracy over noise: single reads, and reads averaged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.flax.eic.augment import encoded
from crossohm.flax.eic.execution import Execution, Mode
from crossohm.flax.eic.net import EICNet


@final
@dataclass(frozen=True)
class Accuracy:
    """Of one network, parts of 1.

    Args:
        ideal: Without noise.
        single: Of a single noisy read, for each seed.
        averaged: Of the mean of the log-probabilities over S reads, for each S; each costs S passes.
    """

    ideal: float
    single: tuple[float, ...]
    averaged: dict[int, float]

    @property
    def mean(self) -> float:
        """Of single reads."""
        return float(np.mean(self.single))

    @property
    def sd(self) -> float:
        """Of single reads, over seeds."""
        return float(np.std(self.single, ddof=1)) if len(self.single) > 1 else 0.0


def evaluate(
    net: EICNet, images: np.ndarray, labels: np.ndarray, *, sd: float = 0.1, reads: int = 8, seed: int = 0,
    batch: int = 500, mode: Mode = "noisy",
) -> Accuracy:  # fmt: skip
    """Accuracy without noise, and over ``reads`` independent reads, all drawn properly.

    Args:
        net: The network.
        images: ``(n, side, side)``, 0 to 1.
        labels: ``(n,)``.
        sd: Noise of the comparators.
        reads: Noisy passes; averages are over the first 1, 2, 4, ... of them.
        seed: Of the noise.
        batch: Images at a time.
        mode: Of the reads; ``"device"`` for what `on_chip` returned.
    """
    graph, state = nnx.split(net)
    ideal = _log_probabilities(graph, state, images, Execution(), batch)
    keys = [jax.random.fold_in(jax.random.key(seed), read) for read in range(reads)]
    noisy = [_log_probabilities(graph, state, images, Execution(mode, sd, key), batch) for key in keys]
    averages = [2**power for power in range(reads.bit_length())]
    return Accuracy(
        _right(ideal, labels), tuple(_right(one, labels) for one in noisy),
        {count: _right(np.mean(noisy[:count], axis=0), labels) for count in averages},
    )  # fmt: skip


def single_read(
    net: EICNet, images: np.ndarray, labels: np.ndarray, *, sd: float, seed: int, mode: Mode = "noisy",
    batch: int = 500,
) -> float:  # fmt: skip
    """Accuracy of a single noisy read; arguments as of `evaluate`."""
    graph, state = nnx.split(net)
    return _right(_log_probabilities(graph, state, images, Execution(mode, sd, jax.random.key(seed)), batch), labels)


def _right(scores: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(scores.argmax(1) == labels))


def _log_probabilities(graph: Any, state: Any, images: np.ndarray, execution: Execution, batch: int) -> np.ndarray:
    found = []
    for number, start in enumerate(range(0, len(images), batch)):
        key = execution.key if execution.key is None else jax.random.fold_in(execution.key, number)
        piece = jnp.asarray(images[start : start + batch])
        found.append(_forward(graph, state, piece, Execution(execution.mode, execution.sd, key)))
    return np.concatenate(jax.device_get(found))


@partial(jax.jit, static_argnums=0)
def _forward(graph: Any, state: Any, images: jax.Array, execution: Execution) -> jax.Array:
    net = nnx.merge(graph, state)
    return jax.nn.log_softmax(net(encoded(images, net.shape.input_bits), execution))
