"""Line currents of arrays with wires that no one matrix describes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.chain.running.circuit import ArrayCircuit
from crossohm.chain.running.readout import Readout
from crossohm.circuits.grid import cell_currents, ladder_currents
from crossohm.devices import Cell, Device
from crossohm.errors import UnsupportedError

#: Conductances read (vectors times cells) held at once.
CHUNK_ELEMENTS = 1 << 20


@final
@dataclass(frozen=True)
class CircuitReadout(Readout):
    """Arrays with wires that no one matrix describes: rows selected by gates, fresh read noise, nonlinear cells.

    Or of which the matrix would cost more than the few vectors they multiply.
    Solved on the host in float64; results carry no gradient.

    Attributes:
        units: What a current of each line is multiplied with, ``(banks * lines,)``: 1, or what linear cells count in.
        networks: Arrays of one input partition, by slice, sign and output partition.
        columns: First and last matrix column of these arrays.
        noise: Device model that draws read noise, or None.
        noise_cell: Its electrical frame.
        first_order: True if the noise of input-source arrays passes the wires to first order only.
        law: Device model of the nonlinear I-V, or None.
        law_cell: Its electrical frame.
        limits: Conductances to which read ones are clipped.
    """

    units: np.ndarray
    networks: tuple[ArrayCircuit, ...]
    columns: slice
    noise: Device | None
    noise_cell: Cell
    first_order: bool
    law: Device | None
    law_cell: Cell
    limits: tuple[float, float]

    def currents(self, v: Array, draw: Draw | None, energy: Array | None = None) -> Array:
        backend = backend_of(v)
        if backend.is_traced(v):
            raise UnsupportedError(
                "wire resistance with gate-selected rows (xbar.array.parasitics.current_from_input = False), with "
                "xbar.device.read_noise.enable = True or with xbar.device.nonlinear_IV.enable = True is solved outside "
                "of tracing; call the core without jax.jit, grad and vmap, and outside of tf.function"
            )
        vectors = np.asarray(backend.to_numpy(self.contraction.windows(v)[:, self.columns]), dtype=np.float64)
        found = np.concatenate([self._array(network, vectors, v, draw) for network in self.networks], axis=1)
        return self._split(self.contraction.fold(backend.asarray(found * self.units, v), v))

    def _array(self, network: ArrayCircuit, vectors: np.ndarray, like: Array, draw: Draw | None) -> np.ndarray:
        """Currents ``(vectors, lines)`` of one array."""
        with network.named():
            if self.noise is None:
                return self._solve(network, network.g, vectors)
            if self.law is not None:
                rows = [self._solve(network, self._read(network.g, (), like, draw), one[np.newaxis]) for one in vectors]
            else:
                rows = list(self._noisy_chunks(network, vectors, like, draw))
        return np.concatenate(rows) if rows else np.zeros((0, network.g.shape[1]))

    def _noisy_chunks(
        self, network: ArrayCircuit, vectors: np.ndarray, like: Array, draw: Draw | None
    ) -> Iterator[np.ndarray]:
        """Currents of linear cells with read noise, a bounded number of vectors at a time."""
        size = max(1, CHUNK_ELEMENTS // network.g.size)
        for start in range(0, len(vectors), size):
            chunk = vectors[start : start + size]
            read = self._read(network.g, (len(chunk),), like, draw)
            if network.gated:
                yield ladder_currents(read, chunk, network.wires, network.unused, network.unused_at)
            elif self.first_order:
                yield network.disturbed.first_order(read, chunk)
            else:
                yield network.disturbed.exact(read, chunk)

    def _read(self, g: np.ndarray, reads: tuple[int, ...], like: Array, draw: Draw | None) -> np.ndarray:
        """The cells as that many reads find them; noise from the generator of the inputs' library."""
        assert self.noise is not None and draw is not None
        backend = backend_of(like)
        cells = backend.xp.broadcast_to(backend.asarray(g, like), (*reads, *g.shape))
        read = self.noise.read_noise(cells, self.noise_cell, draw)
        return np.asarray(backend.to_numpy(backend.clip(read, *self.limits)), dtype=np.float64)

    def _solve(self, network: ArrayCircuit, g: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        if self.law is not None:
            return self._newton(network, g, vectors)
        if not network.gated:
            return network.driven.currents(vectors)
        return ladder_currents(g, vectors, network.wires, network.unused, network.unused_at)

    def _newton(self, network: ArrayCircuit, g: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Currents ``(vectors, lines)`` of nonlinear cells."""
        assert self.law is not None
        law = partial(self._current, self.law)
        place = (network.gated, network.unused, network.unused_at)
        rows = [cell_currents(g, one, network.wires, law, *place).sum(axis=(0, 2)) for one in vectors]
        return np.stack(rows) if rows else np.zeros((0, g.shape[1]))

    def _current(self, law: Device, g: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.asarray(law.current(g, v, self.law_cell))

    @property
    def reason(self) -> str:
        if self.law is not None:
            return "one nonlinear network per vector, by damped Newton's method (residual below 1e-11, slow)"
        if self.noise is not None:
            if self.first_order:
                return "read noise of every cell through the wires, to first order (simulation.read_noise_sampling)"
            return "one network per vector with its own read noise, solved to a residual of 1e-12 (exact, slow)"
        if self.networks[0].gated:
            return "one ladder per line and pattern of active inputs, eliminated directly (exact)"
        return "one network per vector, by conjugate gradients to a residual of 1e-14 (exact)"
