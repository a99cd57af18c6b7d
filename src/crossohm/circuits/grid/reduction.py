"""Effective matrix of an array with resistive wires, driven from its input lines.

The network of an input-source array is linear, so its output currents are ``y = T v`` with a fixed matrix T. One
elimination per programming gives T exactly; afterwards a product with wires costs what a product without them costs.

Network (normalised to Rmin; output line i = 0..M-1, input j = 0..N-1; with interleaved pairs two input lines per input,
driven with +v and -v)::

    v_j o--[Rin_t+Rin]--a(0,j)--[Rin]--a(1,j)-- ... --a(M-1,j)     (open end)
                          |              |               |
                        g(0,j)         g(1,j)         g(M-1,j)
                          |              |               |
    output line i:  b(i,0)--[Rout]--b(i,1)-- ... --b(i,N-1)--[Rout+Rout_t]-- 0 V  (the current y_i)

Eliminating the input lines of column j leaves a dense conductance matrix S_j between the output lines and the currents
``r_j v_j`` injected into them. The output lines then form a chain of N such blocks, which is eliminated from its open
end: ``P_j = S_j + 2 G - G**2 inv(P_{j-1})`` with ``G = 1/Rout`` (one G less at the open end). The sources travel along:
``C_j = [G inv(P_{j-1}) C_{j-1}, r_j]``. At the grounded end ``T = G_end inv(P_{N-1}) C_{N-1}``.

Work: N dense inversions of the output side plus the transport of the sources; blocks are built over the shorter side by
reciprocity: exchanging sources and ammeters transposes T.

Source: nodal analysis (Kirchhoff's current law); network placement as in T. P. Xiao et al., Semicond. Sci. Technol. 36,
114004, 2021.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri
from threadpoolctl import threadpool_limits

from crossohm.circuits.grid.wires import Wires
from crossohm.errors import CrossOhmError

#: Elements of column blocks held at once (128 MB of float64).
CHUNK_ELEMENTS = 1 << 24
#: Largest residual accepted after eliminating a block; rounding leaves about 1e-15.
RESIDUAL = 1e-9
#: Lines on the shorter side from which more than one BLAS thread pays.
THREADED_BLOCK = 1024


def effective_matrix(g: np.ndarray, wires: Wires) -> np.ndarray:
    """Matrix T of ``y = T v`` for one array.

    Args:
        g: Cell conductances ``(lines, M, N)``, normalised: ``lines = 1``, or 2 for interleaved pairs (driven with +v
            and -v).
        wires: Wire resistances.

    Returns:
        ``(M, N)``, float64.

    Raises:
        CrossOhmError: the elimination failed its residual check; names the size and the resistances.
    """
    g = np.asarray(g, dtype=np.float64)
    # Threads would spend more time meeting each other than on blocks this small.
    with threadpool_limits(1 if min(g.shape[1:]) < THREADED_BLOCK else None, user_api="blas"):
        try:
            if g.shape[0] == 1 and g.shape[1] > g.shape[2]:
                mirrored = g[:, ::-1, ::-1].transpose(0, 2, 1)
                return _reduce(mirrored, wires.mirrored)[::-1, ::-1].T
            return _reduce(g, wires)
        except CrossOhmError as error:
            size = f"{g.shape[1]} outputs x {g.shape[2]} inputs"
            raise CrossOhmError(f"the network of an array of {size} with {wires} was not solved: {error}") from None


def _reduce(g: np.ndarray, wires: Wires) -> np.ndarray:
    if wires.output == 0 and wires.output_end == 0:
        return _injections(g, wires)
    if wires.input == 0 and wires.input_end == 0:
        return _separate_output_lines(g, wires)
    if wires.output == 0:
        return _one_node_per_output(g, wires)
    return _chain_of_blocks(g, wires)


def _ladder_response(g: np.ndarray, wires: Wires) -> np.ndarray:
    """Voltage along one input line per unit source, all outputs at 0 V; ``g`` is ``(columns, M)``, so is the result.

    Thomas' algorithm on the nodes of each line.
    """
    if wires.input == 0:  # no wire between the cells: one node per line
        return np.array(np.broadcast_to(1 / (1 + wires.input_end * g.sum(axis=1, keepdims=True)), g.shape))
    first, inner = 1 / (wires.input + wires.input_end), 1 / wires.input
    pivots = _ladder_pivots(g, first, inner)
    response = np.empty_like(g)
    response[:, 0] = first / pivots[:, 0]
    for i in range(1, g.shape[1]):
        response[:, i] = inner * response[:, i - 1] / pivots[:, i]
    return response


def _ladder_pivots(g: np.ndarray, first: float, inner: float) -> np.ndarray:
    """Pivots of the elimination of each line from its open end, ``(columns, M)``."""
    count = g.shape[1]
    pivots = np.empty_like(g)
    pivots[:, -1] = g[:, -1] + (inner if count > 1 else first)
    for i in range(count - 2, -1, -1):
        pivots[:, i] = g[:, i] + inner + (inner if i else first) - inner**2 / pivots[:, i + 1]
    return pivots


def _difference(lines: np.ndarray) -> np.ndarray:
    """Contribution of the +v line minus that of the -v line."""
    return np.array(lines[0] if len(lines) == 1 else lines[0] - lines[1])


def _injections(g: np.ndarray, wires: Wires) -> np.ndarray:
    """Output lines held at 0 V: every input line is a ladder of its own."""
    return _difference(np.stack([(line.T * _ladder_response(line.T, wires)).T for line in g]))


def _separate_output_lines(g: np.ndarray, wires: Wires) -> np.ndarray:
    """Input lines held at the source voltage: every output line is a ladder of its own."""
    shared = g.sum(axis=0)  # (M, N); both cells of a pair load the same node
    towards_end = shared[:, ::-1]
    response = _ladder_response(towards_end, wires.mirrored)[:, ::-1]
    return np.asarray(response * _difference(g))


def _one_node_per_output(g: np.ndarray, wires: Wires) -> np.ndarray:
    """No wire along the output lines, only a resistance at their ends: one dense system."""
    system = np.diag(np.full(g.shape[1], 1.0 / wires.output_end))
    for _, blocks in _column_blocks(g, wires):
        system += blocks.sum(axis=0)
    return np.linalg.solve(system, _injections(g, wires)) / wires.output_end


def _chain_of_blocks(g: np.ndarray, wires: Wires) -> np.ndarray:
    """Eliminate the output lines column by column from their open ends."""
    inner, end = 1.0 / wires.output, 1.0 / (wires.output + wires.output_end)
    outputs, columns = g.shape[1:]
    diagonal = np.diag_indices(outputs)
    sources = _injections(g, wires)  # column j becomes what source j injects into the nodes that are left
    inverse = np.zeros((outputs, outputs))
    for first, blocks in _column_blocks(g, wires):
        for j, pivot in enumerate(blocks, start=first):
            pivot[diagonal] += (end if j == columns - 1 else inner) + (inner if j else 0.0)
            if j:
                pivot -= inner**2 * inverse
                sources[:, :j] = inner * (inverse @ sources[:, :j])
            inverse = _symmetric_inverse(pivot)
    return np.asarray(end * (inverse @ sources))


def _symmetric_inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive definite matrix by Cholesky factorisation, checked on one vector."""
    factor, failed = dpotrf(matrix, lower=1)
    if failed:
        raise CrossOhmError("its equations are not positive definite; conductances must not be negative")
    inverse, _ = dpotri(factor, lower=1)
    lower = np.tril(inverse, -1)
    inverse = lower + lower.T + np.diag(np.diagonal(inverse))
    probe = np.cos(np.arange(len(matrix)))
    residual = float(np.abs(matrix @ (inverse @ probe) - probe).max())
    if not residual <= RESIDUAL:
        raise CrossOhmError(f"the elimination left a residual of {residual:.1e}; wire resistances are too extreme")
    return np.asarray(inverse)


def _column_blocks(g: np.ndarray, wires: Wires) -> Iterator[tuple[int, np.ndarray]]:
    """Conductance matrices between output lines once the input lines are eliminated, a bounded number at a time.

    Yields:
        The first column of a chunk and its blocks ``S_j = diag(g_j) - diag(g_j) inv(K_j) diag(g_j)``,
        ``(columns, M, M)``, summed over the lines of a pair.
    """
    _, outputs, columns = g.shape
    size = max(1, CHUNK_ELEMENTS // outputs**2)
    for first in range(0, columns, size):
        lines = g[:, :, first : first + size].transpose(0, 2, 1)
        yield first, np.sum([_line_block(line, wires) for line in lines], axis=0)


def _line_block(g: np.ndarray, wires: Wires) -> np.ndarray:
    """S_j of one input line per row of ``g`` ``(columns, M)``."""
    blocks = -(g[:, :, None] * _line_inverse(g, wires) * g[:, None, :])
    diagonal = np.arange(g.shape[1])
    blocks[:, diagonal, diagonal] += g
    return np.asarray(blocks)


def _line_inverse(g: np.ndarray, wires: Wires) -> np.ndarray:
    """Inverse nodal matrix of each input line, ``(columns, M, M)``, by elimination from the open end."""
    columns, count = g.shape
    first = 1 / (wires.input + wires.input_end)
    if wires.input == 0:
        return np.broadcast_to(1.0 / (g.sum(axis=1) + first)[:, None, None], (columns, count, count))
    inner = 1 / wires.input
    pivots = _ladder_pivots(g, first, inner)
    inverse = np.zeros((columns, count, count))
    inverse[:, -1, -1] = 1.0
    for i in range(count - 2, -1, -1):  # forward sweep over the identity
        inverse[:, i, i] = 1.0
        inverse[:, i, i + 1 :] = inner / pivots[:, i + 1, None] * inverse[:, i + 1, i + 1 :]
    inverse[:, 0] /= pivots[:, 0, None]
    for i in range(1, count):
        inverse[:, i] = (inverse[:, i] + inner * inverse[:, i - 1]) / pivots[:, i, None]
    return inverse
