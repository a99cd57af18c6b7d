"""The arrays of one operation as circuits: which cells and wires belong together, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crossohm.chain.lowering.setup import Setup
from crossohm.chain.lowering.wires import unused_rows, wires_of_slice
from crossohm.chain.programming.places import ArrayPlace
from crossohm.chain.running.circuit import ArrayCircuit


def circuits_of(setup: Setup) -> Iterator[ArrayCircuit]:
    """Every circuit of a block, by matrix row partition, column partition, slice and sign."""
    return (_circuit(setup, place) for place in setup.record.places(interleaved=setup.interleaved))


def _circuit(setup: Setup, place: ArrayPlace) -> ArrayCircuit:
    operation = setup.operation
    (output, _), (outputs, inputs) = operation.order(*place.partition), operation.order(place.rows, place.columns)
    g = setup.conductance[place.weight_slice, place.signs, outputs, inputs]
    if setup.units is not None:
        g = np.concatenate([setup.units[place.weight_slice, np.newaxis, output : output + 1, inputs], g], axis=1)
    parasitics = setup.params.xbar.array.parasitics
    return ArrayCircuit(
        name=f"{setup.name}/{place.name}",
        product=operation.product,
        partition=place.partition,
        weight_slice=place.weight_slice,
        signs=place.signs,
        outputs=outputs,
        inputs=inputs,
        g=np.asarray(g, dtype=np.float64),
        wires=wires_of_slice(setup.params, operation, place.weight_slice),
        gated=parasitics.effective and not parasitics.current_from_input,
        unused=unused_rows(setup.params, operation, g.shape[2]),
        unused_at=parasitics.selected_rows,
    )
