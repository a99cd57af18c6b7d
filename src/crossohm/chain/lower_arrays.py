"""Lowering the arrays of one input partition to a readout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crossohm.chain.drive import Drive
from crossohm.chain.job import Job
from crossohm.chain.network_readout import NetworkReadout
from crossohm.chain.networks import networks_of
from crossohm.chain.readout import (
    LinearReadout,
    NoisyReadout,
    PolynomialReadout,
    Readout,
    SampledReadout,
)
from crossohm.chain.stacked import StackedReadout
from crossohm.circuits.levels import Levels
from crossohm.devices import cell_of


def build_readout(job: Job, columns: slice, levels: Sequence[Levels] | None) -> Readout:
    """The cheapest exact way to the line currents of input partition ``columns``.

    Args:
        job: The operation.
        columns: The partition.
        levels: Converter levels of each bank if linear cells give their currents in steps, None: normalised current.
    """
    if job.has_networks or job.samples:
        return _by_group(job, columns, levels)
    g, groups = line_conductances(job, columns), job.contraction.row_groups
    if job.law is not None:
        return _polynomial(job, g, columns)
    scale = units_of_banks(job.drive, levels, _banks(job, g)).reshape(g.shape[0], -1, 1, 1)
    signed = g if job.keeps_signs else _fold(g, -1.0)
    kernel = job.prepare(_rows(signed * scale, groups), columns.start)
    if job.noise is None:
        return LinearReadout(job.contraction, _banks(job, g), g.shape[2], kernel)
    variance = job.noise_variance(g) if job.keeps_signs else _fold(job.noise_variance(g), 1.0)
    spread = job.prepare(_rows(variance * scale**2, groups), columns.start)
    return NoisyReadout(job.contraction, _banks(job, g), g.shape[2], kernel, spread)


def units_of_banks(drive: Drive, levels: Sequence[Levels] | None, banks: int) -> np.ndarray:
    """What linear cells give per normalised conductance and unit of what drives them, for each bank, ``(banks,)``.

    Args:
        drive: The input side.
        levels: Converter levels if currents come in steps, None: normalised current.
        banks: Number of banks; two that are subtracted have one converter.
    """
    density = np.ones(banks) if levels is None else np.repeat([own.density for own in levels], banks // len(levels))
    return np.asarray(drive.cell_unit * density)


def line_parts(job: Job) -> tuple[slice, ...]:
    """Physical lines of each output partition: its unit line, if there is one, then its outputs."""
    if job.units is None:
        return job.output_parts
    return tuple(slice(part.start + r, part.stop + r + 1) for r, part in enumerate(job.output_parts))


def line_conductances(job: Job, columns: slice) -> np.ndarray:
    """Conductances of one input partition by physical line, ``(slices, signs, lines, inputs)``."""
    g = job.conductance[:, :, :, columns]
    if job.units is None:
        return g
    blocks = []
    for r, part in enumerate(job.output_parts):
        blocks += [job.units[:, None, r : r + 1, columns], g[:, :, part]]
    return np.concatenate(blocks, axis=2)


def _banks(job: Job, g: np.ndarray) -> int:
    return int(g.shape[0] * (g.shape[1] if job.keeps_signs else 1))


def _fold(g: np.ndarray, sign: float) -> np.ndarray:
    """Positive plus ``sign`` times negative arrays, ``(slices, 1, lines, inputs)``; unpaired arrays as they are."""
    return g if g.shape[1] == 1 else g[:, :1] + sign * g[:, 1:]


def _rows(g: np.ndarray, groups: int) -> np.ndarray:
    """Groups of lines, then banks, then lines as the rows of one matrix."""
    return np.moveaxis(g.reshape(-1, groups, g.shape[2] // groups, g.shape[3]), 1, 0).reshape(-1, g.shape[3])


def _by_group(job: Job, columns: slice, levels: Sequence[Levels] | None) -> Readout:
    """Readouts that look at every vector; groups of rows see vectors of their own."""
    groups = job.contraction.row_groups
    if job.has_networks:
        parts: tuple[Readout, ...] = tuple(_networks(job, index, columns, levels) for index in range(groups))
    else:
        parts = tuple(_sampled(job, index, columns) for index in range(groups))
    return parts[0] if groups == 1 else StackedReadout(job.contraction, parts[0].banks, parts[0].lines * groups, parts)


def _networks(job: Job, group: int, columns: slice, levels: Sequence[Levels] | None) -> Readout:
    """Wires that cannot be merged into a matrix; interleaved pairs form one network, other arrays one each."""
    device, groups = job.params.xbar.device, job.contraction.row_groups
    outputs = job.conductance.shape[2] // groups
    networks = [n for n in networks_of(job) if n.inputs == columns and n.outputs.start // outputs == group]
    networks.sort(key=lambda network: (network.weight_slice, network.signs.start, network.outputs.start))
    banks, lines = len(networks) * groups // len(job.output_parts), line_parts(job)[-1].stop // groups
    return NetworkReadout(
        contraction=job.contraction.row_group(group),
        banks=banks,
        lines=lines,
        units=np.repeat(units_of_banks(job.drive, levels, banks), lines),
        networks=tuple(networks),
        columns=columns,
        operation=job.operation,
        noise=job.noise,
        noise_cell=cell_of(device, "read_noise"),
        first_order=job.params.simulation.read_noise_sampling == "first_order",
        law=job.law,
        law_cell=cell_of(device, "nonlinear_IV"),
        device=device,
    )


def _polynomial(job: Job, g: np.ndarray, columns: slice) -> Readout:
    """Interleaved negative cells see the opposite voltage; otherwise the currents of a pair are subtracted."""
    assert job.law is not None
    coefficients = job.law.current_coefficients(g, cell_of(job.params.xbar.device, "nonlinear_IV"))
    kernels = []
    for power, value in coefficients.items():
        c = np.asarray(value)
        if not job.keeps_signs:
            c = _fold(c, (-1.0) ** power if job.interleaved else -1.0)
        kernels.append((power, job.prepare(_rows(c, job.contraction.row_groups), columns.start)))
    return PolynomialReadout(job.contraction, _banks(job, g), g.shape[2], tuple(kernels))


def _sampled(job: Job, group: int, columns: slice) -> Readout:
    g, groups = line_conductances(job, columns), job.contraction.row_groups
    g = np.split(g, groups, axis=2)[group]
    device = job.params.xbar.device
    banks = g.shape[0] * g.shape[1]
    signs = np.ones(banks)
    if job.interleaved:
        signs[1::2] = -1.0
    return SampledReadout(
        contraction=job.contraction.row_group(group),
        banks=banks,
        lines=g.shape[2],
        conductance=job.array(g.reshape(banks, *g.shape[2:])),
        voltage_signs=job.array(signs),
        columns=columns,
        noise=job.noise,
        noise_cell=cell_of(device, "read_noise"),
        law=job.law,
        law_cell=cell_of(device, "nonlinear_IV"),
        device=device,
        why=job.sampling_reason or "nonlinear cells with read noise, or an I-V curve that is no polynomial",
    )
