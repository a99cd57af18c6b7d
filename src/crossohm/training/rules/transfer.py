"""What transfer algorithms share: gradients go to a fast array, whose columns are read one by one for a slow one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import weight_array
from crossohm.training.rules.model import Numbers, RuleMatrix, up_to_the_next


class TransferMatrix(RuleMatrix):
    """A slow array that is read, and a fast one that gradients are written to.

    After every ``every`` updates one column of the fast array, the next in turn, is read through its interfaces.

    Args:
        settings: Kind of both arrays.
        shape: ``(m, n)``.
        limit: Range of the weights on both.
        seeds: The chips.
        name: Names what is drawn.
        every: Number of updates between transfers.
        digital: Digital numbers beside those of all transfer algorithms.
    """

    def __init__(
        self,
        settings: ArraySettings,
        shape: tuple[int, int],
        limit: float,
        seeds: Sequence[int],
        name: str,
        *,
        every: int,
        **digital: NDArray[Any],
    ) -> None:
        arrays = {of: weight_array(settings, shape, limit, seeds, f"{name}/{of}") for of in ("fast", "slow")}
        super().__init__(arrays, {"count": np.zeros((), np.int64), "transfers": np.zeros((), np.int64), **digital})
        self.fast, self.slow = arrays["fast"], arrays["slow"]
        self._every = every
        self._dtype = self.fast.cells.state.dtype

    def forward(self, x: Numbers) -> Numbers:
        return self.slow.forward(x)

    def backward(self, p: Numbers) -> Numbers:
        return self.slow.backward(p)

    def read(self) -> Numbers:
        return self.slow.read()

    @final
    def set(self, weights: Numbers) -> None:
        """Set the slow array; everything else starts anew."""
        self.slow.set(weights)
        self.fast.set(np.zeros(self.shape))
        for name, of in self.digital.items():
            of[...] = self._start(name)

    def _start(self, name: str) -> Any:
        """What digital numbers start from."""
        return 0.0

    @final
    def update(self, rows: Numbers, columns: Numbers, lr: float) -> None:
        for part in up_to_the_next(int(self.digital["count"]), self._every, rows.shape[1]):
            self._learn(rows[:, part], columns[:, part], lr)
            self._counted(part.stop - part.start, lr)

    @final
    def burst(self, changes: Numbers, lr: float = 1.0) -> None:
        self._learn_burst(changes, lr)
        self._counted(1, lr)

    @abstractmethod
    def _learn(self, rows: Numbers, columns: Numbers, lr: float) -> None:
        """Write outer products to the fast array."""

    @abstractmethod
    def _learn_burst(self, changes: Numbers, lr: float) -> None:
        """Write a full matrix to the fast array."""

    @abstractmethod
    def _transfer(self, column: int, found: Numbers, lr: float) -> None:
        """Take what was read of a column of the fast array, ``(replicas, m)``, towards the slow one."""

    def _counted(self, updates: int, lr: float) -> None:
        self.digital["count"] += updates
        if self.digital["count"] % self._every:
            return
        column = int(self.digital["transfers"]) % self.shape[1]
        self._transfer(column, self.fast.forward(self.one_hot(column))[:, 0], lr)
        self.digital["transfers"] += 1

    @final
    def one_hot(self, column: int) -> Numbers:
        """Inputs that drive one column, ``(replicas, 1, n)``."""
        found = np.zeros((self.replicas, 1, self.shape[1]), self._dtype)
        found[:, :, column] = 1
        return found
