"""An array with its wires as a SPICE netlist, to check or extend the simulation in a circuit simulator.

The networks are those of `reduction` (inputs drive the input lines) and `ladder` (inputs select cells of supply lines),
in ohm and volt. Names: input line j runs over the nodes ``in<j>_<i>``, output line i over ``out<i>_<j>`` to its ammeter
``Vout<i>``, the supply line beside it over ``sup<i>_<j>``; interleaved pairs have ``p`` and ``n`` before the numbers of
lines that exist twice. The resistor ``R<node>`` is the segment that leads to a node from the source, supply or ammeter.
A segment of zero ohm is left out, and its two nodes are one.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from typing import Literal

import numpy as np

from crossohm.circuits.grid.ladder import INACTIVE
from crossohm.circuits.grid.wires import Wires
from crossohm.errors import CrossOhmError, ShapeError

#: Letters that tell the lines of interleaved pairs apart, by number of signs.
MARKS = {1: ("",), 2: ("p", "n")}


def netlist(
    g: np.ndarray,
    v: np.ndarray,
    wires: Wires,
    *,
    r_min: float,
    v_read: float,
    gated: bool = False,
    unused: int = 0,
    unused_at: Literal["top", "bottom"] = "top",
    title: str = "",
) -> str:
    """Text of a netlist whose operating point has the output currents of one array for one input vector.

    ``ngspice -b file`` prints one line ``i(vout<i>) = <ampere>`` per output line; divided by ``v_read / r_min`` these
    are the normalised currents. Everything but the ``.control`` section is plain SPICE.

    Args:
        g: Cell conductances ``(signs, lines, N)``, normalised, not negative: ``signs = 1``, or 2 for interleaved pairs.
            Cells of zero conductance are left out.
        v: Array voltages ``(N,)``, normalised.
        wires: Wire resistances, divided by ``r_min``.
        r_min: Resistance of a cell of conductance 1, ohm.
        v_read: Voltage of input 1, volt.
        gated: False: inputs drive the input lines. True: inputs select cells on separate supply lines.
        unused: Unselected positions of the line beyond the N inputs (gated only).
        unused_at: Where they are: "top", between the last cell and the ammeter, or "bottom", between the supply and the
            first cell.
        title: Comment at the head, one line or several.

    Returns:
        The netlist; equal arguments give equal text.

    Raises:
        ShapeError: The shapes do not fit.
        CrossOhmError: A number is negative or not finite, or ``unused_at`` is unknown.
    """
    g, v = np.asarray(g, dtype=np.float64), np.asarray(v, dtype=np.float64)
    _check_shapes(g, v)
    _check_numbers(g, v, wires, r_min, v_read)
    if unused_at not in ("top", "bottom"):
        raise CrossOhmError(f"unused_at is {unused_at!r}; pass 'top' or 'bottom'")
    emf = np.where(np.abs(v) > INACTIVE, v, 0.0) * v_read if gated else v * v_read
    ohms = Wires(wires.input * r_min, wires.output * r_min, wires.input_end * r_min, wires.output_end * r_min)
    if gated:
        body = _gated_array(g, emf, ohms.lengthened(unused, unused_at), r_min)
    else:
        body = _driven_array(g, emf, ohms, r_min)
    heading = [f"* {line}".rstrip() for line in title.splitlines() or ["crossbar array"]]
    return "\n".join([*heading, *body, *_analysis(g.shape[1]), ""])


def _check_shapes(g: np.ndarray, v: np.ndarray) -> None:
    if g.ndim != 3 or g.shape[0] not in MARKS or 0 in g.shape:
        raise ShapeError(f"g has shape {g.shape}; pass (signs, lines, inputs) with 1 or 2 signs, none of them empty")
    if v.shape != g.shape[2:]:
        raise ShapeError(f"v has shape {v.shape}; pass ({g.shape[2]},), one voltage per input of g")


def _check_numbers(g: np.ndarray, v: np.ndarray, wires: Wires, r_min: float, v_read: float) -> None:
    resistances = (wires.input, wires.output, wires.input_end, wires.output_end)
    if not (np.all(np.isfinite(g)) and np.all(g >= 0)):
        raise CrossOhmError("g holds a conductance that is negative or not finite; a netlist needs numbers from 0 up")
    if not np.all(np.isfinite(v)):
        raise CrossOhmError("v holds a voltage that is not finite; pass finite numbers")
    if not all(math.isfinite(r) and r >= 0 for r in resistances):
        raise CrossOhmError(f"wires are {wires}; wire resistances are finite and not negative")
    for name, value in (("r_min", r_min), ("v_read", v_read)):
        if not (math.isfinite(value) and value > 0):
            raise CrossOhmError(f"{name} is {value!r}; pass a finite positive number")


def _driven_array(g: np.ndarray, volts: np.ndarray, ohms: Wires, r_min: float) -> Iterator[str]:
    """Sources at the input lines, which cross the output lines."""
    signs, lines, inputs = g.shape
    nodes: dict[tuple[int, int], list[str]] = {}
    for k, mark in enumerate(MARKS[signs]):
        for j in range(inputs):
            line = f"in{mark}{j}"
            yield f"* input line {mark}{j}"
            yield f"V{line} {line} 0 DC {_number(-volts[j] if k else volts[j])}"
            nodes[k, j] = yield from _wire(line, line, range(lines), ohms.input_end, ohms.input)
    for i in range(lines):
        outputs = yield from _output_line(i, inputs, ohms)
        for k, mark in enumerate(MARKS[signs]):
            for j in np.flatnonzero(g[k, i]).tolist():
                yield f"Rcell{mark}{i}_{j} {nodes[k, j][i]} {outputs[j]} {_number(r_min / g[k, i, j])}"


def _gated_array(g: np.ndarray, volts: np.ndarray, ohms: Wires, r_min: float) -> Iterator[str]:
    """Every output line with supply lines of its own; only the cells of active inputs are connected."""
    signs, lines, inputs = g.shape
    for i in range(lines):
        outputs = yield from _output_line(i, inputs, ohms)
        for k, mark in enumerate(MARKS[signs]):
            yield f"* supply line {mark}{i}"
            supply = yield from _wire(f"sup{mark}{i}", "0", range(inputs), ohms.input_end, ohms.input)
            for j in np.flatnonzero((volts != 0) & (g[k, i] != 0)).tolist():
                cell = f"{mark}{i}_{j}"
                yield f"Vemf{cell} emf{cell} {supply[j]} DC {_number(-volts[j] if k else volts[j])}"
                yield f"Rcell{cell} emf{cell} {outputs[j]} {_number(r_min / g[k, i, j])}"


def _output_line(i: int, inputs: int, ohms: Wires) -> Generator[str, None, list[str]]:
    """The ammeter of output line i and its wire; returns the node at every input."""
    line = f"out{i}"
    yield f"* output line {i}"
    yield f"V{line} {line} 0 DC 0"
    return (yield from _wire(line, line, reversed(range(inputs)), ohms.output_end, ohms.output))[::-1]


def _wire(line: str, start: str, positions: Iterable[int], end: float, inner: float) -> Generator[str, None, list[str]]:
    """Segments of a line from node ``start`` on, the first with ``end`` extra; returns the node at each position."""
    nodes: list[str] = []
    for position in positions:
        resistance = inner if nodes else inner + end
        at = nodes[-1] if nodes else start
        if resistance:
            at, before = f"{line}_{position}", at
            yield f"R{at} {before} {at} {_number(resistance)}"
        nodes.append(at)
    return nodes


def _analysis(lines: int) -> list[str]:
    currents = [f"print i(Vout{i})" for i in range(lines)]
    return [".op", ".control", "set numdgt=12", "run", *currents, "quit", ".endc", ".end"]


def _number(value: float) -> str:
    return repr(float(value) + 0.0)  # no negative zeros
