"""Arrays with resistive wires for a few vectors: conjugate gradients on the currents of the cells.

With ``R`` the voltages that currents of the cells cause along their own wires and ``G`` the conductances of the cells
(see `reduction` for the network), cell voltages ``d`` obey ``d = v - R G d``. Input lines lose ``R_in[i, k] =
input_end + (min(i, k) + 1) input`` at node i per current into node k, output lines likewise seen from their ammeter, so
that R is symmetric and positive. In ``s = sqrt(G) d`` the equations are ::

    (1 + sqrt(G) R sqrt(G)) s = sqrt(G) v          currents of the output lines: sums of sqrt(G) s

symmetric, with no eigenvalue below one: what the residual has left bounds the error of ``s`` itself. Wires enter as
resistances and not as conductances, so none is too good a conductor. The largest eigenvalue is that of ``R G``, at most
its largest row sum, which bounds the number of steps beforehand.

Source: Kirchhoff's laws; M. R. Hestenes and E. Stiefel, J. Res. Natl. Bur. Stand. 49, 409, 1952; bound on the steps: Y.
Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., SIAM 2003, eq. 6.128.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import final

import numpy as np

from crossohm.circuits.grid.reduction import effective_matrix
from crossohm.circuits.grid.threads import threads_for
from crossohm.circuits.grid.wires import Wires

#: Residual at which a vector is solved, relative to its right-hand side.
TOLERANCE = 1e-14
#: Largest residual accepted, worked out anew from the solution; rounding leaves about 1e-15.
RESIDUAL = 1e-12
#: Steps after which a vector is eliminated directly instead.
MOST_STEPS = 10_000
#: Cells times vectors solved for at once: they stay in the processor's cache.
BLOCK_ELEMENTS = 1 << 16
#: Lines above which the matrices R would fill more than 2 * 32 MB, and arrays are eliminated in any case.
LONGEST_LINE = 2048

#: Work is counted in multiplications of a matrix product. Of one step: element by element, per cell; and fixed.
_STEP_PER_CELL, _STEP = 100, 1_000_000
#: Of an elimination: per entry of a block's cube; per line of the chain, for the arrays eliminated together.
_INVERSION, _LINE = 6, 5_000_000


@final
class DrivenNetwork:
    """One input-source array of linear cells with wires, ready for a few vectors.

    Args:
        g: Conductances ``(signs, M, N)``, normalised; 2 signs for interleaved pairs, driven with +v and -v.
        wires: Wire resistances.
    """

    def __init__(self, g: np.ndarray, wires: Wires) -> None:
        self.g = np.asarray(g, dtype=np.float64)
        self.wires = wires

    @property
    def work(self) -> float:
        """Multiplications for one vector, at most; infinite where it may not be solved in `MOST_STEPS`."""
        _, outputs, inputs = self.g.shape
        steps = self._steps() if max(outputs, inputs) <= LONGEST_LINE else math.inf
        return steps * (self.g.size * float(outputs + inputs + _STEP_PER_CELL) + _STEP)

    def _steps(self) -> float:
        """Steps that solve every vector."""
        if not np.all((self.g >= 0) & (self.g < math.inf)):
            return math.inf
        condition = 1 + float(self._drops(self.g[np.newaxis]).max(initial=0.0))
        shrinks = (math.sqrt(condition) - 1) / (math.sqrt(condition) + 1)
        steps = math.ceil(math.log(2 / TOLERANCE) / -math.log(shrinks)) if shrinks > 0 else 1
        return steps if steps <= MOST_STEPS else math.inf

    def currents(self, v: np.ndarray) -> np.ndarray:
        """Currents of the output lines, ``(vectors, M)``, for array voltages ``v`` ``(vectors, N)``.

        Raises:
            CrossOhmError: as `effective_matrix`, which takes over where the residual stays too large.
        """
        size = max(1, BLOCK_ELEMENTS // self.g.size)
        with threads_for(max(self.g.shape)):
            parts = [self._solved(v[first : first + size]) for first in range(0, len(v), size)]
        return np.concatenate(parts) if parts else np.zeros((0, self.g.shape[1]))

    def _solved(self, v: np.ndarray) -> np.ndarray:
        signs = np.array([1.0, -1.0])[: len(self.g), np.newaxis, np.newaxis]
        source = self._root * (signs * v[:, np.newaxis, np.newaxis])
        found, solved = self._iterated(source)
        if not np.all(solved):
            return np.asarray(v @ effective_matrix(self.g, self.wires).T)
        return np.asarray((self._root * found).sum(axis=(1, 3)))

    def _iterated(self, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solutions ``s``, shaped as ``source`` ``(vectors, signs, M, N)``, and for which vectors they hold.

        A vector that is solved stays as it is, so that nothing depends on the vectors beside it.
        """
        found, residual, direction = np.zeros_like(source), source.copy(), source.copy()
        start = left = _squares(source)
        for _ in range(MOST_STEPS):
            active = left > TOLERANCE**2 * start
            if not np.any(active):
                break
            image = self._times(direction)
            step = _ratio(left, _products(direction, image), active)
            found += step * direction
            residual -= step * image
            before, left = left, _squares(residual)
            direction *= _ratio(left, before, active)
            direction += residual
        return found, _squares(source - self._times(found)) <= RESIDUAL**2 * start

    def _times(self, s: np.ndarray) -> np.ndarray:
        image = self._drops(self._root * s)
        image *= self._root
        image += s
        return image

    def _drops(self, currents: np.ndarray) -> np.ndarray:
        """Voltages lost along the wires for currents of the cells, both ``(vectors, signs, M, N)``."""
        along_inputs, along_outputs = self._resistances
        drops = along_inputs @ currents
        drops += currents.sum(axis=1, keepdims=True) @ along_outputs
        return np.asarray(drops)

    @cached_property
    def _root(self) -> np.ndarray:
        return np.sqrt(self.g)

    @cached_property
    def _resistances(self) -> tuple[np.ndarray, np.ndarray]:
        """Voltage lost at a node of a line per current at another: input lines ``(M, M)``, output lines ``(N, N)``."""
        outputs, inputs = (np.arange(length, dtype=np.float64) for length in self.g.shape[1:])
        from_source = np.minimum.outer(outputs, outputs) + 1
        to_ammeter = len(inputs) - np.maximum.outer(inputs, inputs)
        w = self.wires
        return w.input_end + w.input * from_source, w.output_end + w.output * to_ammeter


def elimination_work(shape: tuple[int, int, int], wires: Wires, arrays: int) -> float:
    """Multiplications to eliminate arrays of one size together, in the measure of `DrivenNetwork.work`.

    Args:
        shape: ``(signs, M, N)`` of one array.
        wires: Wire resistances; with resistance in one direction only every line is eliminated by itself.
        arrays: How many.
    """
    lines, outputs, inputs = shape
    if not (wires.input or wires.input_end) or not (wires.output or wires.output_end):
        return float(arrays * lines * outputs * inputs)
    chain, block = min((inputs, outputs), (outputs, lines * inputs), key=lambda sides: sides[0] * sides[1] ** 3)
    return float(arrays * chain * block**2 * (_INVERSION * block + chain) + _LINE * chain)


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products of every vector, ``(vectors, 1, 1, 1)``."""
    return np.asarray(np.einsum("vsij,vsij->v", a, b)[:, np.newaxis, np.newaxis, np.newaxis])


def _squares(a: np.ndarray) -> np.ndarray:
    return _products(a, a)


def _ratio(a: np.ndarray, b: np.ndarray, active: np.ndarray) -> np.ndarray:
    """``a / b`` of active vectors, 0 of others."""
    return np.asarray(np.divide(a, b, out=np.zeros_like(a), where=active))
