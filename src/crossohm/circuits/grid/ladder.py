"""Output currents of an array whose inputs switch the cells of separate supply lines on and off.

Every output line is a network of its own, a ladder between the line and its supply line (one, or two with interleaved
pairs). It is linear for a given pattern of active inputs (normalised to Rmin; input j = 0..N-1)::

    supply line:  0 o--[Rs]--s(0)--[Rin]--s(1)-- ... --s(N-1)                       (open end)
                              |            |             |
                        cell: EMF v_j in series with g_j, connected only if v_j is not 0
                              |            |             |
    output line:  (open end) b(0)--[Rout]--b(1)-- ... --b(N-1)--[Rl]-- 0 V          (the current y)

Write u = s - b for the voltages across the cells, C(j) for the current of cells 0..j and y for that of all cells:
vectors with one component per supply line. One segment further ``u(j+1) - u(j) = R C(j) - Rin y`` with
``R = Rin I + Rout 11'``, because the supply line carries what the output line does not carry yet. With
``M = Rin inv(R)`` (its limit where R is singular) and ``Z = C - M y`` the right side is ``R Z``, and everything left of
a point is two affine relations::

    Z(j) = G u(j) + J - E M y            u(0) = E' u(j) - q + P M y

A cell adds g to G and g v to J. A segment of n positions without active cells multiplies (G, E, J) from the left by
``inv(I + n G R)`` and then adds ``n E_before' R (E, J)`` to (P, q). The ends give y. Only resistances and conductances
enter, never their inverses: those of zero are exact. Nothing grows along the line: long lines stay accurate (1e-12).

Source: Kirchhoff's laws; network placement as in T. P. Xiao et al., Semicond. Sci. Technol. 36, 114004, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from crossohm.circuits.grid.wires import Wires
from crossohm.errors import CrossOhmError, ShapeError

#: Inputs of at most this magnitude leave their cells disconnected.
INACTIVE = 1e-9
#: Ladders (patterns times output lines) solved at once: their state stays in the processor's cache.
CHUNK_LADDERS = 1 << 15
#: Entries of the table of active inputs (patterns times inputs) held at once.
CHUNK_TABLE = 1 << 20
#: Largest accepted violation of Kirchhoff's voltage law, relative to the largest EMF; rounding leaves about 1e-14.
RESIDUAL = 1e-9


def ladder_currents(
    g: np.ndarray, v: np.ndarray, wires: Wires, unused: int = 0, unused_at: Literal["top", "bottom"] = "top"
) -> np.ndarray:
    """Currents of all output lines for patterns of active inputs; equal patterns are solved once.

    Args:
        g: Cell conductances ``(signs, lines, N)``, normalised, not negative: ``signs = 1``, or 2 for interleaved pairs
            (a second supply line with the EMF -v). Or ``(vectors, signs, lines, N)``, other cells for every vector.
        v: Array voltages ``(vectors, N)``, the EMF of the active cells.
        wires: Wire resistances; ``input`` belongs to the supply lines.
        unused: Unselected positions of the line beyond the N inputs.
        unused_at: Where they are: "top", between the last cell and the ammeter, or "bottom", between the supply and the
            first cell.

    Returns:
        ``(vectors, lines)``, float64.

    Raises:
        ShapeError: The shapes do not fit.
        CrossOhmError: ``unused_at`` is unknown, or the currents violate Kirchhoff's laws: of every chunk the pattern
            with most active inputs is substituted back, on all lines. Names the size and the resistances.
    """
    g, v = np.asarray(g, dtype=np.float64), np.asarray(v, dtype=np.float64)
    _check(g, v, unused_at)
    v = np.where(np.abs(v) > INACTIVE, v, 0.0)
    if g.ndim == 4:
        patterns, inverse = v, np.arange(len(v))
    else:
        g = g[np.newaxis]
        patterns, inverse = np.unique(v, axis=0, return_inverse=True)
    _, signs, lines, inputs = g.shape
    line = _Line.of(wires.lengthened(unused, unused_at), inputs)
    rows = np.zeros((signs, len(g), inputs + 1, lines))  # the last row stands for "no cell"
    rows[:, :, :-1] = g.transpose(1, 0, 3, 2)
    currents = np.empty((len(patterns), lines))
    by_length = np.argsort(np.count_nonzero(patterns, axis=1), kind="stable")
    size = max(1, min(CHUNK_LADDERS // lines, CHUNK_TABLE // inputs))
    for first in range(0, len(patterns), size):
        chunk = by_length[first : first + size]
        found, residual = _solve(rows if len(g) == 1 else rows[:, chunk], patterns[chunk], line)
        currents[chunk] = found
        if not residual <= RESIDUAL:
            raise CrossOhmError(
                f"the network of an array of {lines} outputs x {inputs} inputs, rows selected by gates, with {wires} "
                f"was not solved: the elimination left a residual of {residual:.1e}"
            )
    return np.asarray(currents[inverse.reshape(-1)])


def _check(g: np.ndarray, v: np.ndarray, unused_at: str) -> None:
    if g.ndim not in (3, 4) or g.shape[-3] not in (1, 2) or 0 in g.shape[-3:]:
        raise ShapeError(f"g has shape {g.shape}; pass (signs, lines, inputs) with 1 or 2 signs, none of them empty")
    if v.ndim != 2 or v.shape[1] != g.shape[-1] or (g.ndim == 4 and len(v) != len(g)):
        raise ShapeError(
            f"v has shape {v.shape}; pass (vectors, {g.shape[-1]}), one column per input of g"
            + (f", and {len(g)} vectors as g has" if g.ndim == 4 else "")
        )
    if unused_at not in ("top", "bottom"):
        raise CrossOhmError(f"unused_at is {unused_at!r}; pass 'top' or 'bottom'")


@final
@dataclass(frozen=True)
class _Line:
    """Resistances of one ladder: per segment, at the ends, and the number of segments."""

    supply: float
    output: float
    supply_end: float
    output_end: float
    segments: int

    @classmethod
    def of(cls, wires: Wires, inputs: int) -> _Line:
        ends = (wires.input + wires.input_end, wires.output + wires.output_end)
        return cls(wires.input, wires.output, *ends, inputs - 1)

    def shares(self, signs: int) -> tuple[np.ndarray, np.ndarray]:
        """M, and I - M without cancellation."""
        total, identity, ones = self.supply + signs * self.output, np.eye(signs), np.ones((signs, signs))
        if not total:
            return identity, 0 * ones
        return (self.supply * identity + self.output * (signs * identity - ones)) / total, self.output / total * ones

    def times(self, columns: np.ndarray) -> np.ndarray:
        """``R @ columns`` for ``columns`` ``(signs, ...)``."""
        if len(columns) == 1:
            return np.asarray((self.supply + self.output) * columns)
        return np.asarray(self.supply * columns + self.output * (columns[0] + columns[1]))


def _solve(rows: np.ndarray, patterns: np.ndarray, line: _Line) -> tuple[np.ndarray, float]:
    """Currents ``(patterns, lines)``, and the residual of the last pattern.

    Args:
        rows: Conductances ``(signs, 1 or patterns, N + 1, lines)``.
        patterns: EMFs ``(patterns, N)``.
        line: Resistances.
    """
    signs, sets, _, lines = rows.shape
    own = np.arange(len(patterns)) if sets > 1 else np.zeros(1, dtype=np.intp)
    shape = (len(patterns), lines)
    state = np.zeros((signs, 2 * signs + 1, *shape))  # G, E, J side by side
    moments = np.zeros((signs, signs + 1, *shape))  # P, q
    diagonal = np.arange(signs)
    state[diagonal, signs + diagonal] = 1.0
    emf_signs = np.array([1.0, -1.0])[:signs, None, None]
    steps = [(state[..., -1, :].copy(), 0, 0.0, 0.0)]
    for cells, gap, emf in _active_cells(patterns):
        state = _after_segment(state, moments, gap[:, None], line)
        g = rows[:, own, cells]
        state[diagonal, diagonal] += g
        state[:, -1] += g * (emf_signs * emf[:, None])
        steps.append((state[..., -1, :].copy(), cells[-1], gap[-1], emf[-1]))
    u, y = _end_currents(state, moments, line)
    if not patterns.any():
        return y.sum(axis=-1), 0.0
    states, cells, gaps, emf = (np.stack(column) for column in zip(*steps, strict=True))
    branches = rows[:, own[-1], cells], emf_signs * emf[:, None]
    branches[0][:, 0] = 0.0  # the first step only stands for the supply's end
    return y.sum(axis=-1), _residual(np.moveaxis(states, 0, 2), gaps[1:], branches, u[-1].T, y[-1].T, line)


def _residual(
    states: np.ndarray,
    gaps: np.ndarray,
    branches: tuple[np.ndarray, np.ndarray],
    u: np.ndarray,
    y: np.ndarray,
    line: _Line,
) -> float:
    """How far one pattern violates Kirchhoff's voltage law, relative to its largest EMF.

    Voltages follow from the end by back substitution; currents from them by Ohm's law, independent of the elimination.

    Args:
        states: G, E, J at every step, ``(signs, 2 signs + 1, steps, lines)``.
        gaps: Positions between the steps.
        branches: Conductance of the cell at each step, and its EMF.
        u: Voltages at the end, ``(signs, lines)``.
        y: Currents at the end, ``(signs, lines)``.
        line: Resistances.
    """
    signs, gap = len(u), gaps[:, None]
    # Sum and difference of the voltages of a pair: the output line's drop, however large, is in the sum alone.
    modes = np.array([[1.0, 1.0], [1.0, -1.0]])[:signs, :signs]
    drops = np.array([line.supply + signs * line.output, line.supply])[:signs, None, None] * gap
    G, E, J = (part[..., :-1, :] for part in (states[:, :signs], states[:, signs:-1], states[:, -1]))
    system = modes[..., None, None] + drops[:, None] * np.einsum("ma,abkl->mbkl", modes, G)
    source = drops * np.einsum("ma,akl->mkl", modes, J - np.einsum("abkl,bl->akl", E, line.shares(signs)[0] @ y))
    voltages = np.empty((signs, len(gaps) + 1, u.shape[1]))
    voltages[:, -1] = u
    for k in reversed(range(len(gaps))):
        voltages[:, k] = _divide(system[:, :, k], modes @ voltages[:, k + 1] - source[:, k])
    g, emf = branches
    carried = np.cumsum(g * (voltages + emf), axis=1)[:, :-1]  # by the output line, behind each step
    rise, current = (np.einsum("ma,akl->mkl", modes, part) for part in (np.diff(voltages, axis=1), carried))
    along = rise - drops * current + line.supply * gap * (modes @ y)[:, None]
    outputs = line.output_end * y.sum(axis=0) + line.output * (gap * carried.sum(axis=0)).sum(axis=0)
    start = voltages[:, 0] + line.supply_end * y + outputs
    reach = np.abs(emf).max()
    # Rounding of the cell currents alone causes this much across resistances above those of the cells.
    rounding = 16 * np.finfo(float).eps * drops * np.cumsum(g * (np.abs(voltages) + reach), axis=1)[:, :-1].sum(axis=0)
    ends = np.abs(start) - rounding[0].sum(axis=0)
    return float(max((np.abs(along) - rounding).max(initial=0.0), ends.max(initial=0.0)) / reach)


def _active_cells(patterns: np.ndarray) -> zip[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The k-th active cell of every pattern, for k = 0, 1, ..., and at last the end of the line.

    Returns:
        Tuples of rows: the cell (N for none), its distance from the one before (or from input 0), and its EMF.
    """
    count, inputs = patterns.shape
    active = patterns != 0
    steps = int(active.sum(axis=1).max()) + 1
    cells = np.full((steps, count), inputs)
    pattern, cell = np.nonzero(active)
    cells[(np.cumsum(active, axis=1) - 1)[pattern, cell], pattern] = cell
    gaps = np.diff(np.minimum(cells, inputs - 1), axis=0, prepend=0).astype(np.float64)
    padded = np.concatenate([patterns, np.zeros((count, 1))], axis=1)
    return zip(cells, gaps, np.take_along_axis(padded, cells.T, axis=1).T, strict=True)


def _after_segment(state: np.ndarray, moments: np.ndarray, gap: np.ndarray, line: _Line) -> np.ndarray:
    """State behind a segment of ``gap`` positions; adds to ``moments`` in place."""
    signs = len(state)
    g, before = state[:, :signs], state[:, signs : 2 * signs]
    system = gap * line.times(g.swapaxes(0, 1)).swapaxes(0, 1)  # n G R; R is symmetric
    for a in range(signs):
        system[a, a] += 1.0
    state = _divide(system, state)
    drop = gap * line.times(state[:, signs:])
    for a in range(signs):
        moments += before[a][:, None] * drop[a]
    return state


def _divide(system: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``inv(system) @ columns`` over the first axes, for systems of one or two rows."""
    if len(system) == 1:
        return np.asarray(columns * (1.0 / system[0]))
    (a, b), (c, d) = system
    return np.asarray(np.stack([d * columns[0] - b * columns[1], a * columns[1] - c * columns[0]]) / (a * d - b * c))


def _end_currents(state: np.ndarray, moments: np.ndarray, line: _Line) -> tuple[np.ndarray, np.ndarray]:
    """Close both ends: ``T y = G u + J`` and ``T' u = M q - W y``; u and y ``(patterns, lines, signs)``."""
    signs = len(state)
    state, moments = (np.moveaxis(x, (0, 1), (-2, -1)) for x in (state, moments))
    identity, ones = np.eye(signs), np.ones((signs, signs))
    M, passing = line.shares(signs)
    G, E, J = state[..., :signs], state[..., signs:-1], state[..., -1]
    T = passing + E @ M
    W = line.supply_end * identity + line.output_end * ones + line.segments * line.supply * passing
    W = W + M @ moments[..., :-1] @ M
    matrix = np.block([[G, -T], [T.swapaxes(-1, -2), W]])
    right = np.concatenate([-J, moments[..., -1] @ M], axis=-1)
    found = np.linalg.solve(matrix, right[..., None])[..., 0]
    return found[..., :signs], found[..., signs:]
