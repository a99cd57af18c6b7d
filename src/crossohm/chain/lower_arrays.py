"""Lowering the arrays of one input partition to a readout."""

from __future__ import annotations

import numpy as np

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
from crossohm.devices import cell_of


def build_readout(job: Job, columns: slice) -> Readout:
    """The cheapest exact way to the line currents of input partition ``columns``."""
    if job.has_networks:
        return _networks(job, columns)
    g = line_conductances(job, columns)
    if job.samples:
        return _sampled(job, g, columns)
    if job.law is not None:
        return _polynomial(job, g, columns)
    kernel = job.prepare(_rows(g if job.keeps_signs else _fold(g, -1.0)), columns.start)
    banks, lines = _banks(job, g), g.shape[2]
    if job.noise is None:
        return LinearReadout(job.contraction, banks, lines, kernel)
    variance = job.noise_variance(g)
    spread = job.prepare(_rows(variance if job.keeps_signs else _fold(variance, 1.0)), columns.start)
    return NoisyReadout(job.contraction, banks, lines, kernel, spread)


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


def _rows(g: np.ndarray) -> np.ndarray:
    """Banks and lines as the rows of one matrix."""
    return g.reshape(-1, g.shape[3])


def _networks(job: Job, columns: slice) -> Readout:
    """Wires that cannot be merged into a matrix; interleaved pairs form one network, other arrays one each."""
    device = job.params.xbar.device
    networks = [network for network in networks_of(job) if network.inputs == columns]
    networks.sort(key=lambda network: (network.weight_slice, network.signs.start, network.outputs.start))
    return NetworkReadout(
        contraction=job.contraction,
        banks=len(networks) // len(job.output_parts),
        lines=line_parts(job)[-1].stop,
        networks=tuple(networks),
        columns=columns,
        operation=job.operation,
        noise=job.noise,
        noise_cell=cell_of(device, "read_noise"),
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
        kernels.append((power, job.prepare(_rows(c), columns.start)))
    return PolynomialReadout(job.contraction, _banks(job, g), g.shape[2], tuple(kernels))


def _sampled(job: Job, g: np.ndarray, columns: slice) -> Readout:
    device = job.params.xbar.device
    banks = g.shape[0] * g.shape[1]
    signs = np.ones(banks)
    if job.interleaved:
        signs[1::2] = -1.0
    return SampledReadout(
        contraction=job.contraction,
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
