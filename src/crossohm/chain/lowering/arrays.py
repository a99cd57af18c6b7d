"""Lowering the arrays of one input partition to a readout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crossohm.chain.lowering.array_circuits import circuits_of
from crossohm.chain.lowering.setup import Setup
from crossohm.chain.running.circuit_readout import CircuitReadout
from crossohm.chain.running.drive import Drive
from crossohm.chain.running.readout import (
    LinearReadout,
    NoisyReadout,
    PolynomialReadout,
    Readout,
    SampledReadout,
)
from crossohm.chain.running.stacked_readout import StackedReadout
from crossohm.circuits.levels import Levels
from crossohm.devices import cell_of, conductance_limits


def build_readout(setup: Setup, columns: slice, levels: Sequence[Levels] | None) -> Readout:
    """The cheapest exact way to the line currents of input partition ``columns``.

    Args:
        setup: The operation.
        columns: The partition.
        levels: Converter levels of each bank if linear cells give their currents in steps, None: normalised current.
    """
    if setup.has_networks or setup.samples:
        return _by_group(setup, columns, levels)
    g, groups = line_conductances(setup, columns), setup.contraction.row_groups
    if setup.law is not None:
        return _polynomial(setup, g, columns)
    scale = units_of_banks(setup.drive, levels, _banks(setup, g)).reshape(g.shape[0], -1, 1, 1)
    signed = g if setup.keeps_signs else _fold(g, -1.0)
    kernel = setup.prepare(_rows(signed * scale, groups), columns.start)
    if setup.noise is None:
        return LinearReadout(setup.contraction, _banks(setup, g), g.shape[2], kernel)
    variance = setup.noise_variance(g) if setup.keeps_signs else _fold(setup.noise_variance(g), 1.0)
    spread = setup.prepare(_rows(variance * scale**2, groups), columns.start)
    return NoisyReadout(setup.contraction, _banks(setup, g), g.shape[2], kernel, spread)


def units_of_banks(drive: Drive, levels: Sequence[Levels] | None, banks: int) -> np.ndarray:
    """What linear cells give per normalised conductance and unit of what drives them, for each bank, ``(banks,)``.

    Args:
        drive: The input side.
        levels: Converter levels if currents come in steps, None: normalised current.
        banks: Number of banks; two that are subtracted have one converter.
    """
    density = np.ones(banks) if levels is None else np.repeat([own.density for own in levels], banks // len(levels))
    return np.asarray(drive.cell_unit * density)


def line_parts(setup: Setup) -> tuple[slice, ...]:
    """Physical lines of each output partition: its unit line, if there is one, then its outputs."""
    if setup.units is None:
        return setup.output_parts
    return tuple(slice(part.start + r, part.stop + r + 1) for r, part in enumerate(setup.output_parts))


def line_conductances(setup: Setup, columns: slice) -> np.ndarray:
    """Conductances of one input partition by physical line, ``(slices, signs, lines, inputs)``."""
    g = setup.conductance[:, :, :, columns]
    if setup.units is None:
        return g
    blocks = []
    for r, part in enumerate(setup.output_parts):
        blocks += [setup.units[:, None, r : r + 1, columns], g[:, :, part]]
    return np.concatenate(blocks, axis=2)


def _banks(setup: Setup, g: np.ndarray) -> int:
    return int(g.shape[0] * (g.shape[1] if setup.keeps_signs else 1))


def _fold(g: np.ndarray, sign: float) -> np.ndarray:
    """Positive plus ``sign`` times negative arrays, ``(slices, 1, lines, inputs)``; unpaired arrays as they are."""
    return g if g.shape[1] == 1 else g[:, :1] + sign * g[:, 1:]


def _rows(g: np.ndarray, groups: int) -> np.ndarray:
    """Groups of lines, then banks, then lines as the rows of one matrix."""
    return np.moveaxis(g.reshape(-1, groups, g.shape[2] // groups, g.shape[3]), 1, 0).reshape(-1, g.shape[3])


def _by_group(setup: Setup, columns: slice, levels: Sequence[Levels] | None) -> Readout:
    """Readouts that look at every vector; groups of rows see vectors of their own."""
    groups = setup.contraction.row_groups
    if setup.has_networks:
        parts: tuple[Readout, ...] = tuple(_networks(setup, index, columns, levels) for index in range(groups))
    else:
        parts = tuple(_sampled(setup, index, columns) for index in range(groups))
    return (
        parts[0] if groups == 1 else StackedReadout(setup.contraction, parts[0].banks, parts[0].lines * groups, parts)
    )


def _networks(setup: Setup, group: int, columns: slice, levels: Sequence[Levels] | None) -> Readout:
    """Wires that cannot be merged into a matrix; interleaved pairs form one network, other arrays one each."""
    device, groups = setup.params.xbar.device, setup.contraction.row_groups
    outputs = setup.conductance.shape[2] // groups
    networks = [n for n in circuits_of(setup) if n.inputs == columns and n.outputs.start // outputs == group]
    networks.sort(key=lambda network: (network.weight_slice, network.signs.start, network.outputs.start))
    banks, lines = len(networks) * groups // len(setup.output_parts), line_parts(setup)[-1].stop // groups
    return CircuitReadout(
        contraction=setup.contraction.row_group(group),
        banks=banks,
        lines=lines,
        units=np.repeat(units_of_banks(setup.drive, levels, banks), lines),
        networks=tuple(networks),
        columns=columns,
        noise=setup.noise,
        noise_cell=cell_of(device, "read_noise"),
        first_order=setup.params.simulation.read_noise_sampling == "first_order",
        law=setup.law,
        law_cell=cell_of(device, "nonlinear_IV"),
        limits=conductance_limits(device),
    )


def _polynomial(setup: Setup, g: np.ndarray, columns: slice) -> Readout:
    """Interleaved negative cells see the opposite voltage; otherwise the currents of a pair are subtracted."""
    assert setup.law is not None
    coefficients = setup.law.current_coefficients(g, cell_of(setup.params.xbar.device, "nonlinear_IV"))
    kernels = []
    for power, value in coefficients.items():
        c = np.asarray(value)
        if not setup.keeps_signs:
            c = _fold(c, (-1.0) ** power if setup.interleaved else -1.0)
        kernels.append((power, setup.prepare(_rows(c, setup.contraction.row_groups), columns.start)))
    return PolynomialReadout(setup.contraction, _banks(setup, g), g.shape[2], tuple(kernels))


def _sampled(setup: Setup, group: int, columns: slice) -> Readout:
    g, groups = line_conductances(setup, columns), setup.contraction.row_groups
    g = np.split(g, groups, axis=2)[group]
    device = setup.params.xbar.device
    banks = g.shape[0] * g.shape[1]
    signs = np.ones(banks)
    if setup.interleaved:
        signs[1::2] = -1.0
    return SampledReadout(
        contraction=setup.contraction.row_group(group),
        banks=banks,
        lines=g.shape[2],
        conductance=setup.array(g.reshape(banks, *g.shape[2:])),
        voltage_signs=setup.array(signs),
        columns=columns,
        noise=setup.noise,
        noise_cell=cell_of(device, "read_noise"),
        law=setup.law,
        law_cell=cell_of(device, "nonlinear_IV"),
        limits=conductance_limits(device),
        why=setup.sampling_reason or "nonlinear cells with read noise, or an I-V curve that is no polynomial",
    )
