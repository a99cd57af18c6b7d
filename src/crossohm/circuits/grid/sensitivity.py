"""An array with wires whose cells deviate from their programmed conductance, differently for every vector.

The nodal matrix L of the input-source network (see `reduction`) is factorised once, with the programmed cells. With D
the incidence of the cells, ``u0 = inv(L) b`` the voltages of the programmed array and ``dg`` the deviations of its
cells::

    u = u0 - inv(L) D dg D' u          cell voltages  w = D' u          currents of the cells  (g + dg) w

One step from u0 is exact to first order in ``dg``: the current of output line i changes by ``-sum_k a_ik w_k dg_k``,
where ``a_ik`` is the adjoint cell voltage (1 V on the ammeter of line i, sources at 0 V). The solve applies all
adjoints at once, so that none is stored. Repeated, the step converges to the network of the deviating cells: what it
leaves violates Kirchhoff's current law by ``D dg (change of w)``.

Source: Kirchhoff's laws; first-order sensitivities by the adjoint network, S. W. Director and R. A. Rohrer, IEEE Trans.
Circuit Theory 16, 318, 1969.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

import numpy as np
from scipy.sparse import coo_array, csc_array, diags_array
from scipy.sparse.linalg import splu

from crossohm.circuits.grid.newton import Network, driven_network
from crossohm.circuits.grid.reduction import effective_matrix
from crossohm.circuits.grid.wires import Wires
from crossohm.errors import CrossOhmError

#: Largest accepted violation of Kirchhoff's current law at a node, relative to the current of a cell at g = 1
#: under the largest voltage of the vector.
RESIDUAL = 1e-12
#: Largest accepted residual of the factors, relative to the terms that cancel; rounding leaves about 1e-16.
FACTOR_RESIDUAL = 1e-12
#: Steps after which a vector is eliminated directly instead.
MOST_STEPS = 24
#: Cells above which the factors would fill gigabytes, and `exact` eliminates every vector directly.
MOST_CELLS = 1 << 18
#: Cell voltages held at once for a gradient (128 MB of float64).
GRADIENT_ELEMENTS = 1 << 24
#: Node voltages solved for at once: they stay in the processor's cache.
BLOCK_ELEMENTS = 1 << 16


@final
class DisturbedNetwork:
    """One input-source array of linear cells, ready for vectors that each find other conductances.

    Args:
        g: Programmed conductances ``(signs, M, N)``, normalised; 2 signs for interleaved pairs.
        wires: Wire resistances.
    """

    def __init__(self, g: np.ndarray, wires: Wires) -> None:
        self.g = np.asarray(g, dtype=np.float64)
        self.wires = wires

    def __reduce__(self) -> tuple[type[DisturbedNetwork], tuple[np.ndarray, Wires]]:
        return DisturbedNetwork, (self.g, self.wires)  # a factorisation cannot be copied

    def first_order(self, read: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Output currents to first order in the deviations.

        Args:
            read: Conductances each vector finds, ``(vectors, signs, M, N)``.
            v: Array voltages ``(vectors, N)``.

        Returns:
            ``(vectors, M)``.

        Raises:
            CrossOhmError: the factorisation failed its residual check; names the size and the resistances.
        """
        deviation = self._by_cell(read) - self._cells
        start = self._start(v)
        return self._line_currents(self._cells * self._step(start, deviation, start) + deviation * start)

    def exact(self, read: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Output currents, to a residual of `RESIDUAL`; arguments and result as `first_order`.

        Raises:
            CrossOhmError: the factorisation, or the direct elimination that vectors far from the programmed array need,
                failed its residual check; names the size and the resistances.
        """
        currents, solved = np.empty((len(v), self.g.shape[1])), np.zeros(len(v), dtype=bool)
        if self.g.size <= MOST_CELLS:
            currents, solved = self._iterated(self._by_cell(read) - self._cells, v)
        for index in np.flatnonzero(~solved):
            currents[index] = effective_matrix(read[index], self.wires) @ v[index]
        return currents

    def matrix_gradient(self, grad: np.ndarray) -> np.ndarray:
        """Gradient of the programmed conductances for that of the array's effective matrix.

        Cell k feeds output line l with ``g_k w_kj`` per unit source j; the adjoint voltages of all lines at once, each
        ammeter driven with ``grad_lj``, give ``sum_j a_kj w_kj``.

        Args:
            grad: Of the effective matrix, ``(M, N)``.

        Returns:
            ``(signs, M, N)``.

        Raises:
            CrossOhmError: the factorisation failed its residual check; names the size and the resistances.
        """
        signs, outputs, inputs = self.g.shape
        found = np.zeros(self.g.size)
        size = max(1, GRADIENT_ELEMENTS // self.g.size)
        for first in range(0, inputs, size):
            sources = slice(first, first + size)
            lines = np.broadcast_to(grad[np.newaxis, :, np.newaxis, sources], (*self.g.shape, len(grad[0, sources])))
            driven = lines.reshape(self.g.size, -1)
            found += (self._start(np.eye(inputs)[sources]) * self._step(driven, self._cells, driven)).sum(axis=1)
        return found.reshape(signs, outputs, inputs)

    def _iterated(self, deviation: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Output currents after steps until all vectors converge, and which of them did."""
        across = start = self._start(v)
        limit, solved = RESIDUAL * np.abs(v).max(axis=1, initial=0.0), np.zeros(len(v), dtype=bool)
        for _ in range(MOST_STEPS):
            trial = self._step(start, deviation, across)
            left = self._incidence[0] @ (deviation * (trial - across))
            solved = np.abs(left).max(axis=0, initial=0.0) <= limit
            across = trial
            if np.all(solved):
                break
        return self._line_currents((self._cells + deviation) * across), solved

    @cached_property
    def _cells(self) -> np.ndarray:
        return self.g.reshape(-1, 1)

    @cached_property
    def _incidence(self) -> tuple[csc_array, csc_array]:
        """+1 at the input side and -1 at the output side of a cell, ``(nodes, cells)``: free nodes, and given ones."""
        network = self._network
        cells = np.arange(network.g.size)
        entries = np.concatenate([np.ones(cells.size), -np.ones(cells.size)])
        places = (np.concatenate([network.drive, network.sense]), np.concatenate([cells, cells]))
        incidence = coo_array((entries, places), shape=(network.known.size, cells.size)).tocsr()
        return incidence[network.free], incidence[~network.free]

    @cached_property
    def _network(self) -> Network:
        return driven_network(self.g, np.zeros(self.g.shape[2]), self.wires)

    @cached_property
    def _factor(self) -> Any:
        """Factors of the nodal matrix, checked on one vector; None if no voltage is unknown."""
        free, network = self._incidence[0], self._network
        if not free.shape[0]:
            return None
        matrix = network.wires[network.free][:, network.free] + free @ diags_array(self.g.reshape(-1)) @ free.T
        # Symmetric and diagonally dominant: no pivoting.
        options = {"SymmetricMode": True}
        factor = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        probe = np.cos(np.arange(free.shape[0]))
        found = factor.solve(probe)
        left = float((np.abs(matrix @ found - probe) / (abs(matrix) @ np.abs(found) + np.abs(probe))).max())
        if not left <= FACTOR_RESIDUAL:
            size = f"{self.g.shape[1]} outputs x {self.g.shape[2]} inputs"
            raise CrossOhmError(
                f"the network of an array of {size} with {self.wires} was not solved: the factorisation left a "
                f"residual of {left:.1e}, relative to the terms that cancel"
            )
        return factor

    def _solve(self, injected: np.ndarray) -> np.ndarray:
        """Node voltages for currents injected into the nodes, both ``(nodes, vectors)``."""
        voltages = np.empty_like(injected, order="F")
        size = max(1, BLOCK_ELEMENTS // len(injected))
        for first in range(0, injected.shape[1], size):
            block = slice(first, first + size)
            voltages[:, block] = self._factor.solve(injected[:, block])
        return voltages

    def _start(self, v: np.ndarray) -> np.ndarray:
        """Cell voltages of the programmed array, ``(cells, vectors)``."""
        network, (free, given) = self._network, self._incidence
        known = np.zeros((given.shape[0], len(v)))
        sources = np.concatenate([v.T, -v.T][: len(self.g)])
        known[: len(sources)] = sources
        ideal = given.T @ known
        if self._factor is None:
            return np.asarray(ideal)
        injected = -(network.wires[network.free][:, ~network.free] @ known) - free @ (self._cells * ideal)
        return np.asarray(ideal + free.T @ self._solve(injected))

    def _step(self, start: np.ndarray, deviation: np.ndarray, across: np.ndarray) -> np.ndarray:
        """Cell voltages if the deviations carry the current they would carry at the voltages ``across``."""
        if self._factor is None:
            return start
        free = self._incidence[0]
        return np.asarray(start - free.T @ self._solve(free @ (deviation * across)))

    def _by_cell(self, read: np.ndarray) -> np.ndarray:
        return np.asarray(read, dtype=np.float64).reshape(len(read), self.g.size).T

    def _line_currents(self, currents: np.ndarray) -> np.ndarray:
        """Sum over signs and inputs, ``(vectors, M)``."""
        return np.asarray(currents.reshape(*self.g.shape, currents.shape[1]).sum(axis=(0, 2)).T)
