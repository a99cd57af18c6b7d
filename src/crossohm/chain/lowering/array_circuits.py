"""The arrays of one operation as networks: which cells and wires belong together, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import numpy as np

from crossohm.chain.lowering.setup import Setup
from crossohm.chain.lowering.wires import unused_rows, wires_of_slice
from crossohm.chain.programming.record import array_name
from crossohm.circuits.grid import DisturbedNetwork, DrivenNetwork, Wires


@final
@dataclass(frozen=True)
class ArrayCircuit:
    """One array, or both arrays of interleaved pairs, as an operation drives and reads it.

    Attributes:
        name: Name as in `PhysicalArray`; interleaved pairs end in ``+-``.
        partition: Output and input partition in its block, as in `PhysicalArray`.
        weight_slice: Weight slice.
        signs: Signs in the network: one, or both of interleaved pairs.
        outputs: Outputs of the array, in the block.
        inputs: Inputs of the array, in the block.
        g: Conductances ``(signs, lines, inputs)``, normalised; line 0 is the unit line, if there is one.
        wires: Wire resistances.
        gated: True if inputs select rows on lines of a separate supply, False if they drive the input lines.
        unused: Unselected positions of each line (gated only).
        unused_at: Where they are, ``"top"`` or ``"bottom"``.
    """

    name: str
    partition: tuple[int, int]
    weight_slice: int
    signs: slice
    outputs: slice
    inputs: slice
    g: np.ndarray
    wires: Wires
    gated: bool
    unused: int
    unused_at: Literal["top", "bottom"]

    @cached_property
    def disturbed(self) -> DisturbedNetwork:
        """The same network for cells that deviate in every read (linear cells, driven by their input lines)."""
        return DisturbedNetwork(self.g, self.wires)

    @cached_property
    def driven(self) -> DrivenNetwork:
        """The same network for a few vectors and cells as they are."""
        return DrivenNetwork(self.g, self.wires)


def circuits_of(setup: Setup) -> Iterator[ArrayCircuit]:
    """Every network of a block, by matrix row partition, column partition, slice and sign."""
    forward = setup.operation == "mvm"
    sides = (setup.output_parts, setup.input_parts)
    per_network = setup.mapping.signs if setup.interleaved else 1
    for row, column in np.ndindex(*(len(side) for side in (sides if forward else sides[::-1]))):
        output, input_ = (row, column) if forward else (column, row)
        for s in range(setup.mapping.slices):
            for k in range(0, setup.mapping.signs, per_network):
                yield _network(setup, (row, column), (output, input_), s, slice(k, k + per_network))


def _network(
    setup: Setup, partition: tuple[int, int], part: tuple[int, int], slice_: int, signs: slice
) -> ArrayCircuit:
    outputs, inputs = setup.output_parts[part[0]], setup.input_parts[part[1]]
    g = setup.conductance[slice_, signs, outputs, inputs]
    if setup.units is not None:
        g = np.concatenate([setup.units[slice_, np.newaxis, part[0] : part[0] + 1, inputs], g], axis=1)
    parasitics = setup.params.xbar.array.parasitics
    name = array_name(*partition, slice_, signs.start, setup.mapping.signs)
    return ArrayCircuit(
        name=f"{setup.name}/{name}{'-' if setup.interleaved else ''}",
        partition=partition,
        weight_slice=slice_,
        signs=signs,
        outputs=outputs,
        inputs=inputs,
        g=np.asarray(g, dtype=np.float64),
        wires=wires_of_slice(setup.params, setup.operation, slice_),
        gated=parasitics.effective and not parasitics.current_from_input,
        unused=unused_rows(setup.params, setup.operation, g.shape[2]),
        unused_at=parasitics.selected_rows,
    )
