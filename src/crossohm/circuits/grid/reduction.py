"""Effective matrix of arrays with resistive wires, driven from their input lines.

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
reciprocity: exchanging sources and ammeters transposes T. The two input lines of an interleaved pair then become two
output lines that share every node of an input line.

One code path for all array libraries, in float64 where the conductances live; differentiable where the library is.

Source: nodal analysis (Kirchhoff's current law); network placement as in T. P. Xiao et al., Semicond. Sci. Technol. 36,
114004, 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.circuits.grid.threads import threads_for
from crossohm.circuits.grid.wires import Wires
from crossohm.errors import CrossOhmError, UnsupportedError

#: Elements of column blocks held at once (128 MB of float64).
CHUNK_ELEMENTS = 1 << 24
#: Largest residual accepted after eliminating a block; rounding leaves about 1e-15.
RESIDUAL = 1e-9


def effective_matrix(g: Array, wires: Wires, names: Sequence[str] = ()) -> Array:
    """Matrix T of ``y = T v`` of one array, or of several of the same size.

    Args:
        g: Cell conductances ``(*arrays, lines, M, N)``, normalised: ``lines = 1``, or 2 for interleaved pairs (driven
            with +v and -v). An array of any supported library; computed in float64 on its device, with a gradient
            with respect to ``g`` where the library has gradients.
        wires: Wire resistances.
        names: What to call each array in an error.

    Returns:
        ``(*arrays, M, N)``, float64. Under tracing, where a failure cannot be raised, NaN instead.

    Raises:
        CrossOhmError: an elimination failed its residual check; names the array, its size and its resistances.
        UnsupportedError: JAX without float64.
    """
    backend = backend_of(g)
    g = backend.astype(g, "float64")
    if backend.dtype_name(g) != "float64":
        raise UnsupportedError(
            f"wire networks are eliminated in float64, which {backend.name} has switched off; call "
            "jax.config.update('jax_enable_x64', True) first"
        )
    *arrays, lines, outputs, inputs = g.shape
    batch = backend.xp.reshape(g, (prod(arrays), lines, outputs, inputs))
    with threads_for(min(outputs, inputs)):
        found, residual = _over_shorter_side(batch, wires)
    found = backend.xp.reshape(found, (*arrays, outputs, inputs))
    if backend.is_traced(residual):
        solved = backend.xp.reshape(residual <= RESIDUAL, (*arrays, 1, 1))
        return backend.xp.where(solved, found, float("nan"))
    for index, left in enumerate(backend.to_numpy(residual)):
        if not left <= RESIDUAL:
            place = f"{names[index]}: " if names else ""
            raise CrossOhmError(
                f"{place}the network of an array of {outputs} outputs x {inputs} inputs with {wires} was not solved: "
                f"the elimination left a residual of {left:.1e}; conductances must be finite and not negative, "
                "and wire resistances less extreme"
            )
    return found


def _over_shorter_side(g: Array, wires: Wires) -> tuple[Array, Array]:
    """Effective matrices ``(arrays, M, N)`` of ``g`` ``(arrays, lines, M, N)``, and the largest residual of each."""
    xp = backend_of(g).xp
    arrays, lines, outputs, inputs = g.shape
    if inputs * outputs**3 <= outputs * (lines * inputs) ** 3:
        return _reduce(g[:, :, None], wires)
    mirrored = xp.permute_dims(xp.flip(g, axis=(2, 3)), (0, 1, 3, 2))[:, None]
    found, residual = _reduce(mirrored, wires.mirrored)
    found = xp.flip(xp.reshape(found, (arrays, lines, inputs, outputs)), axis=(2, 3))
    return _difference(xp.permute_dims(found, (0, 1, 3, 2))), residual


def _reduce(g: Array, wires: Wires) -> tuple[Array, Array]:
    """Currents of the output lines per unit source ``(arrays, q * M, N)``, and the largest residual of each.

    Args:
        g: ``(arrays, p, q, M, N)``: input j drives p lines (with opposite signs), each with M nodes; at each node a
            line meets q output lines, which are counted ``(q, M)``.
        wires: Wire resistances.
    """
    if wires.output == 0 and wires.output_end == 0:
        return _injections(g, wires)
    if wires.input == 0 and wires.input_end == 0:
        return _separate_output_lines(g, wires)
    if wires.output == 0:
        return _one_node_per_output(g, wires)
    return _chain_of_blocks(g, wires)


def _difference(lines: Array) -> Array:
    """Contribution of the +v line minus that of the -v line, along axis 1."""
    return lines[:, 0] if lines.shape[1] == 1 else lines[:, 0] - lines[:, 1]


def _by_output_line(x: Array) -> Array:
    """``(arrays, q, M, N)`` as ``(arrays, q * M, N)``."""
    return backend_of(x).xp.reshape(x, (x.shape[0], x.shape[1] * x.shape[2], x.shape[3]))


def _injections(g: Array, wires: Wires) -> tuple[Array, Array]:
    """Output lines held at 0 V: every input line is a ladder of its own."""
    xp = backend_of(g).xp
    along = xp.permute_dims(xp.sum(g, axis=2), (0, 1, 3, 2))  # the cells at a node load it together
    response, residual = _ladder_response(along, wires)
    currents = g * xp.permute_dims(response, (0, 1, 3, 2))[:, :, None]
    return _by_output_line(_difference(currents)), residual


def _separate_output_lines(g: Array, wires: Wires) -> tuple[Array, Array]:
    """Input lines held at the source voltage: every output line is a ladder of its own."""
    xp = backend_of(g).xp
    towards_end = xp.flip(xp.sum(g, axis=1), axis=(3,))  # both cells of a pair load the same node
    response, residual = _ladder_response(towards_end, wires.mirrored)
    return _by_output_line(xp.flip(response, axis=(3,)) * _difference(g)), residual


def _one_node_per_output(g: Array, wires: Wires) -> tuple[Array, Array]:
    """No wire along the output lines, only a resistance at their ends: one dense system."""
    injected, worst = _injections(g, wires)
    xp = backend_of(g).xp
    loads: Any = 0.0
    for _, blocks, residual in _column_blocks(g, wires):
        loads, worst = loads + xp.sum(blocks, axis=1), xp.maximum(worst, residual)
    inverse, residual = _inverse(loads + _identity(loads) / wires.output_end)
    return inverse @ injected / wires.output_end, xp.maximum(worst, residual)


def _chain_of_blocks(g: Array, wires: Wires) -> tuple[Array, Array]:
    """Eliminate the output lines column by column from their open ends."""
    xp = backend_of(g).xp
    inner, end = 1.0 / wires.output, 1.0 / (wires.output + wires.output_end)
    columns = g.shape[-1]
    injected, worst = _injections(g, wires)
    injections = xp.unstack(injected[..., None], axis=2)
    identity = _identity(xp.permute_dims(injected, (0, 2, 1)))
    sources = injections[0]  # column j: what source j injects into the nodes that are left
    inverse: Any = None
    for first, blocks, residual in _column_blocks(g, wires):
        worst = xp.maximum(worst, residual)
        for j, block in enumerate(xp.unstack(blocks, axis=1), start=first):
            towards_end = end if j == columns - 1 else inner
            pivot = block + (towards_end + (inner if j else 0.0)) * identity
            if j:
                pivot = pivot - inner**2 * inverse
                sources = xp.concat([inner * (inverse @ sources), injections[j]], axis=2)
            inverse, residual = _inverse(pivot)
            worst = xp.maximum(worst, residual)
    return end * (inverse @ sources), worst


def _identity(like: Array) -> Array:
    """The identity of the size of the last axis."""
    backend = backend_of(like)
    return backend.asarray(np.eye(like.shape[-1]), like)


def _inverse(matrices: Array) -> tuple[Array, Array]:
    """Inverses of symmetric positive definite matrices ``(arrays, n, n)``, and their largest residual on one vector."""
    backend = backend_of(matrices)
    inverse = backend.inverse_of_positive(matrices)
    probe = backend.asarray(np.cos(np.arange(matrices.shape[-1]))[:, np.newaxis], matrices)
    return inverse, _largest(matrices @ (inverse @ probe) - probe)


def _largest(residual: Array) -> Array:
    """Largest magnitude in each array, ``(arrays,)``; NaN counts as the largest. No gradient passes."""
    backend = backend_of(residual)
    left = backend.xp.abs(backend.detached(residual))
    return backend.xp.max(backend.xp.reshape(left, (left.shape[0], -1)), axis=1)


def _column_blocks(g: Array, wires: Wires) -> Iterator[tuple[int, Array, Array]]:
    """Conductance matrices between output lines once the input lines are eliminated, a bounded number at a time.

    Yields:
        The first column of a chunk, its blocks ``S_j = diag(g_j) - diag(g_j) inv(K_j) diag(g_j)``
        ``(arrays, columns, q * M, q * M)``, summed over the lines of a pair, and the largest residual of each.
    """
    xp = backend_of(g).xp
    arrays, _, shared, nodes, columns = g.shape
    outputs = shared * nodes
    size = max(1, CHUNK_ELEMENTS // (arrays * outputs**2))
    for first in range(0, columns, size):
        chunk = g[..., first : first + size]
        along = xp.permute_dims(xp.sum(chunk, axis=2), (0, 1, 3, 2))
        inverse, residual = _line_inverse(along, wires)
        if shared > 1:
            inverse = xp.tile(inverse, (1, 1, 1, shared, shared))
        lines = xp.permute_dims(chunk, (0, 1, 4, 2, 3))
        lines = xp.reshape(lines, (*lines.shape[:3], outputs))
        blocks = lines[..., None] * (_identity(lines) - inverse * lines[..., None, :])
        yield first, xp.sum(blocks, axis=1) if blocks.shape[1] > 1 else blocks[:, 0], residual


def _ladder_response(g: Array, wires: Wires) -> tuple[Array, Array]:
    """Voltages along input lines per unit source, all outputs at 0 V, by Thomas' algorithm.

    Args:
        g: Conductances to ground of the nodes of each line, ``(..., M)``.
        wires: Wire resistances.

    Returns:
        ``(..., M)``, and the largest violation of Kirchhoff's current law, relative to a wire at 1 V.
    """
    xp = backend_of(g).xp
    if wires.input == 0:  # no wire between the cells: one node per line
        total = xp.sum(g, axis=-1, keepdims=True)
        node = 1 / (1 + wires.input_end * total)
        return xp.broadcast_to(node, g.shape), _largest(node * (1 + wires.input_end * total) - 1)
    first, inner = 1 / (wires.input + wires.input_end), 1 / wires.input
    pivots = _ladder_pivots(g, first, inner)
    voltages = [first / pivots[0]]
    for pivot in pivots[1:]:
        voltages.append(inner * voltages[-1] / pivot)
    response = xp.stack(voltages, axis=-1)
    source = _first_entry(first, response)
    return response, _largest(_line_matrix_times(response, g, wires) - source) / inner


def _first_entry(value: float, like: Array) -> Array:
    """``value`` at the first node of a line, 0 elsewhere."""
    entries = np.zeros(like.shape[-1])
    entries[0] = value
    return backend_of(like).asarray(entries, like)


def _line_matrix_times(x: Array, g: Array, wires: Wires) -> Array:
    """Nodal matrices of input lines times ``x`` ``(..., M)``."""
    xp = backend_of(g).xp
    first, inner = 1 / (wires.input + wires.input_end), 1 / wires.input
    step = inner * (x[..., 1:] - x[..., :-1])
    none = xp.zeros_like(x[..., :1])
    outwards = xp.concat([none, step], axis=-1) - xp.concat([step, none], axis=-1)
    return outwards + g * x + x * _first_entry(first, x)


def _ladder_pivots(g: Array, first: float, inner: float) -> list[Array]:
    """Pivots of the elimination of each line from its open end, one array per node."""
    nodes = backend_of(g).xp.unstack(g, axis=-1)
    pivots = [nodes[-1] + (inner if len(nodes) > 1 else first)]
    for i in range(len(nodes) - 2, -1, -1):
        pivots.append(nodes[i] + (inner + (inner if i else first)) - inner**2 / pivots[-1])
    return pivots[::-1]


def _line_inverse(g: Array, wires: Wires) -> tuple[Array, Array]:
    """Inverse nodal matrices ``(..., M, M)`` of input lines ``(..., M)``, by elimination from the open end."""
    backend = backend_of(g)
    xp, count = backend.xp, g.shape[-1]
    first = 1 / (wires.input + wires.input_end)
    if wires.input == 0:
        node = 1 / (xp.sum(g, axis=-1) + first)
        return xp.broadcast_to(node[..., None, None], (*g.shape, count)), _largest(0 * node)
    inner, identity = 1 / wires.input, _identity(g)
    pivots = [pivot[..., None] for pivot in _ladder_pivots(g, first, inner)]
    rows = [xp.broadcast_to(identity[-1], g.shape)]
    for i in range(count - 2, -1, -1):  # forward sweep over the identity
        rows.append(identity[i] + (inner / pivots[i + 1]) * rows[-1])
    rows.reverse()
    rows[0] = rows[0] / pivots[0]
    for i in range(1, count):
        rows[i] = (rows[i] + inner * rows[i - 1]) / pivots[i]
    inverse = xp.stack(rows, axis=-2)
    probe = backend.asarray(np.cos(np.arange(count)), g)
    return inverse, _largest(_line_matrix_times((inverse @ probe[:, None])[..., 0], g, wires) - probe)
