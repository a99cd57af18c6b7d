"""How line currents follow the weights: what training through the converter chain needs to know of the mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from crossohm.chain.contraction.contraction import Dense
from crossohm.chain.lowering.arrays import line_parts, units_of_banks
from crossohm.chain.lowering.setup import Setup, make_setup
from crossohm.chain.operation import Operation
from crossohm.chain.programming.record import Programmed
from crossohm.chain.running.plan import Plan
from crossohm.params import CrossSimParameters


@final
@dataclass(frozen=True)
class StageTangent:
    """Derivatives of the line currents of one stage by the weights, straight through quantisation and write errors.

    Currents and what drives the cells have the units of the stage's readout: those of the user, normalised ones, or
    converter steps. A changing weight moves all its slices by the same part of their range, as input slices do. In
    pairs of cells read apart, a one-sided weight moves the cell of its sign, a two-sided one both.

    Attributes:
        columns: Matrix columns of the stage, within its block.
        positive: Change of each bank's current per change of a weight that is not negative, ``(banks,)``.
        negative: The same for negative weights.
        outputs: The line of each output within a bank.
        lines: Lines of a bank.
    """

    columns: slice
    positive: np.ndarray
    negative: np.ndarray
    outputs: np.ndarray
    lines: int

    @property
    def banks(self) -> int:
        """Number of banks."""
        return len(self.positive)


def tangents(plan: Plan, record: Programmed, params: CrossSimParameters) -> tuple[StageTangent, ...]:
    """The derivatives of every stage of an MVM's ``plan`` on the arrays of ``record``, in the user's units."""
    rows, columns = record.shape
    if plan.merged:
        gain = np.array([1.0 if plan.scaled_in_arrays else plan.drive.scale * plan.drive.cell_unit])
        return (StageTangent(slice(0, columns), gain, gain, np.arange(rows), rows),)
    setup = make_setup(record, params, Operation(plan.operation), Dense(columns), np.zeros(1), tapped=False)
    parts = line_parts(setup)
    first = int(setup.units is not None)
    outputs = np.concatenate([np.arange(part.start + first, part.stop) for part in parts])
    shares = _shares(setup)
    found = []
    for part, stage in zip(setup.input_parts, plan.stages, strict=True):
        counting = stage.digitiser.counting if stage.digitiser else None
        units = units_of_banks(plan.drive, counting.levels if counting else None, len(shares))
        positive, negative = (shares * units[:, np.newaxis]).T
        found.append(StageTangent(part, positive, negative, outputs, parts[-1].stop))
    return tuple(found)


def _shares(setup: Setup) -> np.ndarray:
    """Change of each bank's normalised current per weight, for weights of both signs, ``(banks, 2)``."""
    slopes = setup.mapping.slopes(np.array([1.0, -1.0])) / setup.scale
    if setup.mapping.signs == 2 and not setup.keeps_signs:
        slopes = slopes[:, :1] - slopes[:, 1:]
    return np.asarray(slopes.reshape(-1, 2))
