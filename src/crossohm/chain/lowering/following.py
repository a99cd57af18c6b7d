"""Plans whose leaves follow the weights: training through the converter chain, in any library that differentiates.

A plan is a function of its leaves. Their values stay those of the chip; their gradient is made that of the mapping, so
that the gradient of a product reaches the weights through every stage, and ends where converters clip. Rounding,
programming errors and wires are passed straight through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.contraction.contraction import Dense, Kernel
from crossohm.chain.lowering.arrays import line_parts, units_of_banks
from crossohm.chain.lowering.setup import Setup, make_setup
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.chain.running.leaves import join, split
from crossohm.chain.running.plan import Plan, Stage
from crossohm.chain.running.readout import LinearReadout, NoisyReadout, PolynomialReadout, Readout, SampledReadout
from crossohm.chain.running.stacked_readout import StackedReadout
from crossohm.errors import UnsupportedError


def require_followed(plan: Plan) -> None:
    """Raise where arrays are solved outside of what differentiates.

    Raises:
        UnsupportedError: the currents of a stage have no gradient.
    """
    for stage in plan.stages:
        parts = stage.readout.parts if isinstance(stage.readout, StackedReadout) else (stage.readout,)
        if not isinstance(parts[0], LinearReadout | NoisyReadout | PolynomialReadout | SampledReadout):
            raise UnsupportedError(
                f"gradient = 'chain': {stage.readout.reason}; such arrays are solved outside of autograd. Use "
                "gradient = 'programmed'"
            )


@final
@dataclass(frozen=True)
class Following:
    """What it takes to let the plan of a block follow weights; numbers of the chip are arrays, leaves like a plan's.

    Attributes:
        rows: Of the block in the matrix.
        columns: Of the block in the matrix.
        limits: Weights beyond these two are clipped, and have no gradient.
        stages: For each stage of the plan.
    """

    rows: slice
    columns: slice
    limits: np.ndarray
    stages: tuple[Slopes, ...]


def following(plan: Plan, how: Following, weights: Array) -> Plan:
    """The plan of an MVM whose leaves have the gradient of the mapping by the weights; their values stay.

    Args:
        plan: Of the block.
        how: Of the same block, see `slopes_of`.
        weights: Ideal weights of the block ``(outputs, inputs)``, an expression of what is trained, in the library and
            dtype of the plan. Where hardware clips them, they get no gradient.
    """
    backend = backend_of(weights)
    low, high = (_alike(how.limits[index], weights) for index in range(2))
    inside = (weights >= low) & (weights <= high)
    weights = backend.xp.where(inside, weights, backend.detached(weights))
    stages = [_stage(plan, stage, slopes, weights) for stage, slopes in zip(plan.stages, how.stages, strict=True)]
    combination = stages[0].combination
    if combination.constant is not None:
        digital = plan.drive.dac.plane_offset * plan.drive.scale * backend.xp.sum(weights, axis=1)
        constant = combination.constant + (digital - backend.detached(digital))
        stages[0] = replace(stages[0], combination=replace(combination, constant=constant))
    return replace(plan, stages=tuple(stages))


@final
@dataclass(frozen=True)
class Slopes:
    """Derivatives of the line currents of one stage by the weights.

    Currents and what drives the cells have the units of the stage's readout: those of the user, normalised ones, or
    converter steps. A changing weight moves all its slices by the same part of their range, as input slices do. In
    pairs of cells read apart, a one-sided weight moves the cell of its sign, a two-sided one both.

    Attributes:
        columns: Matrix columns of the stage, within its block.
        positive: Change of each bank's current per change of a weight that is not negative, ``(banks,)``.
        negative: The same for negative weights.
        output_of: The output that each line of a bank is; their number for unit lines, which hold no weights.
        outputs: Number of outputs.
    """

    columns: slice
    positive: np.ndarray
    negative: np.ndarray
    output_of: tuple[int, ...]
    outputs: int


def slopes_of(plan: Plan, block: Block) -> Following:
    """How the plan of a block follows its weights.

    Args:
        plan: Of an MVM of the block.
        block: The arrays.
    """
    return Following(block.rows, block.columns, np.array(block.clips_beyond), tuple(_slopes(plan, block)))


def _slopes(plan: Plan, block: Block) -> Iterator[Slopes]:
    """The derivatives of every stage."""
    rows, columns = block.record.shape
    if plan.merged:
        gain = np.array([1.0 if plan.scaled_in_arrays else plan.drive.scale * plan.drive.cell_unit])
        yield Slopes(slice(0, columns), gain, gain, tuple(range(rows)), rows)
        return
    setup = make_setup(block.record, block.params, Operation(plan.operation), Dense(columns), np.zeros(1), tapped=False)
    parts, first = line_parts(setup), int(setup.units is not None)
    output_of = np.full(parts[-1].stop, rows)
    output_of[np.concatenate([np.arange(part.start + first, part.stop) for part in parts])] = np.arange(rows)
    shares = _shares(setup)
    for part, stage in zip(setup.input_parts, plan.stages, strict=True):
        counting = stage.digitiser.counting if stage.digitiser else None
        units = units_of_banks(plan.drive, counting.levels if counting else None, len(shares))
        positive, negative = (shares * units[:, np.newaxis]).T
        yield Slopes(part, positive, negative, tuple(output_of.tolist()), rows)


def _shares(setup: Setup) -> np.ndarray:
    """Change of each bank's normalised current per weight, for weights of both signs, ``(banks, 2)``."""
    slopes = setup.mapping.slopes(np.array([1.0, -1.0])) / setup.scale
    if setup.mapping.signs == 2 and not setup.keeps_signs:
        slopes = slopes[:, :1] - slopes[:, 1:]
    return np.asarray(slopes.reshape(-1, 2))


def _stage(plan: Plan, stage: Stage, slopes: Slopes, weights: Array) -> Stage:
    banks = _of_banks(weights[:, slopes.columns], slopes, plan.contraction.row_groups)
    kernel = plan.contraction.prepare(banks, slopes.columns.start)
    return replace(stage, readout=_readout(stage.readout, banks, kernel))


def _of_banks(weights: Array, slopes: Slopes, groups: int) -> Array:
    """What stands for the conductances of all lines, in the order of a kernel's rows: only its gradient is used."""
    backend = backend_of(weights)
    xp = backend.xp
    positive, negative = (_alike(part, weights)[:, None, None] for part in (slopes.positive, slopes.negative))
    moved = xp.where(weights >= 0, positive, negative) * weights
    if len(slopes.output_of) != slopes.outputs:
        moved = xp.concat([moved, xp.zeros_like(moved[:, :1])], axis=1)
        moved = xp.take(moved, backend.indices(np.array(slopes.output_of), weights), axis=1)
    banks, lines, columns = moved.shape
    return xp.reshape(xp.moveaxis(xp.reshape(moved, (banks, groups, lines // groups, columns)), 1, 0), (-1, columns))


def _alike(value: Array, like: Array) -> Array:
    """Numbers, of the host or of the library already, in the library and dtype of ``like``."""
    backend = backend_of(like)
    if isinstance(value, np.ndarray | np.generic):
        return backend.asarray(value, like)
    return backend.astype(value, backend.dtype_name(like))


def _readout(readout: Readout, banks: Array, kernel: Kernel) -> Readout:
    """The readout with the gradient of ``banks``, or of the kernel made of it; nonlinear cells count as linear."""
    if isinstance(readout, StackedReadout):
        size = banks.shape[0] // len(readout.parts)
        parts = (_readout(part, banks[k * size : (k + 1) * size], kernel) for k, part in enumerate(readout.parts))
        return replace(readout, parts=tuple(parts))
    if isinstance(readout, SampledReadout):
        backend = backend_of(banks)
        moved = backend.xp.reshape(banks, readout.conductance.shape)
        return replace(readout, conductance=backend.straight_through(readout.conductance, moved))
    if isinstance(readout, PolynomialReadout):
        linear = {power: own if power != 1 else _moving(own, kernel) for power, own in readout.kernels}
        return replace(readout, kernels=tuple(linear.items()))
    assert isinstance(readout, LinearReadout | NoisyReadout)
    return replace(readout, kernel=_moving(readout.kernel, kernel))


def _moving(kernel: Kernel, moved: Kernel) -> Kernel:
    """A kernel with the gradient of another one."""
    structure, values = split((kernel,))
    pairs = zip(values, split((moved,))[1], strict=True)
    (found,) = join(structure, [backend_of(value).straight_through(value, surrogate) for value, surrogate in pairs])
    return found
