"""Line currents of arrays with wires that no one matrix describes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.chain.networks import Network
from crossohm.chain.readout import Readout
from crossohm.chain.wired import naming_array
from crossohm.circuits.grid import cell_currents, effective_matrix, ladder_currents
from crossohm.devices import Cell, Device
from crossohm.devices import clip_conductance as clip_to_cell
from crossohm.errors import UnsupportedError


@final
@dataclass(frozen=True)
class NetworkReadout(Readout):
    """Arrays with wires that no one matrix describes: rows selected by gates, fresh read noise, nonlinear cells.

    Solved on the host in float64; results carry no gradient.

    Attributes:
        networks: Arrays of one input partition, by slice, sign and output partition.
        columns: First and last matrix column of these arrays.
        operation: ``"mvm"`` or ``"vmm"``.
        noise: Device model that draws read noise, or None.
        noise_cell: Its electrical frame.
        law: Device model of the nonlinear I-V, or None.
        law_cell: Its electrical frame.
        device: Hardware description of the cell (clipping limits).
    """

    networks: tuple[Network, ...]
    columns: slice
    operation: str
    noise: Device | None
    noise_cell: Cell
    law: Device | None
    law_cell: Cell
    device: Any

    def currents(self, v: Array, draw: Draw | None) -> Array:
        backend = backend_of(v)
        if backend.is_traced(v):
            raise UnsupportedError(
                "wire resistance with gate-selected rows (xbar.array.parasitics.current_from_input = False), with "
                "xbar.device.read_noise.enable = True or with xbar.device.nonlinear_IV.enable = True is solved outside "
                "of JAX tracing; call the core without jit, grad and vmap"
            )
        vectors = np.asarray(backend.to_numpy(self.contraction.windows(v)[:, self.columns]), dtype=np.float64)
        found = np.concatenate([self._array(network, vectors, v, draw) for network in self.networks], axis=1)
        return self._split(self.contraction.fold(backend.asarray(found, v), v))

    def _array(self, network: Network, vectors: np.ndarray, like: Array, draw: Draw | None) -> np.ndarray:
        """Currents ``(vectors, lines)`` of one array."""
        with naming_array(network.name, self.operation):
            if self.noise is None:
                return self._solve(network, network.g, vectors)
            rows = [self._solve(network, self._noisy(network.g, like, draw), one[np.newaxis]) for one in vectors]
        return np.concatenate(rows) if rows else np.zeros((0, network.g.shape[1]))

    def _noisy(self, g: np.ndarray, like: Array, draw: Draw | None) -> np.ndarray:
        """The cells as one read finds them; noise from the generator of the inputs' library."""
        assert self.noise is not None and draw is not None
        backend = backend_of(like)
        read = self.noise.read_noise(backend.asarray(g, like), self.noise_cell, draw)
        return np.asarray(backend.to_numpy(clip_to_cell(read, self.device)), dtype=np.float64)

    def _solve(self, network: Network, g: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        if self.law is not None:
            return self._newton(network, g, vectors)
        if network.gated:
            return ladder_currents(g, vectors, network.wires, network.unused, network.unused_at)
        return np.asarray(vectors @ effective_matrix(g, network.wires).T)

    def _newton(self, network: Network, g: np.ndarray, vectors: np.ndarray) -> np.ndarray:
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
            return "one network per vector with its own read noise, eliminated directly (exact, slow)"
        return "one ladder per line and pattern of active inputs, eliminated directly (exact)"
