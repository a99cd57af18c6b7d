"""All that is known while one operation is lowered, and the questions its decisions rest on."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Contraction, Kernel
from crossohm.chain.dtypes import counts_steps
from crossohm.chain.lowering.inputs import build_drive
from crossohm.chain.lowering.wires import has_effective_matrix, networks_vary
from crossohm.chain.operation import Operation
from crossohm.chain.programming.record import Programmed
from crossohm.chain.running.drive import Drive
from crossohm.circuits.levels import Levels
from crossohm.devices import Device, active_device, cell_of
from crossohm.mapping import Mapping, build_mapping
from crossohm.params import ADCParameters, CrossSimParameters

#: A conductance this many standard deviations from a clipping limit reaches it with probability below 1e-15.
SAFE_SIGMAS = 8.0
#: Whole numbers up to this one are exact in single precision.
LARGEST_COUNT = 2**24


@final
@dataclass(frozen=True)
class Setup:
    """One operation of one core, oriented so that axis 2 of a conductance is an output and axis 3 an input.

    Attributes:
        name: Name of the core, or of its part.
        params: The hardware.
        mapping: Its weight mapping.
        operation: Which product.
        conductance: ``(slices, signs, outputs, inputs)`` as programmed.
        record: What was programmed.
        units: Unit lines ``(slices, output partitions, inputs)``, or None.
        output_parts: Outputs of each output partition.
        input_parts: Inputs of each input partition.
        mismatch: Converter errors of the chip.
        scale: Weight in the user's units per decoded weight.
        contraction: The front end's linear map.
        like: An array of the inputs' library, dtype and device.
        drive: Input side.
        noise: Device model of the read noise, or None.
        law: Device model of the nonlinear I-V, or None.
        tapped: True if the currents that ADCs see are recorded.
        solves: True if wires are solved for every vector, although a matrix would describe them.
    """

    name: str
    params: CrossSimParameters
    mapping: Mapping
    operation: Operation
    conductance: np.ndarray
    record: Programmed
    units: np.ndarray | None
    output_parts: tuple[slice, ...]
    input_parts: tuple[slice, ...]
    mismatch: Table[str, np.ndarray]
    scale: float
    contraction: Contraction
    like: Array
    drive: Drive
    noise: Device | None
    law: Device | None
    tapped: bool
    solves: bool

    @property
    def target(self) -> np.ndarray:
        """The conductances asked for, oriented as `conductance`."""
        return self.operation.orient(self.record.target)

    @property
    def adc(self) -> ADCParameters:
        """Converters of this operation."""
        return self.operation.adc(self.params)

    @property
    def digitises(self) -> bool:
        """True if currents pass an ADC that changes them."""
        return self.adc.converts

    @property
    def per_plane(self) -> bool:
        """True if every input slice is converted (or recorded) by itself."""
        return self.adc.adc_per_ibit and self.drive.dac.sliced and (self.digitises or self.tapped)

    @property
    def drives_planes(self) -> bool:
        """True if input slices drive the arrays one after another, which a linear array makes no use of by itself."""
        matters = self.current_limit is not None or not self.has_linear_cells
        return self.drive.dac.sliced and (self.per_plane or matters)

    @property
    def has_linear_cells(self) -> bool:
        """True if currents are the product of the inputs and a matrix, up to Gaussian noise of known variance."""
        return self.law is None and not (networks_vary(self.params) or self.samples)

    def can_count(self, levels: Levels) -> bool:
        """True if a converter with these levels may count in steps, with its units moved into the matrix."""
        return levels.last <= LARGEST_COUNT and counts_steps(backend_of(self.like).dtype_name(self.like))

    @property
    def counts_inputs(self) -> bool:
        """True if arrays are driven with numbers in DAC steps."""
        levels = self.drive.dac.uniform
        if levels is None or not self.can_count(levels):
            return False
        return self.has_linear_cells and (self.drives_planes or not self.drive.dac.sliced)

    @property
    def current_limit(self) -> float | None:
        """Largest current of an output line, normalised; None if unlimited."""
        return self.params.xbar.array.Icol_max or None

    @property
    def interleaved(self) -> bool:
        """True if the cells of a pair share an output line."""
        return self.params.core.interleaves_pairs

    @property
    def separate_adcs(self) -> bool:
        """True if both currents of a pair are digitised."""
        return self.params.core.uses_pairs and not self.params.core.subtracts_in_array

    @property
    def keeps_signs(self) -> bool:
        """True if the two arrays of a pair must be evaluated apart."""
        limited = self.current_limit is not None and not self.interleaved
        apart = self.has_networks and not self.interleaved
        return self.mapping.signs == 2 and (self.separate_adcs or limited or apart or self.samples)

    @property
    def has_networks(self) -> bool:
        """True if there are wires that no one matrix describes, or is to describe."""
        return self.solves or networks_vary(self.params)

    @cached_property
    def samples(self) -> bool:
        """True if every cell of every vector is evaluated by itself."""
        if self.has_networks:
            return False
        if self.law is not None:
            return self.noise is not None or not self.law.has_polynomial_current
        return bool(self.sampling_reason)

    @cached_property
    def sampling_reason(self) -> str:
        """Why the moment method would not have the exact law of the read noise; empty if it has."""
        if self.noise is None:
            return ""
        if self.params.simulation.read_noise_sampling == "explicit":
            return "simulation.read_noise_sampling = 'explicit'"
        if not self.noise.has_gaussian_read_noise:
            return "the noise is not Gaussian"
        arrays = [self.conductance] if self.units is None else [self.conductance, self.units]
        return next(filter(None, map(self._clipping_reason, arrays)), "")

    def _clipping_reason(self, g: np.ndarray) -> str:
        margin = SAFE_SIGMAS * np.sqrt(self.noise_variance(g))
        noisy = margin > 0
        if np.any(noisy & (g < margin)):
            return "noise can push a conductance below zero"
        device = self.params.xbar.device
        if device.clip_conductance and np.any(noisy & ((1 - g < margin) | (g - device.Gmin_norm < margin))):
            return "noise can push a conductance out of the cell's range"
        return ""

    def noise_variance(self, g: np.ndarray) -> np.ndarray:
        """Variance of the read noise of cells at ``g``, normalised conductance squared."""
        assert self.noise is not None
        return np.asarray(self.noise.read_noise_std(g, cell_of(self.params.xbar.device, "read_noise"))) ** 2

    @cached_property
    def reason_for_stages(self) -> str:
        """Why slices, signs and partitions cannot be merged into one matrix; empty if they can."""
        if self.digitises:
            return "ADCs convert every slice and partition"
        if self.tapped:
            return "the currents that ADCs would see are recorded"
        if self.current_limit is not None:
            return "line currents are limited"
        if self.solves:
            return "the networks are solved for every vector"
        if self.has_networks:
            return "no one matrix describes the wires and cells"
        if self.law is not None:
            return "cells are nonlinear"
        if self.samples:
            return "read noise is sampled cell by cell"
        if self.noise is not None and self.units is not None:
            return "the noise of a unit line is common to all outputs compared with it"
        return ""

    def prepare(self, weights: np.ndarray, start: int = 0) -> Kernel:
        """A kernel of the front end for matrix columns from ``start`` on."""
        return self.contraction.prepare(self.array(weights), start)

    def array(self, value: Any) -> Array:
        """Numbers as an array of the inputs' library."""
        return backend_of(self.like).asarray(value, self.like)


def make_setup(
    record: Programmed,
    params: CrossSimParameters,
    operation: Operation,
    contraction: Contraction,
    like: Array,
    tapped: bool,
    solves: bool = False,
) -> Setup:
    """Gather what lowering needs.

    Raises:
        ParameterError: a converter or device model does not fit the hardware.
    """
    device = params.xbar.device
    outputs, inputs = operation.order(record.row_parts, record.column_parts)
    setup = Setup(
        name=record.name,
        params=params,
        mapping=build_mapping(params),
        operation=operation,
        conductance=operation.orient(record.conductance),
        record=record,
        units=record.units.get(operation),
        output_parts=outputs,
        input_parts=inputs,
        mismatch=record.mismatch,
        scale=record.scale,
        contraction=contraction,
        like=like,
        drive=build_drive(params, operation),
        noise=active_device(device, "read_noise"),
        law=active_device(device, "nonlinear_IV"),
        tapped=tapped,
        solves=solves and has_effective_matrix(params),
    )
    return replace(setup, drive=replace(setup.drive, counted=setup.counts_inputs))
