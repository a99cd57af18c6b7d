"""The cores of a chip as hardware: what their arrays hold, how reads scatter, what their comparators are off by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from crossohm._random import chip_rng
from crossohm.chain import AnalogCore
from crossohm.chip.spec import Sign
from crossohm.devices import is_active, read_moments
from crossohm.errors import ParameterError, ShapeError
from crossohm.mapping import build_mapping
from crossohm.params import CoreStyle, CrossSimParameters, OffsetCoreStyle


@final
@dataclass(frozen=True)
class ProgrammedCores:
    """Cores of one stage on one chip: plain arrays, ``...`` counts the cores.

    Attributes:
        effective: Matrices that the arrays multiply with, ``(..., outputs, inputs)``, float32, in units of the weights.
        read_variance: Variance of every matrix element from one read to the next, ``(..., outputs, inputs)``: a product
            with ``x`` scatters with variance ``read_variance @ x**2``. None without read noise.
        offsets: Offset of every comparator, ``(..., outputs)``, in the units in which ``comparator_offset`` was given.
    """

    effective: np.ndarray
    read_variance: np.ndarray | None
    offsets: np.ndarray


def program(
    weights: Any,
    params: CrossSimParameters,
    seed: int,
    name: str,
    *,
    w_max: float = 1.0,
    sign: Sign = "pair",
    comparator_offset: float = 0.0,
) -> ProgrammedCores:
    """Write one matrix into every core: each is an `AnalogCore` called ``name.i.j`` by its place, of one array.

    One chip for each seed. Read noise comes as mean and variance of its law, the limits of the cells included; sums
    over the lines of a core are then Gaussian as well as sums of many numbers are, and exactly where noise reaches no
    limit.

    Args:
        weights: ``(..., outputs, inputs)``, one matrix per core.
        params: Devices, mapping and wires; the ranges of weights and the size of arrays follow from ``w_max`` and
            ``weights``.
        seed: The chip.
        name: Name of the stage; those of one chip need different ones to have independent errors.
        w_max: Weight at the highest conductance; larger ones are clipped.
        sign: ``"pair"``: two devices per weight. ``"nonnegative"``: one, from the lowest to the highest conductance;
            the lowest is part of what multiplies, and cancels where inputs add up to zero.
        comparator_offset: Standard deviation of the comparators' offsets.

    Raises:
        ShapeError: ``weights`` has fewer than two dimensions.
        ParameterError: the hardware is none that cores with comparators can have; names the parameter.
        UnsupportedError: wires together with read noise or gate-selected rows.
    """
    matrices = np.asarray(weights, dtype=np.float32)
    if matrices.ndim < 2:
        raise ShapeError(f"weights of shape {matrices.shape} hold no matrix; give (..., outputs, inputs)")
    check_hardware(params, sign)
    cores, outputs, inputs = matrices.shape[:-2], *matrices.shape[-2:]
    hardware = _of_one_array(params, outputs, inputs, w_max)
    names = [".".join(map(str, (name, *place))) for place in np.ndindex(cores)]
    scatters = is_active(params.xbar.device, "read_noise")
    effective, variance = np.empty_like(matrices), np.empty_like(matrices) if scatters else None
    offsets = np.empty((*cores, outputs), dtype=np.float32)
    for place, own in zip(np.ndindex(cores), names, strict=True):
        effective[place], scatter = _written(matrices[place], hardware, seed, own, w_max, sign)
        if variance is not None:
            variance[place] = scatter
        offsets[place] = comparator_offset * chip_rng(seed, own, "comparator offsets").standard_normal(outputs)
    return ProgrammedCores(effective, variance, offsets)


def _written(
    matrix: np.ndarray, hardware: CrossSimParameters, seed: int, name: str, w_max: float, sign: Sign
) -> tuple[np.ndarray, np.ndarray | None]:
    """The matrix that a core holds, and its variances from read to read."""
    alone = sign == "nonnegative"
    core = AnalogCore(2 * matrix - np.float32(w_max) if alone else matrix, hardware, seed=seed, name=name)
    mapping, record = build_mapping(hardware), core.blocks[0].record
    moments = read_moments(record.conductance, hardware.xbar.device)
    if moments is None or hardware.xbar.array.parasitics.effective:  # with noise, wires have no one matrix: raises
        held, variance = core.effective_matrix(), None
    else:
        mean, spread = moments
        held = mapping.decode(mean) * record.scale
        variance = np.tensordot((mapping.coefficients * record.scale) ** 2, spread, axes=([0, 1], [0, 1]))
    if alone:  # from -w_max .. w_max around the middle back to what the conductances are
        held = (held + w_max * mapping.offset) / 2
        variance = None if variance is None else variance / 4
    return held, variance


def _of_one_array(params: CrossSimParameters, outputs: int, inputs: int, w_max: float) -> CrossSimParameters:
    """The hardware with arrays of the size of a core, whose weights reach from ``-w_max`` to ``w_max``."""
    hardware = params.copy()
    hardware.core.rows_max, hardware.core.cols_max = inputs, outputs
    weights = hardware.core.mapping.weights
    weights.min, weights.max, weights.clipping = -w_max, w_max, True
    return hardware


def check_hardware(params: CrossSimParameters, sign: Sign) -> None:
    """Refuse hardware that cores read by comparators do not have.

    Raises:
        ParameterError: names the parameter.
    """
    core, xbar = params.core, params.xbar
    if sign == "pair" and not core.uses_pairs:
        raise ParameterError("core.style", core.style.name, "has no pairs of devices", allowed="BALANCED")
    if sign == "nonnegative" and core.style is not CoreStyle.OFFSET:
        raise ParameterError("core.style", core.style.name, "has two devices per weight", allowed="OFFSET")
    if not core.uses_pairs and core.offset.style is OffsetCoreStyle.UNIT_COLUMN_SUBTRACTION:
        raise ParameterError(
            "core.offset.style", core.offset.style.name, "compares with a line of its own", allowed="DIGITAL_OFFSET"
        )
    refused = "the cores are driven by bits and read by comparators"
    if xbar.adc.mvm.converts:
        raise ParameterError("xbar.adc.mvm.bits", xbar.adc.mvm.bits, refused, allowed="0")
    if xbar.dac.mvm.converts:
        raise ParameterError("xbar.dac.mvm.bits", xbar.dac.mvm.bits, refused, allowed="0")
    if xbar.array.Icol_max:
        raise ParameterError("xbar.array.Icol_max", xbar.array.Icol_max, "is not modelled for chips", allowed="0")
    if is_active(xbar.device, "nonlinear_IV"):
        raise ParameterError(
            "xbar.device.nonlinear_IV.enable", True, "cells of a chip's cores are linear", allowed="False"
        )
    if core.complex_matrix or core.complex_input:
        raise ParameterError("core.complex_matrix", True, "the cores of a chip hold real weights", allowed="False")
