"""Choose, once per programming, the cheapest exact chain of stages for a piece of hardware."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction import Contraction, Dense
from crossohm.chain.digitiser import Digitiser
from crossohm.chain.job import Job, make_job
from crossohm.chain.lower_arrays import build_readout, line_parts
from crossohm.chain.network_readout import NetworkReadout
from crossohm.chain.plan import Combination, Plan, Stage
from crossohm.chain.programmed import OPERATIONS, Programmed, adc_banks, bank_key, subtracts_in_array
from crossohm.chain.ranges import adc_limits
from crossohm.chain.readout import (
    LinearReadout,
    NoisyReadout,
    PolynomialReadout,
    Readout,
    SampledReadout,
)
from crossohm.chain.stacked import StackedReadout
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
) -> Plan:
    """The plan of ``operation`` for inputs of the library, dtype and device of ``like``.

    Args:
        record: The programmed arrays, or what `apply_wires` made of them for this operation.
        params: The hardware; the same as at programming.
        operation: ``"mvm"`` (W x) or ``"vmm"`` (x W).
        contraction: The front end's linear map.
        like: Any array of the library, dtype and device of the inputs to come.
        tapped: True if a tap will look at what the ADCs see, even where there is no ADC.

    Raises:
        ParameterError: converters or device models cannot be built as described.
    """
    job = make_job(apply_wires(record, params, operation), params, operation, contraction, like, tapped)
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
    for operation, length in zip(OPERATIONS, record.shape[::-1], strict=True):
        job = make_job(record, params, operation, Dense(length), np.zeros(1), tapped=False)
        if job.digitises:
            for index in range(len(job.input_parts)):
                _digitiser(job, index)


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
    kernel, lines = job.prepare(weights), weights.shape[0]
    readout: Readout = LinearReadout(job.contraction, 1, lines, kernel)
    if job.noise is not None:
        squares = (job.mapping.coefficients * gain) ** 2
        variance = np.tensordot(squares, job.noise_variance(job.conductance), axes=([0, 1], [0, 1]))
        readout = NoisyReadout(job.contraction, 1, lines, kernel, job.prepare(variance))
    constant = _digital_constant(job, slice(0, weights.shape[1]))
    combination = Combination(None, None, None, 0.0, None, constant)
    return Stage(readout, False, False, None, False, False, None, combination)


def _stage(job: Job, index: int) -> Stage:
    """The arrays of one input partition."""
    columns = job.input_parts[index]
    readout = build_readout(job, columns)
    planes = job.drive.dac.sliced and (job.per_plane or _planes_matter(job, readout))
    return Stage(
        readout=readout,
        pairs=job.keeps_signs and not job.separate_adcs,
        limits_difference=job.interleaved,
        limit=job.current_limit,
        bit_planes=planes,
        per_plane=planes and job.per_plane,
        digitiser=_digitiser(job, index) if job.digitises else None,
        combination=_combination(job, columns),
    )


def _planes_matter(job: Job, readout: Readout) -> bool:
    """True if driving input slices one by one differs from driving their sum."""
    cellwise = PolynomialReadout | SampledReadout | NetworkReadout | StackedReadout
    return job.current_limit is not None or isinstance(readout, cellwise)


def _digitiser(job: Job, column_part: int) -> Digitiser:
    """One converter per bank and output partition; converters without errors of their own are shared."""
    path = f"xbar.adc.{job.operation}"
    model = get_adc(job.adc.model, path + ".model")
    inputs = job.input_parts[column_part]
    ranges = adc_limits(
        job.params, job.mapping, job.operation, inputs.stop - inputs.start, subtracts_in_array(job.params)
    )
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


def _combination(job: Job, columns: slice) -> Combination:
    gain = _gain(job)
    coefficients = job.mapping.coefficients * gain
    offset = 0.0 if job.units is not None else job.mapping.offset * gain
    outputs, units = _unit_indices(job) if job.units is not None else (None, None)
    sums = job.conductance.shape[2] if job.contraction.row_groups > 1 else 1
    return Combination(
        coefficients=job.array(coefficients.reshape(-1) if job.separate_adcs else coefficients[:, 0]),
        outputs=outputs,
        units=units,
        offset=offset,
        ones=job.prepare(np.ones((sums, columns.stop - columns.start)), columns.start) if offset else None,
        constant=_digital_constant(job, columns),
    )


def _unit_indices(job: Job) -> tuple[Array, Array]:
    """For every output, the physical line it is and the unit line it is compared with."""
    outputs, units = [], []
    for part in line_parts(job):
        outputs += list(range(part.start + 1, part.stop))
        units += [part.start] * (part.stop - part.start - 1)
    backend = backend_of(job.like)
    return backend.indices(outputs, job.like), backend.indices(units, job.like)


def _digital_constant(job: Job, columns: slice) -> Array | None:
    """What the DAC's lowest code contributes when only the bits above it drive the arrays.

    It is known digitally, hence computed from target rather than programmed conductances.
    """
    low = job.drive.dac.plane_offset
    if not low:
        return None
    units = job.mapping.unit_targets
    cells = (job.target.shape[0], *job.target.shape[2:])
    spread = None if units is None else np.broadcast_to(units[:, None, None], cells)
    weights = job.mapping.decode(job.target, spread)[:, columns]
    return job.array(low * weights.sum(axis=1) * _gain(job))
