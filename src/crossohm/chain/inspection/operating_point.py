"""Voltages and currents inside one array of a core while it multiplies one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np

from crossohm.chain.inspection.stimulus import Stimulus, stimuli
from crossohm.chain.programming.state import HasState
from crossohm.circuits.grid import Law, Wires, grid_state
from crossohm.devices import cell_of
from crossohm.errors import CrossOhmError


@final
@dataclass(frozen=True)
class OperatingPoint:
    """One array with its wires, as programmed, under the voltages of one input vector; volt and ampere.

    Axes: ``signs`` is 2 for interleaved pairs (positive, negative cells) and 1 otherwise, ``lines`` counts the output
    lines, ``inputs`` the input lines.

    Attributes:
        name: Name of the array as in `PhysicalArray`; interleaved pairs end in ``+-``.
        operation: ``"mvm"`` or ``"vmm"``.
        gated: True if the inputs select cells on supply lines that run beside the output lines.
        has_unit_line: True if output line 0 is the unit line.
        applied: Voltages of the inputs, ``(inputs,)``, V; of gate-selected rows, the supply voltage of active cells.
        input_lines: Voltage of the input line at every cell, ``(signs, lines, inputs)``, V; of gate-selected rows, of
            the supply line relative to its supply.
        output_lines: Voltage of the output line at every cell, ``(lines, inputs)``, V.
        cell_voltage: Voltage across every cell, ``(signs, lines, inputs)``, V; 0 where gates switch it off.
        ideal_cell_voltage: The same without wire resistance.
        cell_current: Current of every cell into its output line, ``(signs, lines, inputs)``, A.
        ideal_cell_current: The same without wire resistance.
    """

    name: str
    operation: str
    gated: bool
    has_unit_line: bool
    applied: np.ndarray
    input_lines: np.ndarray
    output_lines: np.ndarray
    cell_voltage: np.ndarray
    ideal_cell_voltage: np.ndarray
    cell_current: np.ndarray
    ideal_cell_current: np.ndarray

    @property
    def output_current(self) -> np.ndarray:
        """Current of every output line at its ammeter, ``(lines,)``, A: before limits, subtraction and ADC."""
        return np.asarray(self.cell_current.sum(axis=(0, 2)))

    @property
    def ideal_output_current(self) -> np.ndarray:
        """The same without wire resistance."""
        return np.asarray(self.ideal_cell_current.sum(axis=(0, 2)))


def operating_point(
    core: HasState,
    x: Any,
    operation: str = "mvm",
    *,
    partition: tuple[int, int] = (0, 0),
    weight_slice: int = 0,
    sign: Literal["+", "-"] | None = None,
    input_slice: int | None = None,
) -> OperatingPoint:
    """Solve one array of ``core`` for one input vector, without read noise.

    Args:
        core: The core.
        x: Input vector in the user's units, ``(N,)`` for ``"mvm"`` or ``(M,)`` for ``"vmm"``.
        operation: ``"mvm"`` (``core @ x``) or ``"vmm"`` (``x @ core``).
        partition: Output and input partition of the array, as in ``core.arrays``.
        weight_slice: Weight slice of the array, 0 = least significant.
        sign: ``"+"`` or ``"-"`` where weights are pairs of arrays; None: the first. Interleaved pairs are one network.
        input_slice: With input bit slicing, the slice to apply, 0 = least significant; None without.

    Raises:
        ShapeError: ``x`` does not fit the core.
        InputError: ``x`` is complex, or holds NaN or infinity.
        CrossOhmError: ``operation``, ``input_slice`` or the array does not exist, or its network was not solved.
        UnsupportedError: The core is complex.
    """
    known = []
    for stimulus in stimuli(core.state, x, operation, input_slice):
        place = (stimulus.partition, stimulus.network.weight_slice)
        if place == (tuple(partition), weight_slice) and sign in (None, _sign(stimulus)):
            return _solved(stimulus)
        known.append(stimulus.network.name)
    raise CrossOhmError(
        f"partition={partition!r}, weight_slice={weight_slice!r}, sign={sign!r}: no such array; the core has "
        f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
    )


def _sign(stimulus: Stimulus) -> str | None:
    """The sign by which an array is chosen: only arrays of pairs that are apart have one."""
    pairs = stimulus.setup.mapping.signs == 2 and not stimulus.setup.interleaved
    return "+-"[stimulus.network.signs.start] if pairs else None


def _solved(stimulus: Stimulus) -> OperatingPoint:
    network, v = stimulus.network, np.asarray(stimulus.voltages, dtype=np.float64)
    device = stimulus.setup.params.xbar.device
    law, place = _law(stimulus), (network.gated, network.unused, network.unused_at)
    with network.named():
        found, ideal = (grid_state(network.g, v, wires, law, *place) for wires in (network.wires, Wires()))
    volt, ampere = device.Vread, device.Vread / device.Rmin
    return OperatingPoint(
        name=network.name,
        operation=stimulus.setup.operation.value,
        gated=network.gated,
        has_unit_line=stimulus.setup.units is not None,
        applied=v * volt,
        input_lines=found.input_line * volt,
        output_lines=found.output_line * volt,
        cell_voltage=found.cell_voltage * volt,
        ideal_cell_voltage=ideal.cell_voltage * volt,
        cell_current=found.current * ampere,
        ideal_cell_current=ideal.current * ampere,
    )


def _law(stimulus: Stimulus) -> Law:
    model, cell = stimulus.setup.law, cell_of(stimulus.setup.params.xbar.device, "nonlinear_IV")
    if model is None:
        return lambda g, v: g * v
    return lambda g, v: np.asarray(model.current(g, v, cell))
