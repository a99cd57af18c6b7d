"""A lowered operation: what is computed, in which order, with every number already worked out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, final

from crossohm._random import Draw
from crossohm.backends import Array, Backend, backend_of
from crossohm.chain.contraction.contraction import Contraction, Kernel
from crossohm.chain.running.digitiser import Digitiser
from crossohm.chain.running.drive import Drive
from crossohm.chain.running.readout import LinearReadout, NoisyReadout, Readout

#: Most currents, over all banks, evaluated at a time: 1 MB in single precision fits the processor's cache, and memory
#: allocators reuse it rather than hand it back to the system.
CACHED_ELEMENTS = 1 << 18
#: Vectors that are worth reading a matrix for which is larger than the cache.
FEWEST_VECTORS = 64


class Tap(Protocol):
    """Something that looks at signals while they pass."""

    def xbar_inputs(self, x: Array, operation: str, constants: int) -> None:
        """Inputs of an operation, in the user's units, before the DAC; the last ``constants`` features are ones."""

    def adc_inputs(self, currents: Array, operation: str, partition: int, plane: int) -> None:
        """What one conversion sees: ``(batch, banks, lines, *positions)``, normalised current."""


@final
@dataclass(frozen=True)
class PartTap:
    """What one of several arrays adds to what is seen of its core, whose inputs are recorded once for all.

    Attributes:
        tap: Of the core.
        part: Input partition of the array.
    """

    tap: Tap
    part: int

    def xbar_inputs(self, x: Array, operation: str, constants: int) -> None:
        """Nothing: the core has recorded them."""

    def adc_inputs(self, currents: Array, operation: str, partition: int, plane: int) -> None:
        """Record what one conversion sees under the array's place in the core."""
        self.tap.adc_inputs(currents, operation, self.part + partition, plane)


@final
@dataclass(frozen=True)
class Combination:
    """From digitised line currents to outputs: add slices and signs, remove offsets.

    Attributes:
        coefficients: Weight of each bank, ``()``, in output units per normalised current, or per step where the
            digitiser counts (None: merged, there are no banks).
        outputs: Lines that are outputs (None: all lines).
        units: For each output, the unit line to subtract, or None.
        offset: Multiple of the input sum to subtract, ``()``, or None.
        ones: Kernel that sums the inputs of this partition, when ``offset`` is used.
        constant: Digital contribution of the converters' level 0, ``(outputs,)``, or None.
    """

    coefficients: tuple[Array, ...] | None
    outputs: Array | None
    units: Array | None
    offset: Array | None
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

    @cached_property
    def counts_one_bank(self) -> bool:
        """True if currents of one bank, side by side as they leave the arrays, meet converters that only round them."""
        readout, counts = self.readout, self.digitiser is not None and self.digitiser.counting is not None
        if not counts or self.bit_planes or not isinstance(readout, LinearReadout | NoisyReadout):
            return False
        if self.pairs:
            return readout.banks == 2 and readout.contraction.row_groups == 1
        return readout.banks == 1


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

    @cached_property
    def merged(self) -> bool:
        """True if one matrix, whose products are the outputs, stands for all arrays."""
        return self.stages[0].combination.coefficients is None

    @property
    def direct(self) -> Kernel | None:
        """The effective matrix's kernel, if the whole operation is one noise-free contraction."""
        readout = self.stages[0].readout
        return readout.kernel if self.scaled_in_arrays and isinstance(readout, LinearReadout) else None

    @cached_property
    def offset(self) -> float:
        """The part of the signal that drives no array: code 0 of sliced inputs is added digitally."""
        return 0.0 if self.drive.counted else self.drive.dac.plane_offset

    @cached_property
    def sums_noise(self) -> bool:
        """True if readouts ask for squared voltages: noise by moments, unless each input slice is driven by itself."""
        stage = self.stages[0]  # of one kind with all others
        return isinstance(stage.readout, NoisyReadout) and not stage.bit_planes

    @cached_property
    def cached_entries(self) -> int | None:
        """Batch entries at a time whose currents, at one position, fit the cache; None if a readout wants them all."""
        if not isinstance(self.stages[0].readout, LinearReadout | NoisyReadout):
            return None
        lines = max(1, *(stage.readout.banks * stage.readout.lines for stage in self.stages))
        return max(FEWEST_VECTORS, CACHED_ELEMENTS // lines)


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
    backend = backend_of(x)
    draw = backend.stream(rng) if plan.needs_draw else None
    if plan.scaled_in_arrays:
        return _run_stages(plan, backend, x, draw, tap)
    signal, factor = (x, None) if plan.drive.alone else plan.drive.signal(x)
    size = _piece_size(plan, backend, x)
    if size is None or size >= len(x):
        total = _run_piece(plan, backend, signal, draw, tap)
    else:
        pieces = (signal[start : start + size] for start in range(0, len(x), size))
        total = backend.xp.concat([_run_piece(plan, backend, piece, draw, tap) for piece in pieces], axis=0)
    return total if factor is None else total * factor


def multiply_at_once(plan: Plan, x: Array, draw: Draw | None) -> Array:
    """`multiply` for few vectors, converted one by one and without a tap: those that are one piece.

    Args:
        plan: As for `multiply`, like ``x``.
        x: See ``plan``.
        draw: Supplies the noise of plans that draw some.
    """
    return _run_piece(plan, backend_of(x), x, draw, None)


def _piece_size(plan: Plan, backend: Backend, x: Array) -> int | None:
    """Batch entries whose currents fit the processor's cache; None where a readout gains from the whole batch."""
    entries = plan.cached_entries
    if entries is None or backend.is_traced(x):
        return None
    positions: int = math.prod(x.shape[2:])
    return max(1, entries // max(1, positions))


def _run_piece(plan: Plan, backend: Backend, x: Array, draw: Draw | None, tap: Tap | None) -> Array:
    """Outputs for inputs in the user's units where each is converted by itself, else for what drives the arrays."""
    converts = plan.drive.alone and not plan.scaled_in_arrays
    return _run_stages(plan, backend, plan.drive.signal(x)[0] if converts else x, draw, tap)


def _run_stages(plan: Plan, backend: Backend, signal: Array, draw: Draw | None, tap: Tap | None) -> Array:
    """Outputs ``(batch, outputs, *positions)``, added over input partitions: a fresh array, no view."""
    driven = signal - plan.offset if plan.offset else signal
    energy = _noise_energy(plan, signal, driven) if plan.sums_noise else None
    if plan.merged:
        (stage,) = plan.stages
        assert isinstance(stage.readout, LinearReadout | NoisyReadout)
        return _add_constant(backend, stage.readout.sums(driven, draw, energy), stage.combination.constant)
    total: Any = None
    for index, stage in enumerate(plan.stages):
        if stage.counts_one_bank:
            banks: Sequence[Array] = (_count(stage, backend, driven, energy, draw),)
        elif stage.bit_planes:
            banks = _by_bank(stage, _acquire_planes(plan, stage, backend, signal, draw, tap, index))
        else:
            currents = _condition(stage, stage.readout.currents(driven, draw, energy))
            banks = _by_bank(stage, _digitise(plan, stage, currents, draw, tap, index))
        total = _combine(plan, stage, backend, banks, driven, total)
    return total


def _count(stage: Stage, backend: Backend, driven: Array, energy: Array | None, draw: Draw | None) -> Array:
    """Level numbers of the only bank of an input partition, ``(batch, lines, *positions)``."""
    assert isinstance(stage.readout, LinearReadout | NoisyReadout)
    assert stage.digitiser is not None and stage.digitiser.counting is not None
    currents = stage.readout.sums(driven, draw, energy)
    if stage.pairs:
        positive, negative = backend.parted(currents, 2, axis=1)
        currents = positive - negative
    return stage.digitiser.counting.numbers(currents)


def _by_bank(stage: Stage, currents: Array) -> list[Array]:
    assert stage.combination.coefficients is not None
    return [currents[:, bank] for bank in range(len(stage.combination.coefficients))]


def _acquire_planes(
    plan: Plan, stage: Stage, backend: Backend, signal: Array, draw: Draw | None, tap: Tap | None, index: int
) -> Array:
    """Digitised currents of one input partition whose input slices drive the arrays by themselves, added over these."""
    acquired: Any = None
    for plane, (weight, voltages) in enumerate(_planes(plan, signal)):
        currents = _condition(stage, stage.readout.currents(voltages, draw))
        found = _digitise(plan, stage, currents, draw, tap, index, plane) if stage.per_plane else currents
        if acquired is None:
            acquired = found if weight == 1.0 else found * weight
        else:
            acquired = backend.add_scaled(acquired, found, weight)
    return acquired if stage.per_plane else _digitise(plan, stage, acquired, draw, tap, index)


def _planes(plan: Plan, signal: Array) -> Iterator[tuple[float, Array]]:
    """Weight of each input slice, least significant first, and what drives the arrays, one at a time."""
    slicing = plan.drive.dac.slicing
    assert slicing is not None
    code = signal if plan.drive.counted else slicing.codes(signal)
    for weight, fraction in zip(slicing.weights, slicing.fractions(code), strict=True):
        yield weight, fraction if plan.drive.counted else fraction * slicing.fraction_unit


def _noise_energy(plan: Plan, signal: Array, driven: Array) -> Array:
    """Squared voltages, of input slices weighted as their noise adds up in the recombined current."""
    if not plan.drive.dac.sliced:
        return driven * driven
    total: Any = 0.0
    for weight, plane in _planes(plan, signal):
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


def _combine(
    plan: Plan, stage: Stage, backend: Backend, banks: Sequence[Array], driven: Array, total: Array | None
) -> Array:
    """``total``, which is consumed, plus the digital result ``(batch, outputs, *positions)`` of an input partition."""
    combination, xp = stage.combination, backend.xp
    assert combination.coefficients is not None
    if combination.units is None:
        y = _add_banks(total, backend, banks, combination.coefficients)
    else:
        lines = _add_banks(None, backend, banks, combination.coefficients)
        y = xp.take(lines, combination.outputs, axis=1) - xp.take(lines, combination.units, axis=1)
        if total is not None:
            y += total
    if combination.offset is not None:
        y -= combination.offset * plan.contraction.contract(driven, combination.ones)
    return _add_constant(backend, y, combination.constant)


def _add_constant(backend: Backend, y: Array, constant: Array | None) -> Array:
    """``y`` plus a number per output; ``y`` is consumed."""
    if constant is not None:
        y += constant if y.ndim == 2 else backend.xp.reshape(constant, (-1,) + (1,) * (y.ndim - 2))
    return y


def _add_banks(total: Array | None, backend: Backend, banks: Sequence[Array], coefficients: tuple[Array, ...]) -> Array:
    """``total``, which is consumed, plus the currents ``(batch, lines, *positions)`` of every bank times its factor."""
    for own, coefficient in zip(banks, coefficients, strict=True):
        total = own * coefficient if total is None else backend.add_scaled(total, own, coefficient)
    return total
