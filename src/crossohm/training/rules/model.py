"""What an algorithm is: it puts a matrix of weights on arrays, and says what an update writes where.

A rule holds parameters and no state; `Rule.matrix` gives what is trained. A user's own rule is a class of a few lines::

    @rule("Halved")
    class Halved(Rule):
        source = "our lab"

        def matrix(self, settings, shape, limit, seeds, name):
            return HalvedMatrix(weight_array(settings, shape, limit, seeds, name))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from crossohm._content import ByContent
from crossohm.errors import DataError, ParameterError
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import WeightArray, below
from crossohm.training.checks import require_number

Numbers = NDArray[np.floating]

#: Largest pulse that a rule chooses by itself, over the weight limit, where parts of a device's pulse can be written:
#: what waits digitally for a pulse that crosses half the range is lost to learning.
LARGEST_PULSE = 0.03


class TrainedMatrix(Protocol):
    """A matrix of weights that is read in both directions and trained; one array is the plainest one.

    Methods as of `WeightArray`: errors ``(replicas, B, m)``, inputs ``(replicas, B, n)``, weights ``(replicas, m, n)``.
    """

    shape: tuple[int, int]

    def forward(self, x: Numbers) -> Numbers:
        """Read with driven columns."""

    def backward(self, p: Numbers) -> Numbers:
        """Read with driven rows."""

    def update(self, rows: Numbers, columns: Numbers, lr: float) -> None:
        """Learn from the outer products of a batch, in order."""

    def burst(self, changes: Numbers, lr: float = 1.0) -> None:
        """Learn from one full matrix of changes."""

    def read(self) -> Numbers:
        """The weights that forward reads meet, exactly."""

    def set(self, weights: Numbers) -> None:
        """Set the weights that forward reads meet."""

    def explain(self) -> str:
        """What it is, as text."""

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that training changes and everything drawn once."""

    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state_dict` gave."""


class Rule(ByContent):
    """Base of all rules.

    Attributes:
        source: Where the algorithm comes from (paper, manual).
    """

    source: str = ""

    def matrix(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> TrainedMatrix:
        """A matrix of zeros to train; arguments as of `WeightArray`.

        Raises:
            ParameterError: the rule cannot work with such devices.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what is trained; define matrix()")


class RuleMatrix(ABC):
    """Base of what is trained with several arrays, or with digital numbers beside them.

    Args:
        arrays: By name.
        digital: Digital numbers by name: changed in place by updates, saved with the arrays.
    """

    def __init__(self, arrays: Mapping[str, WeightArray], digital: Mapping[str, NDArray[Any]]) -> None:
        self.arrays, self.digital = dict(arrays), dict(digital)
        first = next(iter(self.arrays.values()))
        self.shape, self.replicas = first.shape, first.replicas

    @abstractmethod
    def forward(self, x: Numbers) -> Numbers:
        """Read with driven columns."""

    @abstractmethod
    def backward(self, p: Numbers) -> Numbers:
        """Read with driven rows."""

    @abstractmethod
    def update(self, rows: Numbers, columns: Numbers, lr: float) -> None:
        """Learn from the outer products of a batch, in order."""

    @abstractmethod
    def burst(self, changes: Numbers, lr: float = 1.0) -> None:
        """Learn from one full matrix of changes."""

    @abstractmethod
    def read(self) -> Numbers:
        """The weights that forward reads meet, exactly."""

    @abstractmethod
    def set(self, weights: Numbers) -> None:
        """Set the weights that forward reads meet."""

    @final
    def explain(self) -> str:
        """What it is, array by array, as text."""
        return "\n".join([type(self).__name__, *(array.explain() for array in self.arrays.values())])

    @final
    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that training changes and everything drawn once, as arrays."""
        found = {f"digital/{name}": of.copy() for name, of in self.digital.items()}
        for name, array in self.arrays.items():
            found |= {f"arrays/{name}/{key}": of for key, of in array.state_dict().items()}
        return found

    @final
    def load_state_dict(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state_dict` gave.

        Raises:
            DataError: it is not of such a matrix.
        """
        saved = below("digital", values)
        for name, of in self.digital.items():
            if name not in saved or saved[name].shape != of.shape:
                raise DataError(f"{type(self).__name__}: {name!r} is not an array of shape {of.shape}")
        for name, array in self.arrays.items():
            array.load_state_dict(below(f"arrays/{name}", values))
        for name, of in self.digital.items():
            of[...] = saved[name]


def up_to_the_next(count: int, every: int, writes: int) -> Iterator[slice]:
    """Parts of a batch of ``writes`` that end where a counter, now at ``count``, reaches ``every``."""
    start = 0
    while start < writes:
        end = min(writes, start + every - count % every)
        yield slice(start, end)
        count, start = count + end - start, end


def granularity_of(array: WeightArray, wanted: float | None) -> float:
    """Change of a weight that is worth a pulse: what the user says, or the model's, see `LARGEST_PULSE`.

    Raises:
        ParameterError: the model has no pulses and the user does not say.
    """
    if wanted is not None:
        require_number("granularity", wanted, above=0)
        return wanted
    if not array.pulse:
        model = type(array.settings.model).__name__
        remedy = "Give granularity, in units of weights"
        raise ParameterError("granularity", None, f"{model} has no smallest change", remedy=remedy)
    return array.pulse if array.cells.counted else min(array.pulse, LARGEST_PULSE * array.limit)
