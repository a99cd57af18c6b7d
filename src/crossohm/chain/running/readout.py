"""From array voltages to line currents: the ways to evaluate one input partition's arrays.

Every readout takes voltages ``(batch, features, *positions)`` and returns currents
``(batch, banks, lines, *positions)`` in normalised current. A bank is a slice, or a slice and a sign.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Contraction, Kernel
from crossohm.devices import Cell, Device

#: Most cell-vector products held at once by explicit evaluation (64 MB of float64).
CHUNK_ELEMENTS = 1 << 23


@dataclass(frozen=True)
class Readout(ABC):
    """Currents of ``banks * lines`` output lines."""

    contraction: Contraction
    banks: int
    lines: int

    @abstractmethod
    def currents(self, v: Array, draw: Draw | None, energy: Array | None = None) -> Array:
        """Line currents.

        Args:
            v: Voltages.
            draw: Supplies noise where the readout has any.
            energy: Squared voltages that carry noise by moments: ``v**2``, the default, unless several input slices are
                read at once.
        """

    @property
    @abstractmethod
    def reason(self) -> str:
        """One line for `explain`: what is computed and why it is exact."""

    def _split(self, y: Array) -> Array:
        """Separate the bank and line axes of ``(batch, banks * lines, *positions)``; groups are outermost in ``y``."""
        if self.banks == 1:
            return y[:, None]
        xp, groups, rest = backend_of(y).xp, self.contraction.row_groups, y.shape[2:]
        if groups > 1:
            y = xp.moveaxis(xp.reshape(y, (y.shape[0], groups, self.banks, self.lines // groups, *rest)), 2, 1)
        return xp.reshape(y, (y.shape[0], self.banks, self.lines, *rest))


@final
@dataclass(frozen=True)
class LinearReadout(Readout):
    """Fixed conductances: one contraction for all banks."""

    kernel: Kernel

    def currents(self, v: Array, draw: Draw | None, energy: Array | None = None) -> Array:
        return self._split(self.sums(v, draw, energy))

    def sums(self, v: Array, draw: Draw | None, energy: Array | None) -> Array:
        """Currents of all lines side by side, ``(batch, banks * lines, *positions)``: a fresh array."""
        return self.contraction.contract(v, self.kernel)

    @property
    def reason(self) -> str:
        return f"one contraction with {self.banks} x {self.lines} lines (exact: cells are linear and fixed)"


@final
@dataclass(frozen=True)
class NoisyReadout(Readout):
    """Gaussian read noise by its moments: ``y = G v + sqrt(S v**2) n`` with ``S`` the variances of the cells.

    The current of a line is a sum of independent Gaussians, so one normal number per output has exactly the right law.
    """

    kernel: Kernel
    variance: Kernel

    def currents(self, v: Array, draw: Draw | None, energy: Array | None = None) -> Array:
        return self._split(self.sums(v, draw, v * v if energy is None else energy))

    def sums(self, v: Array, draw: Draw | None, energy: Array | None) -> Array:
        """Currents of all lines side by side, ``(batch, banks * lines, *positions)``: a fresh array."""
        assert draw is not None and energy is not None
        backend = backend_of(v)
        mean = self.contraction.contract(v, self.kernel)
        deviation = backend.root(self.contraction.contract(energy, self.variance))
        return backend.add_scaled(mean, deviation, draw.normal(mean))

    @property
    def reason(self) -> str:
        return "read noise by moments (exact: Gaussian, no conductance comes near a clipping limit)"


@final
@dataclass(frozen=True)
class PolynomialReadout(Readout):
    """Cells with polynomial I-V and no noise: one contraction per power of the voltage."""

    kernels: tuple[tuple[int, Kernel], ...]

    def currents(self, v: Array, draw: Draw | None, energy: Array | None = None) -> Array:
        total: Any = 0.0
        for power, kernel in self.kernels:
            total = total + self.contraction.contract(v**power, kernel)
        return self._split(total)

    @property
    def reason(self) -> str:
        powers = ", ".join(f"v^{power}" for power, _ in self.kernels)
        return f"nonlinear I-V as contractions with {powers} (exact: the model is a polynomial)"


@final
@dataclass(frozen=True)
class SampledReadout(Readout):
    """Every cell of every vector on its own: noise that is not Gaussian or clips, or a general I-V.

    Attributes:
        conductance: ``(banks, lines, columns)``.
        voltage_signs: Sign of the voltage at each bank's cells, ``(banks,)``: -1 for interleaved negative cells,
            whose current is counted negative (the pair is subtracted later).
        columns: First and last matrix column of these arrays.
        noise: Device model that draws read noise, or None.
        noise_cell: Its electrical frame.
        law: Device model of the nonlinear I-V, or None for ``g * v``.
        law_cell: Its electrical frame.
        limits: Conductances to which read ones are clipped.
        why: Why this slower path is needed.
    """

    conductance: Array
    voltage_signs: Array
    columns: slice
    noise: Device | None
    noise_cell: Cell
    law: Device | None
    law_cell: Cell
    limits: tuple[float, float]
    why: str

    def currents(self, v: Array, draw: Draw | None, energy: Array | None = None) -> Array:
        xp = backend_of(v).xp
        vectors = self.contraction.windows(v)[:, self.columns]
        parts = [self._sample(chunk, draw) for chunk in self._chunks(vectors)]
        flat = parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)
        return self._split(self.contraction.fold(xp.reshape(flat, (flat.shape[0], -1)), v))

    def _chunks(self, vectors: Array) -> list[Array]:
        """A bounded number of vectors at a time; all of them where their number is not known yet."""
        count, size = vectors.shape[0], max(1, CHUNK_ELEMENTS // max(1, self.banks * self.lines * vectors.shape[1]))
        if count is None or count <= size:
            return [vectors]
        return [vectors[start : start + size] for start in range(0, count, size)]

    def _sample(self, vectors: Array, draw: Draw | None) -> Array:
        """Currents ``(vectors, banks, lines)`` with fresh noise in every cell for every vector."""
        xp = backend_of(vectors).xp
        g, v = self.conductance[None], vectors[:, None, None, :]
        if self.noise is not None:
            assert draw is not None
            cells, _ = xp.broadcast_arrays(g, v)
            g = self.noise.read_noise(cells, self.noise_cell, draw)
            g = backend_of(g).clip(g, *self.limits)
        if self.law is None:
            return xp.sum(g * v, axis=-1)
        signs = self.voltage_signs[:, None, None]
        return xp.sum(signs * self.law.current(g, signs * v, self.law_cell), axis=-1)

    @property
    def reason(self) -> str:
        return f"every cell evaluated for every vector, in chunks ({self.why})"
