"""Choose, once per programming, the cheapest exact chain of stages for a piece of hardware."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction import Contraction, Dense
from crossohm.chain.digitiser import Counting, Digitiser
from crossohm.chain.drive import Drive
from crossohm.chain.job import Job, make_job
from crossohm.chain.lower_arrays import build_readout, line_parts
from crossohm.chain.plan import Combination, Plan, Stage
from crossohm.chain.programmed import OPERATIONS, Programmed, adc_banks, bank_key
from crossohm.chain.ranges import adc_limits
from crossohm.chain.readout import LinearReadout, NoisyReadout, Readout
from crossohm.chain.wired import apply_wires
from crossohm.circuits.adc import Converter, get_adc
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
    wired = record if solves else apply_wires(record, params, operation)
    job = make_job(wired, params, operation, contraction, like, tapped, solves)
    apart = job.reason_for_stages
    if apart:
        stages = tuple(_stage(job, index) for index in range(len(job.input_parts)))
        note = f"slices, signs and partitions kept apart: {apart}"
    else:
        stages = (_merged_stage(job),)
        note = "slices, signs, partitions and offsets merged into one matrix: nothing distinguishes them"
    stochastic = any(stage.digitiser is not None and stage.digitiser.stochastic for stage in stages)
    return Plan(
        operation=operation,
        contraction=contraction,
        drive=job.drive,
        stages=stages,
        scaled_in_arrays=_scales_in_arrays(job),
        needs_draw=job.noise is not None or stochastic,
        notes=(note, *_caveats(job)),
    )


def _caveats(job: Job) -> Iterator[str]:
    """What else a user should know of this combination."""
    if job.params.xbar.array.parasitics.effective and not job.has_networks:
        yield "wire resistance is in the matrix: the network is linear and was eliminated once (exact)"
    granular = job.digitises and job.adc.adc_range_option is ADCRangeLimits.GRANULAR
    if granular and job.mapping.signs == 1 and job.params.xbar.device.Gmin_norm > 0:
        yield (
            "GRANULAR steps fit differences of conductance levels; the pedestal of the lowest conductance lies between "
            "them, which costs up to half a step per conversion unless infinite_on_off_ratio is set"
        )


def check_hardware(record: Programmed, params: CrossSimParameters) -> None:
    """Raise what lowering either operation would raise, without preparing any kernel."""
    check_devices(params.xbar.device)
    for operation in OPERATIONS:
        converters(record, params, operation)


def converters(
    record: Programmed, params: CrossSimParameters, operation: str
) -> tuple[Drive, tuple[Digitiser, ...] | None]:
    """What inputs pass before the arrays, and currents after those of each input partition (None: no ADC).

    Neither wires nor kernels are needed for it.

    Raises:
        ParameterError: converters cannot be built as described.
    """
    columns = Dense(record.shape[1 if operation == "mvm" else 0])
    job = make_job(record, params, operation, columns, np.zeros(1), tapped=False)
    parts = range(len(job.input_parts))
    return job.drive, tuple(_digitiser(job, index) for index in parts) if job.digitises else None


def _scales_in_arrays(job: Job) -> bool:
    """True if the input scale cancels inside the merged matrix."""
    return job.drive.is_linear and not job.reason_for_stages


def _gain(job: Job) -> float:
    """Result in the user's units per decoded weight and normalised input."""
    return job.scale * (1.0 if _scales_in_arrays(job) else job.drive.scale)


def _merged_stage(job: Job) -> Stage:
    """Everything linear folded into one matrix in the user's units."""
    units = None
    if job.units is not None:
        units = np.repeat(job.units, [part.stop - part.start for part in job.output_parts], axis=1)
    gain = _gain(job)
    weights = job.mapping.decode(job.conductance, units) * gain
    unit = job.drive.cell_unit
    kernel, lines = job.prepare(weights * unit), weights.shape[0]
    readout: Readout = LinearReadout(job.contraction, 1, lines, kernel)
    if job.noise is not None:
        squares = (job.mapping.coefficients * (gain * unit)) ** 2
        variance = np.tensordot(squares, job.noise_variance(job.conductance), axes=([0, 1], [0, 1]))
        readout = NoisyReadout(job.contraction, 1, lines, kernel, job.prepare(variance))
    constant = _digital_constant(job, slice(0, weights.shape[1]))
    combination = Combination(None, None, None, 0.0, None, None if constant is None else job.array(constant))
    return Stage(readout, False, False, None, False, False, None, combination)


def _stage(job: Job, index: int) -> Stage:
    """The arrays of one input partition."""
    columns = job.input_parts[index]
    digitiser = _counted(job, _digitiser(job, index)) if job.digitises else None
    counting = digitiser.counting if digitiser else None
    return Stage(
        readout=build_readout(job, columns, counting.levels if counting else None),
        pairs=job.keeps_signs and not job.separate_adcs,
        limits_difference=job.interleaved,
        limit=job.current_limit,
        bit_planes=job.drives_planes,
        per_plane=job.drives_planes and job.per_plane,
        digitiser=digitiser,
        combination=_combination(job, columns, counting),
    )


def _counted(job: Job, digitiser: Digitiser) -> Digitiser:
    """The converters as rounding of currents in steps, where nothing between cells and ADC needs other units."""
    levels = digitiser.levels
    plain = job.has_linear_cells and job.current_limit is None and not job.tapped
    if levels is None or not plain or not all(map(job.can_count, levels)):
        return digitiser
    start = [own.low * own.density for own in levels]
    return replace(digitiser, counting=Counting(levels, job.array(start) if any(start) else None))


def _digitiser(job: Job, column_part: int) -> Digitiser:
    """One converter per bank and output partition; converters without errors of their own are shared."""
    path = f"xbar.adc.{job.operation}"
    model = get_adc(job.adc.model, path + ".model")
    inputs = job.input_parts[column_part]
    ranges = adc_limits(job.params, job.mapping, job.operation, inputs.stop - inputs.start)
    banks = adc_banks(job.mapping, job.params)
    shared: dict[tuple[float, float], Converter] = {}
    table = []
    for bank in range(banks):
        low, high = ranges[bank * job.mapping.slices // banks]
        model.check(job.adc, low, high, path)
        row = []
        for output_part in range(len(job.output_parts)):
            part = (output_part, column_part) if job.operation == "mvm" else (column_part, output_part)
            own = _own_mismatch(job, bank_key(job.operation, part, bank))
            if own:
                row.append(model.build(job.adc, low, high, own))
                continue
            if (low, high) not in shared:
                shared[low, high] = model.build(job.adc, low, high, {})
            row.append(shared[low, high])
        table.append(tuple(row))
    return Digitiser(tuple(table), line_parts(job))


def _own_mismatch(job: Job, key: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(key): value for name, value in job.mismatch.items() if name.startswith(key)}


def _combination(job: Job, columns: slice, counting: Counting | None) -> Combination:
    gain = _gain(job)
    table = job.mapping.coefficients * gain
    coefficients = table.reshape(-1) if job.separate_adcs else table[:, 0]
    constant = _digital_constant(job, columns)
    if counting is not None:
        constant = _add(constant, _level_zero(job, coefficients, counting))
        coefficients = coefficients * [levels.step for levels in counting.levels]
    offset = 0.0 if job.units is not None else job.mapping.offset * gain * job.drive.unit
    outputs, units = _unit_indices(job) if job.units is not None else (None, None)
    sums = job.conductance.shape[2] if job.contraction.row_groups > 1 else 1
    return Combination(
        coefficients=tuple(map(float, coefficients)),
        outputs=outputs,
        units=units,
        offset=offset,
        ones=job.prepare(np.ones((sums, columns.stop - columns.start)), columns.start) if offset else None,
        constant=None if constant is None else job.array(constant),
    )


def _level_zero(job: Job, coefficients: np.ndarray, counting: Counting) -> np.ndarray | None:
    """What level 0 of the converters stands for, ``(outputs,)``; unit lines have it as well and take it away."""
    low = np.array([levels.low for levels in counting.levels])
    if job.units is not None or not low.any():
        return None
    conversions = sum(job.drive.dac.plane_weights) if job.per_plane else 1.0
    return np.full(job.conductance.shape[2], (coefficients * low).sum() * conversions)


def _add(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    return second if first is None else first if second is None else first + second


def _unit_indices(job: Job) -> tuple[Array, Array]:
    """For every output, the physical line it is and the unit line it is compared with."""
    outputs, units = [], []
    for part in line_parts(job):
        outputs += list(range(part.start + 1, part.stop))
        units += [part.start] * (part.stop - part.start - 1)
    backend = backend_of(job.like)
    return backend.indices(outputs, job.like), backend.indices(units, job.like)


def _digital_constant(job: Job, columns: slice) -> np.ndarray | None:
    """What the DAC's lowest code contributes when only the bits above it drive the arrays.

    It is known digitally, hence computed from target rather than programmed conductances.
    """
    low = job.drive.dac.plane_offset
    if not low:
        return None
    units = job.mapping.unit_targets
    target = job.target
    cells = (target.shape[0], *target.shape[2:])
    spread = None if units is None else np.broadcast_to(units[:, None, None], cells)
    weights = job.mapping.decode(target, spread)[:, columns]
    return np.asarray(low * weights.sum(axis=1) * _gain(job))
