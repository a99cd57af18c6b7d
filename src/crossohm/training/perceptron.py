"""A multilayer perceptron whose weights live on arrays: the network of the training recipes, in NumPy.

Weights and biases are on arrays; activations, losses and their derivatives are digital and exact (CrossSim 0.3 manual,
"Neural core").
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from crossohm._random import chip_rng
from crossohm.errors import DataError, ShapeError
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import below
from crossohm.training.checks import require_count, require_one_of
from crossohm.training.rules.model import Rule, TrainedMatrix, arrays_of
from crossohm.training.saved import settings_for, with_model
from crossohm.training.semantics import SEMANTICS, learn, require_fresh
from crossohm.training.updates.model import UpdateModel

Numbers = NDArray[np.floating]

#: When the transposed read that gives the errors of the layer below is made: before the layer is written, as in true
#: backpropagation, or after, as CrossSim does.
BACKWARD_READS = ("before", "after")
HIDDEN = ("sigmoid", "relu")
#: Samples answered at a time.
_AT_A_TIME: Final = 1000


@final
class Perceptron:
    """Layers of arrays with a digital non-linearity between them and a softmax at the end, one replica for each seed.

    All replicas see the same samples in the same order; each has devices, initial weights and draws of its own, and
    learns as it does alone.

    Args:
        sizes: Inputs, units of each hidden layer, classes.
        limits: Weight limit of each layer.
        settings: How weights lie on devices.
        rule: The algorithm.
        seeds: The chips.
        hidden: Activation of the hidden layers, one of `HIDDEN`.
        backward_read: One of `BACKWARD_READS`.

    Raises:
        ParameterError: an argument is out of its range.
        ShapeError: ``limits`` are not one for each layer.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        limits: Sequence[float],
        settings: ArraySettings,
        rule: Rule,
        seeds: Sequence[int],
        *,
        hidden: str = "sigmoid",
        backward_read: str = "before",
    ) -> None:
        require_one_of("hidden", hidden, HIDDEN, "activation")
        require_one_of("backward_read", backward_read, BACKWARD_READS, "time of the transposed read")
        for size in sizes:
            require_count("sizes", size, at_least=1)
        if len(limits) != len(sizes) - 1:
            raise ShapeError(f"{len(limits)} weight limits for {len(sizes) - 1} layers")
        self.sizes, self.limits, self.seeds = tuple(sizes), tuple(limits), tuple(seeds)
        self._settings, self._rule = settings, rule
        self._hidden, self._after = hidden, backward_read == "after"
        self._dtype = settings.numpy_dtype
        self.layers = self._made(settings)
        for number, layer in enumerate(self.layers, start=1):
            name = f"layer{number}"
            layer.set(np.stack([_initial(seed, name, layer.shape, self._dtype) for seed in self.seeds]))

    @property
    def model(self) -> UpdateModel:
        """What a write does to a device."""
        return self._settings.model

    def _made(self, settings: ArraySettings) -> list[TrainedMatrix]:
        """The layers, of zeros."""
        shapes = [(outputs, inputs + 1) for inputs, outputs in itertools.pairwise(self.sizes)]
        return [
            self._rule.matrix(settings, shape, limit, self.seeds, f"layer{number}")
            for number, (shape, limit) in enumerate(zip(shapes, self.limits, strict=True), start=1)
        ]

    def outputs(self, x: Numbers) -> Numbers:
        """Probabilities of the classes ``(replicas, B, classes)`` of samples ``(B, inputs)``."""
        return self._forward(x)[-1]

    def accuracy(self, x: Numbers, labels: NDArray[np.integer]) -> NDArray[np.float64]:
        """Share of the samples that each replica answers right, ``(replicas,)``."""
        right = np.zeros(len(self.seeds), dtype=np.int64)
        for start in range(0, len(x), _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            right += (self.outputs(x[part]).argmax(axis=2) == labels[part]).sum(axis=1)
        return np.asarray(right / len(x))

    def train(
        self, x: Numbers, labels: NDArray[np.integer], lr: float, *, semantics: str = "per_sample", batch: int = 1
    ) -> NDArray[np.float64]:
        """Learn from each sample once, in the order given.

        Args:
            x: Samples ``(samples, inputs)``.
            labels: Classes ``(samples,)``.
            lr: Learning rate of a sample; the changes of a batch are summed.
            semantics: One of `crossohm.training.semantics.SEMANTICS`.
            batch: Samples in a batch; the last one may have fewer.

        Returns:
            Mean cross-entropy of the answers during training, ``(replicas,)``.

        Raises:
            ParameterError: ``per_sample`` with batches of several samples, or no such semantics.
        """
        require_one_of("semantics", semantics, SEMANTICS, "way to write a batch")
        require_count("batch", batch, at_least=1)
        require_fresh(semantics, batch)
        targets = np.eye(self.sizes[-1], dtype=self._dtype)[labels]
        x = x.astype(self._dtype, copy=False)
        total = np.zeros(len(self.seeds))
        for start in range(0, len(x), batch):
            part = slice(start, start + batch)
            inputs = self._forward(x[part])
            answers = inputs.pop()
            total += _cross_entropy(answers, targets[part])
            self._learn(inputs, targets[part] - answers, lr, semantics)
        return total / max(len(x), 1)

    def watched(self, x: Numbers, labels: NDArray[np.integer], lr: float) -> tuple[Numbers, Numbers, Numbers]:
        """Learn from one sample, and see what its write asked of the weights of the first layer and what it did.

        Args:
            x: The sample ``(1, inputs)``.
            labels: Its class ``(1,)``.
            lr: Learning rate.

        Returns:
            Requested and realised changes, and the weights before, each ``(replicas, m, n)``.
        """
        inputs = self._forward(x)
        answers = inputs.pop()
        first = self.layers[0]
        before = first.read()
        found = list(self._errors(inputs, np.eye(self.sizes[-1], dtype=self._dtype)[labels] - answers))
        for number, errors in found:
            self.layers[number].update(errors, inputs[number], lr)
        _, errors = found[-1]
        return lr * errors.transpose(0, 2, 1) @ inputs[0], first.read() - before, before

    def at_limits(self) -> float:
        """Share of all devices whose states are at a limit of theirs, see `Cells.at_limits`."""
        cells = [array.cells for layer in self.layers for array in arrays_of(layer)]
        return sum(of.at_limits() for of in cells) / max(sum(of.state.size for of in cells), 1)

    def _forward(self, x: Numbers) -> list[Numbers]:
        """Inputs of each layer with the ones that drive biases ``(replicas, B, n + 1)``, and the probabilities."""
        values = np.broadcast_to(x.astype(self._dtype, copy=False), (len(self.seeds), *x.shape))
        found = []
        for number, layer in enumerate(self.layers, start=1):
            driven = np.empty((*values.shape[:2], values.shape[2] + 1), dtype=self._dtype)
            driven[..., :-1], driven[..., -1] = values, 1
            found.append(driven)
            values = layer.forward(driven)
            if number < len(self.layers):
                values = _sigmoid(values) if self._hidden == "sigmoid" else np.maximum(values, 0)
        powers = np.exp(values - values.max(axis=2, keepdims=True))
        found.append(powers / powers.sum(axis=2, keepdims=True))
        return found

    def _learn(self, inputs: list[Numbers], errors: Numbers, lr: float, semantics: str) -> None:
        """Write all layers, the last first."""
        found = self._errors(inputs, errors)
        for number, rows in found if self._after else list(found):
            learn(self.layers[number], rows, inputs[number], lr, semantics)

    def _errors(self, inputs: list[Numbers], errors: Numbers) -> Iterator[tuple[int, Numbers]]:
        """Number and errors of each layer, the last first; a transposed read is made when the next is asked for."""
        for number in reversed(range(len(self.layers))):
            yield number, errors
            if number:
                values = inputs[number][..., :-1]
                slope = values * (1 - values) if self._hidden == "sigmoid" else values > 0
                errors = self.layers[number].backward(errors)[..., :-1] * slope

    def explain(self) -> str:
        """What the layers are and how their writes are computed, as text."""
        return "\n".join(layer.explain() for layer in self.layers)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that training changes and everything drawn once, as arrays, with the model of the devices."""
        found = {
            f"layer{number}/{name}": values
            for number, layer in enumerate(self.layers, start=1)
            for name, values in layer.state_dict().items()
        }
        return with_model(found, self.model)

    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state_dict` gave, bit for bit, on the devices that it is of.

        Raises:
            DataError: it is not of such a network.
        """
        settings = settings_for(values, self._settings)
        layers = self.layers if settings is self._settings else self._made(settings)
        for number, layer in enumerate(layers, start=1):
            own = below(f"layer{number}", values)
            if not own:
                raise DataError(f"the state to load has no layer{number}")
            layer.load_state_dict(own)
        self.layers, self._settings = layers, settings


def _sigmoid(values: Numbers) -> Numbers:
    """``1 / (1 + exp(-values))`` without overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * values) + 0.5)


def _initial(seed: int, name: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> Numbers:
    """Weights uniform in ``±4 sqrt(6 / (rows + columns))``."""
    limit = 4 * math.sqrt(6 / sum(shape))
    return chip_rng(seed, name, "initial weights").uniform(-limit, limit, shape).astype(dtype)


def _cross_entropy(probabilities: Numbers, targets: Numbers) -> NDArray[np.float64]:
    """Summed losses of a batch ``(replicas,)``."""
    right = (probabilities * targets).sum(axis=2)
    return np.asarray(-np.log(np.maximum(right, np.finfo(right.dtype).tiny)).sum(axis=1), dtype=np.float64)
