"""Arrays with wires and nonlinear cells: Newton's method on the nodal equations.

Unknown are the node voltages. Every step solves the network with each cell replaced by its tangent, a conductance
``dI/dV`` beside a current source, and is halved while it would increase the residual of Kirchhoff's current law. The
networks are those of `reduction` (input-source) and `ladder` (gate-selected); with linear cells one step is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu

from crossohm.circuits.grid.ladder import INACTIVE
from crossohm.circuits.grid.wires import Wires
from crossohm.errors import CrossOhmError

#: Cell current ``I(g, v)``, normalised, for arrays of one shape.
Law = Callable[[np.ndarray, np.ndarray], np.ndarray]

#: Largest accepted violation of Kirchhoff's current law at a node, normalised current.
TOLERANCE = 1e-11
MOST_STEPS = 50
MOST_HALVINGS = 40
#: Voltage step of the numerical derivative of a cell's current.
DIFFERENCE = 1e-6


@final
@dataclass(frozen=True)
class GridState:
    """Voltages and currents of one array, normalised, indexed by sign, output and input.

    Attributes:
        input_line: Voltage of the input line (gate-selected: of the supply line) at every cell, ``(signs, M, N)``.
        output_line: Voltage of the output line at every cell, ``(M, N)``.
        cell_voltage: Voltage across every cell, ``(signs, M, N)``; 0 where gates switch it off.
        current: Current of every cell towards the output line, ``(signs, M, N)``.
    """

    input_line: np.ndarray
    output_line: np.ndarray
    cell_voltage: np.ndarray
    current: np.ndarray


def cell_currents(
    g: np.ndarray,
    v: np.ndarray,
    wires: Wires,
    law: Law,
    gated: bool = False,
    unused: int = 0,
    unused_at: Literal["top", "bottom"] = "top",
) -> np.ndarray:
    """Current of every cell, ``(signs, M, N)``, towards the output line; arguments and errors of `grid_state`.

    The current of an output line is the sum over signs and inputs.
    """
    return grid_state(g, v, wires, law, gated, unused, unused_at).current


def grid_state(
    g: np.ndarray,
    v: np.ndarray,
    wires: Wires,
    law: Law,
    gated: bool = False,
    unused: int = 0,
    unused_at: Literal["top", "bottom"] = "top",
) -> GridState:
    """Voltages and currents of one array for one input vector.

    Args:
        g: Cell states ``(signs, M, N)``, normalised; 2 signs for interleaved pairs, driven with +v and -v.
        v: Array voltages ``(N,)``.
        wires: Wire resistances.
        law: Current of cells by state and voltage.
        gated: Gate-selected rows on separate supplies, rather than input lines that drive the cells.
        unused: Unselected positions of a line (gated only).
        unused_at: ``"top"`` or ``"bottom"``, see `ladder_currents`.

    Raises:
        CrossOhmError: Newton's method found no solution; names the size and the resistances.
    """
    network = _gated(g, v, wires.lengthened(unused, unused_at)) if gated else driven_network(g, v, wires)
    voltage, currents = network.solve(law, f"array of {g.shape[1]} outputs x {g.shape[2]} inputs with {wires}")
    input_line, output_line, across = (
        part.reshape(g.shape)
        for part in (voltage[network.drive], voltage[network.sense], network.cell_voltages(voltage))
    )
    return GridState(input_line, output_line[0], across, currents.reshape(g.shape))


@final
@dataclass(frozen=True)
class Network:
    """Wires between nodes, and one cell per entry of ``g`` from a drive node to a sense node.

    Attributes:
        wires: Conductance matrix of the wires over all nodes.
        known: Voltages of the given nodes; NaN where unknown.
        drive: Node at the input side of each cell.
        sense: Node at the output side of each cell.
        emf: Voltage in series with each cell.
        g: State of each cell.
        on: False for cells that are switched off.
    """

    wires: csc_array
    known: np.ndarray
    drive: np.ndarray
    sense: np.ndarray
    emf: np.ndarray
    g: np.ndarray
    on: np.ndarray

    @property
    def free(self) -> np.ndarray:
        """True for nodes of unknown voltage."""
        return np.asarray(np.isnan(self.known))

    def solve(self, law: Law, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Voltages of the nodes and currents of the cells."""
        free = self.free
        limit = self._limit()[free]
        voltage = np.where(free, 0.0, self.known)
        currents, residual = self._evaluate(law, voltage)
        excess = np.inf
        for _ in range(MOST_STEPS):
            excess = float((np.abs(residual[free]) / limit).max(initial=0.0))
            if excess <= 1:
                return voltage, currents
            step = np.zeros_like(voltage)
            step[free] = splu(self._tangent(law, voltage)[free][:, free].tocsc()).solve(-residual[free])
            for halving in range(MOST_HALVINGS):
                trial = voltage + step / 2**halving
                currents, residual = self._evaluate(law, trial)
                if (np.abs(residual[free]) / limit).max() < excess:
                    break
            else:
                break
            voltage = trial
        raise CrossOhmError(f"{name}: nonlinear cells did not converge; the residual is {excess:.1e} times too large")

    def _limit(self) -> np.ndarray:
        """Accepted residual of every node: `TOLERANCE`, or what rounding of the node voltages already causes."""
        reach = float(np.nanmax(np.abs(self.known), initial=0.0) + np.abs(self.emf).max())
        return np.asarray(TOLERANCE + 64 * np.finfo(float).eps * reach * self.wires.diagonal())

    def cell_voltages(self, voltage: np.ndarray) -> np.ndarray:
        """Voltage across every cell; 0 where it is switched off."""
        return np.where(self.on, self.emf + voltage[self.drive] - voltage[self.sense], 0.0)

    def _evaluate(self, law: Law, voltage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cell currents, and the current leaving every node."""
        currents = np.where(self.on, law(self.g, self.cell_voltages(voltage)), 0.0)
        residual = self.wires @ voltage
        np.add.at(residual, self.drive, currents)
        np.add.at(residual, self.sense, -currents)
        return currents, residual

    def _tangent(self, law: Law, voltage: np.ndarray) -> csc_array:
        """Derivative of the leaving currents with respect to the node voltages."""
        across = self.cell_voltages(voltage)
        slope = (law(self.g, across + DIFFERENCE) - law(self.g, across - DIFFERENCE)) / (2 * DIFFERENCE)
        return self.wires + _stamps(self.drive, self.sense, np.where(self.on, slope, 0.0), len(voltage))


def _stamps(first: np.ndarray, second: np.ndarray, conductance: np.ndarray, size: int) -> csc_array:
    """Conductance matrix of branches between nodes."""
    values = np.concatenate([conductance, conductance, -conductance, -conductance])
    rows = np.concatenate([first, second, first, second])
    columns = np.concatenate([first, second, second, first])
    return coo_array((values, (rows, columns)), shape=(size, size)).tocsc()


@final
class _Builder:
    """Numbers nodes and collects wires; a wire without resistance is no wire but the same node."""

    def __init__(self) -> None:
        self.known: list[np.ndarray] = []
        self.branches: list[tuple[np.ndarray, np.ndarray, float]] = []
        self._count = 0

    def nodes(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.fixed(np.full(shape, np.nan))

    def fixed(self, voltages: np.ndarray) -> np.ndarray:
        found = self._count + np.arange(voltages.size).reshape(voltages.shape)
        self._count += voltages.size
        self.known.append(voltages.reshape(-1))
        return found

    def line(self, ends: np.ndarray, count: int, end: float, inner: float) -> np.ndarray:
        """Nodes ``(*ends.shape, count)`` of lines that start at ``ends`` behind the resistance ``end``."""
        starts = self._behind(ends, end)
        if inner == 0:
            return np.repeat(starts[..., np.newaxis], count, axis=-1)
        rest = self.nodes((*ends.shape, count - 1))
        line = np.concatenate([starts[..., np.newaxis], rest], axis=-1)
        self.branches.append((line[..., :-1], line[..., 1:], 1 / inner))
        return line

    def _behind(self, ends: np.ndarray, resistance: float) -> np.ndarray:
        if resistance == 0:
            return ends
        nodes = self.nodes(ends.shape)
        self.branches.append((ends, nodes, 1 / resistance))
        return nodes

    def network(self, drive: np.ndarray, sense: np.ndarray, emf: np.ndarray, g: np.ndarray, on: np.ndarray) -> Network:
        none = np.zeros(0, dtype=np.intp)
        branches = [(none, none, np.zeros(0)), *map(_flat, self.branches)]
        first, second, conductance = (np.concatenate(parts) for parts in zip(*branches, strict=True))
        wires = _stamps(first, second, conductance, self._count)
        cells = (np.broadcast_to(part, g.shape).reshape(-1) for part in (drive, sense, emf, g, on))
        return Network(wires, np.concatenate(self.known), *cells)


def _flat(branch: tuple[np.ndarray, np.ndarray, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second, conductance = branch
    return first.reshape(-1), second.reshape(-1), np.full(first.size, conductance)


def driven_network(g: np.ndarray, v: np.ndarray, wires: Wires) -> Network:
    """The network of an input-source array; arguments as `grid_state`, given nodes are sources (sign, input) first."""
    signs, outputs, inputs = g.shape
    build = _Builder()
    sources = build.fixed(np.stack([v, -v])[:signs])
    grounds = build.fixed(np.zeros(outputs))
    drive = build.line(sources, outputs, wires.input + wires.input_end, wires.input).swapaxes(1, 2)
    sense = build.line(grounds, inputs, wires.output + wires.output_end, wires.output)[:, ::-1]
    return build.network(drive, sense, np.zeros(1), g, np.ones(1, dtype=bool))


def _gated(g: np.ndarray, v: np.ndarray, wires: Wires) -> Network:
    signs, outputs, inputs = g.shape
    build = _Builder()
    supplies, grounds = build.fixed(np.zeros((signs, outputs))), build.fixed(np.zeros(outputs))
    drive = build.line(supplies, inputs, wires.input + wires.input_end, wires.input)
    sense = build.line(grounds, inputs, wires.output + wires.output_end, wires.output)[:, ::-1]
    emf = np.stack([v, -v])[:signs, np.newaxis]
    return build.network(drive, sense, emf, g, np.abs(emf) > INACTIVE)
