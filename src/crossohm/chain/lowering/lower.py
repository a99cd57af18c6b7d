"""Choose, once per programming, the cheapest exact chain of stages for a piece of hardware."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Contraction, Dense
from crossohm.chain.lowering.arrays import build_readout, line_parts
from crossohm.chain.lowering.ranges import adc_limits
from crossohm.chain.lowering.setup import Setup, make_setup
from crossohm.chain.lowering.wires import apply_wires
from crossohm.chain.operation import Operation
from crossohm.chain.programming.record import Programmed, adc_banks, bank_key
from crossohm.chain.running.digitiser import Counting, Digitiser
from crossohm.chain.running.drive import Drive
from crossohm.chain.running.plan import Combination, Plan, Stage
from crossohm.chain.running.readout import LinearReadout, NoisyReadout, Readout
from crossohm.circuits.adc import Converter, get_adc, lowered
from crossohm.devices import check_devices
from crossohm.params import ADCRangeLimits, CrossSimParameters


def lower(
    record: Programmed,
    params: CrossSimParameters,
    operation: str,
    contraction: Contraction,
    like: Array,
    tapped: bool = False,
    solves: bool = False,
) -> Plan:
    """The plan of ``operation`` for inputs of the library, dtype and device of ``like``.

    Args:
        record: The programmed arrays, or what `apply_wires` made of them for this operation.
        params: The hardware; the same as at programming.
        operation: ``"mvm"`` (W x) or ``"vmm"`` (x W).
        contraction: The front end's linear map.
        like: Any array of the library, dtype and device of the inputs to come.
        tapped: True if a tap will look at what the ADCs see, even where there is no ADC.
        solves: True if wires are to be solved for every vector where a matrix would describe them: without the time
            that matrix takes, for few vectors, on the host and without gradient.

    Raises:
        ParameterError: converters or device models cannot be built as described.
    """
    which = Operation(operation)
    wired = record if solves else apply_wires(record, params, which)
    setup = make_setup(wired, params, which, contraction, like, tapped, solves)
    apart = setup.reason_for_stages
    if apart:
        stages = _with_one_constant([_stage(setup, index) for index in range(len(setup.input_parts))])
        note = f"slices, signs and partitions kept apart: {apart}"
    else:
        stages = (_merged_stage(setup),)
        note = "slices, signs, partitions and offsets merged into one matrix: nothing distinguishes them"
    stochastic = any(stage.digitiser is not None and stage.digitiser.stochastic for stage in stages)
    return Plan(
        operation=which.value,
        contraction=contraction,
        drive=setup.drive,
        stages=stages,
        scaled_in_arrays=_scales_in_arrays(setup),
        needs_draw=setup.noise is not None or stochastic,
        notes=(note, *_caveats(setup)),
    )


def _caveats(setup: Setup) -> Iterator[str]:
    """What else a user should know of this combination."""
    if setup.params.xbar.array.parasitics.effective and not setup.has_networks:
        yield "wire resistance is in the matrix: the network is linear and was eliminated once (exact)"
    granular = setup.digitises and setup.adc.adc_range_option is ADCRangeLimits.GRANULAR
    if granular and setup.mapping.signs == 1 and setup.params.xbar.device.Gmin_norm > 0:
        yield (
            "GRANULAR steps fit differences of conductance levels; the pedestal of the lowest conductance lies between "
            "them, which costs up to half a step per conversion unless infinite_on_off_ratio is set"
        )


def check_hardware(record: Programmed, params: CrossSimParameters) -> None:
    """Raise what lowering either operation would raise, without preparing any kernel."""
    check_devices(params.xbar.device)
    for operation in Operation:
        converters(record, params, operation)


def converters(
    record: Programmed, params: CrossSimParameters, operation: Operation
) -> tuple[Drive, tuple[Digitiser, ...] | None]:
    """What inputs pass before the arrays, and currents after those of each input partition (None: no ADC).

    Neither wires nor kernels are needed for it.

    Raises:
        ParameterError: converters cannot be built as described.
    """
    columns = Dense(record.shape[1 - operation.axis])
    setup = make_setup(record, params, operation, columns, np.zeros(1), tapped=False)
    parts = range(len(setup.input_parts))
    return setup.drive, tuple(_digitiser(setup, index) for index in parts) if setup.digitises else None


def _scales_in_arrays(setup: Setup) -> bool:
    """True if the input scale cancels inside the merged matrix."""
    return setup.drive.is_linear and not setup.reason_for_stages


def _gain(setup: Setup) -> float:
    """Result in the user's units per decoded weight and normalised input."""
    return setup.scale * (1.0 if _scales_in_arrays(setup) else setup.drive.scale)


def _merged_stage(setup: Setup) -> Stage:
    """Everything linear folded into one matrix in the user's units."""
    readout = merged_readout(setup)
    constant = _digital_constant(setup, slice(0, setup.conductance.shape[3]))
    combination = Combination(None, None, None, None, None, None if constant is None else setup.array(constant))
    return Stage(readout, False, False, None, False, False, None, combination)


def merged_readout(setup: Setup) -> Readout:
    """One matrix for all arrays, in the user's units."""
    units = None
    if setup.units is not None:
        units = np.repeat(setup.units, [part.stop - part.start for part in setup.output_parts], axis=1)
    gain = _gain(setup)
    weights = setup.mapping.decode(setup.conductance, units) * gain
    unit = setup.drive.cell_unit
    kernel, lines = setup.prepare(weights * unit), weights.shape[0]
    if setup.noise is None:
        return LinearReadout(setup.contraction, 1, lines, kernel)
    squares = (setup.mapping.coefficients * (gain * unit)) ** 2
    variance = np.tensordot(squares, setup.noise_variance(setup.conductance), axes=([0, 1], [0, 1]))
    return NoisyReadout(setup.contraction, 1, lines, kernel, setup.prepare(variance))


def _stage(setup: Setup, index: int) -> Stage:
    """The arrays of one input partition."""
    columns = setup.input_parts[index]
    digitiser = _counted(setup, _digitiser(setup, index)) if setup.digitises else None
    counting = digitiser.counting if digitiser else None
    return Stage(
        readout=build_readout(setup, columns, counting.levels if counting else None),
        pairs=setup.keeps_signs and not setup.separate_adcs,
        limits_difference=setup.interleaved,
        limit=setup.current_limit,
        bit_planes=setup.drives_planes,
        per_plane=setup.drives_planes and setup.per_plane,
        digitiser=digitiser,
        combination=_combination(setup, columns, counting),
    )


def _with_one_constant(stages: list[Stage]) -> tuple[Stage, ...]:
    """The same stages, of which the first adds the constants of all."""
    constants = [stage.combination.constant for stage in stages if stage.combination.constant is not None]
    if len(constants) < 2:
        return tuple(stages)
    wanted = [sum(constants[1:], constants[0]), *[None] * (len(stages) - 1)]
    pairs = zip(stages, wanted, strict=True)
    return tuple(replace(stage, combination=replace(stage.combination, constant=own)) for stage, own in pairs)


def _counted(setup: Setup, digitiser: Digitiser) -> Digitiser:
    """The converters as rounding of currents in steps, where nothing between cells and ADC needs other units."""
    levels = digitiser.levels
    plain = setup.has_linear_cells and setup.current_limit is None and not setup.tapped
    if levels is None or not plain or not all(map(setup.can_count, levels)):
        return digitiser
    start = [own.low * own.density for own in levels]
    return replace(digitiser, counting=Counting(levels, setup.array(start) if any(start) else None))


def _digitiser(setup: Setup, column_part: int) -> Digitiser:
    """One converter per bank and output partition; converters without errors of their own are shared."""
    path = f"xbar.adc.{setup.operation}"
    model = get_adc(setup.adc.model, path + ".model")
    inputs = setup.input_parts[column_part]
    ranges = adc_limits(setup.params, setup.mapping, setup.operation, inputs.stop - inputs.start)
    banks, parts = adc_banks(setup.mapping, setup.params), line_parts(setup)
    distinct: list[Converter] = []
    shared: dict[tuple[float, float], int] = {}
    wiring = []
    for bank in range(banks):
        low, high = ranges[bank * setup.mapping.slices // banks]
        model.check(setup.adc, low, high, path)
        wired = []
        for output_part, lines in enumerate(parts):
            part = setup.operation.order(output_part, column_part)
            own = _own_mismatch(setup, bank_key(setup.operation, part, bank))
            if own or (low, high) not in shared:
                converter = model.build(setup.adc, low, high, own)
                distinct.append(lowered(converter, setup.like, lines.stop - lines.start))
            if not own:
                shared.setdefault((low, high), len(distinct) - 1)
            wired.append(len(distinct) - 1 if own else shared[low, high])
        wiring.append(tuple(wired))
    return Digitiser(tuple(distinct), tuple(wiring), parts)


def _own_mismatch(setup: Setup, key: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(key): value for name, value in setup.mismatch.items() if name.startswith(key)}


def _combination(setup: Setup, columns: slice, counting: Counting | None) -> Combination:
    gain = _gain(setup)
    table = setup.mapping.coefficients * gain
    coefficients = table.reshape(-1) if setup.separate_adcs else table[:, 0]
    constant = _digital_constant(setup, columns)
    if counting is not None:
        constant = _add(constant, _level_zero(setup, coefficients, counting))
        coefficients = coefficients * [levels.step for levels in counting.levels]
    offset = 0.0 if setup.units is not None else setup.mapping.offset * gain * setup.drive.unit
    outputs, units = _unit_indices(setup) if setup.units is not None else (None, None)
    sums = setup.conductance.shape[2] if setup.contraction.row_groups > 1 else 1
    return Combination(
        coefficients=tuple(map(setup.array, coefficients)),
        outputs=outputs,
        units=units,
        offset=setup.array(offset) if offset else None,
        ones=setup.prepare(np.ones((sums, columns.stop - columns.start)), columns.start) if offset else None,
        constant=None if constant is None else setup.array(constant),
    )


def _level_zero(setup: Setup, coefficients: np.ndarray, counting: Counting) -> np.ndarray | None:
    """What level 0 of the converters stands for, ``(outputs,)``; unit lines have it as well and take it away."""
    low = np.array([levels.low for levels in counting.levels])
    if setup.units is not None or not low.any():
        return None
    conversions = sum(setup.drive.dac.plane_weights) if setup.per_plane else 1.0
    return np.full(setup.conductance.shape[2], (coefficients * low).sum() * conversions)


def _add(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    return second if first is None else first if second is None else first + second


def _unit_indices(setup: Setup) -> tuple[Array, Array]:
    """For every output, the physical line it is and the unit line it is compared with."""
    outputs, units = [], []
    for part in line_parts(setup):
        outputs += list(range(part.start + 1, part.stop))
        units += [part.start] * (part.stop - part.start - 1)
    backend = backend_of(setup.like)
    return backend.indices(outputs, setup.like), backend.indices(units, setup.like)


def _digital_constant(setup: Setup, columns: slice) -> np.ndarray | None:
    """What the DAC's lowest code contributes when only the bits above it drive the arrays.

    It is known digitally, hence computed from target rather than programmed conductances.
    """
    low = setup.drive.dac.plane_offset
    if not low:
        return None
    units = setup.mapping.unit_targets
    target = setup.target
    cells = (target.shape[0], *target.shape[2:])
    spread = None if units is None else np.broadcast_to(units[:, None, None], cells)
    weights = setup.mapping.decode(target, spread)[:, columns]
    return np.asarray(low * weights.sum(axis=1) * _gain(setup))
