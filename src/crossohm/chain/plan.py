"""A lowered operation: what is computed, in which order, with every number already worked out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, final

from crossohm._random import Draw, OperationDraw
from crossohm.backends import Array, backend_of
from crossohm.chain.contraction import Contraction, Kernel
from crossohm.chain.digitiser import Digitiser
from crossohm.chain.drive import Drive, planes_per_chunk
from crossohm.chain.readout import LinearReadout, NoisyReadout, Readout


class Tap(Protocol):
    """Something that looks at signals while they pass."""

    def xbar_inputs(self, x: Array, operation: str, constants: int) -> None:
        """Inputs of an operation, in the user's units, before the DAC; the last ``constants`` features are ones."""

    def adc_inputs(self, currents: Array, operation: str, partition: int, plane: int) -> None:
        """What one conversion sees: ``(batch, banks, lines, *positions)``, normalised current."""


@final
@dataclass(frozen=True)
class Combination:
    """From digitised line currents to outputs: add slices and signs, remove offsets.

    Attributes:
        coefficients: Weight of each bank, ``(banks,)``, in output units per normalised current (None: one bank, 1).
        outputs: Lines that are outputs (None: all lines).
        units: For each output, the unit line to subtract, or None.
        offset: Multiple of the input sum to subtract, or 0.
        ones: Kernel that sums the inputs of this partition, when ``offset`` is used.
        constant: Digital contribution of the DAC's lowest code, ``(outputs,)``, or None.
    """

    coefficients: Array
    outputs: Array | None
    units: Array | None
    offset: float
    ones: Kernel | None
    constant: Array | None


@final
@dataclass(frozen=True)
class Stage:
    """The arrays of one input partition, and everything up to their digital result.

    Attributes:
        readout: Voltages to currents.
        pairs: True if banks come as (positive, negative) and are subtracted before the ADC.
        limits_difference: True if the limit acts on the difference (cells of a pair share a line).
        limit: Largest current magnitude of a line, or None.
        bit_planes: True if input slices drive the arrays one after another.
        per_plane: True if each input slice is digitised.
        digitiser: The ADCs, or None.
        combination: The digital part.
    """

    readout: Readout
    pairs: bool
    limits_difference: bool
    limit: float | None
    bit_planes: bool
    per_plane: bool
    digitiser: Digitiser | None
    combination: Combination


@final
@dataclass(frozen=True)
class Plan:
    """One operation (``mvm`` or ``vmm``) of one core for one array library and dtype.

    Attributes:
        operation: ``"mvm"`` (W x) or ``"vmm"`` (x W).
        contraction: The linear map of the front end.
        drive: Input side.
        stages: One per input partition that is evaluated on its own.
        scaled_in_arrays: True if input scaling was moved into the matrix (linear inputs only).
        needs_draw: True if a multiplication draws random numbers.
        notes: Why this path was chosen, for people.
    """

    operation: str
    contraction: Contraction
    drive: Drive
    stages: tuple[Stage, ...]
    scaled_in_arrays: bool
    needs_draw: bool
    notes: tuple[str, ...]

    @property
    def direct(self) -> Kernel | None:
        """The effective matrix's kernel, if the whole operation is one noise-free contraction."""
        readout = self.stages[0].readout
        return readout.kernel if self.scaled_in_arrays and isinstance(readout, LinearReadout) else None


def multiply(plan: Plan, x: Array, rng: Any = None, tap: Tap | None = None) -> Array:
    """Run a plan.

    Args:
        plan: From `lower`; its numbers must belong to the array library of ``x``.
        x: Inputs ``(batch, features, *positions)`` in the user's units.
        rng: The array library's generator; used only if the plan draws noise.
        tap: Looks at the inputs and at what the ADCs see.

    Returns:
        ``(batch, outputs, *positions)`` in the user's units.
    """
    if tap is not None:
        tap.xbar_inputs(x, plan.operation, plan.contraction.constants)
    draw = OperationDraw(backend_of(x), rng) if plan.needs_draw else None
    if plan.scaled_in_arrays:
        drive, factor = x, None
    else:
        drive, factor = plan.drive.normalise(x)
        drive = plan.drive.dac.quantize(drive)
    total: Any = None
    for index, stage in enumerate(plan.stages):
        part = _run_stage(plan, stage, drive, draw, tap, index)
        total = part if total is None else total + part
    return total if factor is None else total * factor


def _run_stage(plan: Plan, stage: Stage, quantised: Array, draw: Draw | None, tap: Tap | None, index: int) -> Array:
    acquired: Any = None
    driven = quantised - plan.drive.dac.plane_offset if plan.drive.dac.plane_offset else quantised
    for currents in _evaluations(plan, stage, quantised, driven, draw, tap, index):
        acquired = currents if acquired is None else acquired + currents
    if not stage.per_plane:
        acquired = _digitise(plan, stage, acquired, draw, tap, index)
    return _combine(plan, stage, acquired, driven)


def _evaluations(
    plan: Plan, stage: Stage, quantised: Array, driven: Array, draw: Draw | None, tap: Tap | None, index: int
) -> Iterator[Array]:
    """Currents of every array evaluation, already weighted by the significance of its input slice."""
    if not stage.bit_planes:
        if isinstance(stage.readout, NoisyReadout) and plan.drive.dac.sliced:
            energy = _plane_energy(plan, quantised)
            yield _condition(stage, stage.readout.with_energy(driven, energy, draw))
        else:
            yield _condition(stage, stage.readout.currents(driven, draw))
        return
    for number, (weight, plane) in enumerate(_planes(plan, quantised)):
        currents = _condition(stage, stage.readout.currents(plane, draw))
        if stage.per_plane:
            currents = _digitise(plan, stage, currents, draw, tap, index, number)
        yield currents * weight


def _planes(plan: Plan, v: Array) -> Iterator[tuple[float, Array]]:
    """Weight and voltages of each input slice, least significant first, a bounded number held at a time."""
    weights = plan.drive.dac.plane_weights
    chunk = planes_per_chunk(v, len(weights))
    for first in range(0, len(weights), chunk):
        last = min(first + chunk, len(weights))
        planes = plan.drive.dac.planes(v, first, last)
        for k in range(first, last):
            yield weights[k], planes[k - first]


def _plane_energy(plan: Plan, v: Array) -> Array:
    """Squared voltages weighted as the input slices' noise adds up in the recombined current."""
    total: Any = 0.0
    for weight, plane in _planes(plan, v):
        total = total + (weight * plane) ** 2
    return total


def _condition(stage: Stage, currents: Array) -> Array:
    """Limit each line's current and subtract the two lines of a pair, in the order the wiring dictates."""
    if stage.pairs and stage.limits_difference:
        currents = currents[:, 0::2] - currents[:, 1::2]
    if stage.limit is not None:
        currents = backend_of(currents).clip(currents, -stage.limit, stage.limit)
    return currents[:, 0::2] - currents[:, 1::2] if stage.pairs and not stage.limits_difference else currents


def _digitise(
    plan: Plan, stage: Stage, currents: Array, draw: Draw | None, tap: Tap | None, index: int, plane: int = 0
) -> Array:
    if tap is not None:
        tap.adc_inputs(currents, plan.operation, index, plane)
    return currents if stage.digitiser is None else stage.digitiser.convert(currents, draw)


def _combine(plan: Plan, stage: Stage, currents: Array, driven: Array) -> Array:
    """Digital result ``(batch, outputs, *positions)`` of one input partition."""
    combination, xp = stage.combination, backend_of(currents).xp
    y = _add_banks(currents, combination.coefficients)
    if combination.units is not None:
        y = xp.take(y, combination.outputs, axis=1) - xp.take(y, combination.units, axis=1)
    if combination.offset:
        y = y - combination.offset * plan.contraction.contract(driven, combination.ones)
    if combination.constant is not None:
        y = y + xp.reshape(combination.constant, (-1,) + (1,) * (y.ndim - 2))
    return y


def _add_banks(currents: Array, coefficients: Array) -> Array:
    if currents.shape[1] == 1:
        return currents[:, 0] if coefficients is None else currents[:, 0] * coefficients[0]
    total: Any = currents[:, 0] * coefficients[0]
    for bank in range(1, currents.shape[1]):
        total = total + currents[:, bank] * coefficients[bank]
    return total
