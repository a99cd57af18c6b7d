"""When the networks of a core are eliminated: after so few vectors that this pays, which are solved one by one."""

from __future__ import annotations

import math
from collections import Counter
from functools import cached_property
from typing import final

import numpy as np

from crossohm.backends import Array
from crossohm.chain.contraction.contraction import Dense
from crossohm.chain.lowering.array_circuits import circuits_of
from crossohm.chain.lowering.setup import make_setup
from crossohm.chain.lowering.wires import apply_wires, has_effective_matrix
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.chain.programming.record import Programmed
from crossohm.circuits.grid import Wires, elimination_work

#: Work spent on vectors one by one before the elimination, as part of the elimination's: what a core that multiplies
#: many vectors may lose.
SPENT_BEFORE = 1 / 3


@final
class WireSetup:
    """The arrays of one programming of a core, for one operation, with their wires.

    An elimination costs what many vectors cost one by one, and makes all later ones cheap. Vectors are therefore solved
    one by one until their work, counted in multiplications and not in seconds, would exceed a part of that of the
    elimination.

    Args:
        blocks: The programmed arrays.
        operation: Which lines are driven.
    """

    def __init__(self, blocks: tuple[Block, ...], operation: Operation) -> None:
        self._blocks = blocks
        self._operation = operation
        self._records: tuple[Programmed, ...] | None = None
        self._spent = 0.0
        if not any(has_effective_matrix(block.params) for block in blocks):
            self._records = tuple(block.record for block in blocks)

    @property
    def open(self) -> bool:
        """True while vectors may still be solved one by one."""
        return self._records is None

    @property
    def vectors_left(self) -> int:
        """How many more vectors are solved one by one."""
        elimination, vector = self._works
        if self._records is not None or not math.isfinite(vector):
            return 0
        return int((SPENT_BEFORE * elimination - self._spent) / vector)

    def solves(self, x: Array) -> bool:
        """True if the vectors ``x``, ``(count, length)``, are to be solved one by one; counts them.

        Only on the host and without gradient: for NumPy arrays.
        """
        if self._records is not None or not isinstance(x, np.ndarray):
            return False
        if len(x) > self.vectors_left or not np.all(np.isfinite(x)):
            return False
        self._spent += len(x) * self._works[1]
        return True

    def records(self, like: Array) -> tuple[Programmed, ...]:
        """The arrays as effective matrices, eliminated at the first call.

        Args:
            like: The inputs they will multiply; if these live on an accelerator, the elimination runs there.

        Raises:
            CrossOhmError: a network was not solved; names the array, its size and its resistances.
        """
        if self._records is None:
            self._records = tuple(apply_wires(b.record, b.params, self._operation, like) for b in self._blocks)
        return self._records

    @cached_property
    def _works(self) -> tuple[float, float]:
        """Work of the elimination, and of one vector."""
        kinds: Counter[tuple[tuple[int, int, int], Wires]] = Counter()
        vector = 0.0
        for block in self._blocks:
            if not has_effective_matrix(block.params):
                continue
            columns = Dense(block.record.shape[1 - self._operation.axis])
            setup = make_setup(
                block.record, block.params, self._operation, columns, np.zeros(1), tapped=False, solves=True
            )
            drives = len(setup.drive.dac.plane_weights) if setup.drives_planes else 1
            for network in circuits_of(setup):
                signs, outputs, inputs = network.g.shape
                kinds[(signs, outputs, inputs), network.wires] += 1
                vector += drives * network.driven.work
        return sum((elimination_work(*kind, arrays) for kind, arrays in kinds.items()), 0.0), vector
