"""One input vector on every array of a core, to look inside: netlists and operating points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from crossohm.backends import backend_of
from crossohm.chain.contraction.contraction import Dense
from crossohm.chain.dtypes import joint_dtype
from crossohm.chain.intake import as_array
from crossohm.chain.lowering.array_circuits import circuits_of
from crossohm.chain.lowering.setup import Setup, make_setup
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.chain.programming.state import CoreState
from crossohm.chain.running.circuit import ArrayCircuit
from crossohm.chain.running.drive import Drive
from crossohm.errors import CrossOhmError, InputError, ShapeError, UnsupportedError


@final
@dataclass(frozen=True)
class Stimulus:
    """One array and the voltages applied to it.

    Attributes:
        block: The block of the core that holds the array.
        setup: The operation on that block.
        network: The array.
        partition: Output and input partition of the core, as in `PhysicalArray`.
        voltages: Normalised voltages of its inputs.
    """

    block: Block
    setup: Setup
    network: ArrayCircuit
    partition: tuple[int, int]
    voltages: np.ndarray


def stimuli(state: CoreState, x: Any, operation: str, input_slice: int | None) -> Iterator[Stimulus]:
    """Every array of a core with what ``x`` applies to it, by block, partition, slice and sign.

    Args:
        state: The core.
        x: Input vector in the user's units, ``(N,)`` for ``"mvm"`` or ``(M,)`` for ``"vmm"``.
        operation: ``"mvm"`` (``core @ x``) or ``"vmm"`` (``x @ core``).
        input_slice: With input bit slicing, the slice to apply, 0 = least significant; None without.

    Raises:
        ShapeError: ``x`` does not fit the core.
        InputError: ``x`` is complex, or holds NaN or infinity.
        CrossOhmError: ``operation`` or ``input_slice`` does not exist.
        UnsupportedError: The core is complex.
    """
    which = Operation(operation)
    if state.complex_valued:
        raise UnsupportedError(
            "the arrays of a complex core hold several parts of its matrix; build a core from the real or the "
            "imaginary part instead"
        )
    vector = _input_vector(state, x, which)
    for block in state.blocks:
        part = vector[np.newaxis, block.part(1 - which.axis)]
        setup = make_setup(block.record, block.params, which, Dense(part.shape[1]), part, tapped=False)
        voltages = _voltages(setup.drive, part, input_slice, which)[0]
        row, column = state.first_partition(block)
        for network in circuits_of(setup):
            partition = (row + network.partition[0], column + network.partition[1])
            yield Stimulus(block, setup, network, partition, voltages[network.inputs])


def _input_vector(state: CoreState, x: Any, operation: Operation) -> np.ndarray:
    """``x`` on the host, in the dtype in which the core would compute."""
    given = as_array(x)
    backend = backend_of(given)
    dtype = backend.dtype_name(given)
    length = state.shape[1 - operation.axis]
    if tuple(given.shape) != (length,):
        raise ShapeError(f"x has shape {tuple(given.shape)}; {operation} of a core of shape {state.shape}: ({length},)")
    if not dtype.startswith(("float", "int", "uint", "bool", "bfloat")):
        raise InputError(f"x has dtype {dtype}; pass real numbers")
    vector = np.asarray(backend.to_numpy(given)).astype(joint_dtype(state.dtype, dtype))
    if not np.all(np.isfinite(vector)):
        raise InputError("x holds NaN or infinity; no source applies them, pass finite numbers")
    return vector


def _voltages(drive: Drive, x: np.ndarray, input_slice: int | None, operation: Operation) -> np.ndarray:
    """Normalised array voltages ``(1, features)`` of all bits, or of one input slice."""
    quantised = drive.dac.quantize(drive.normalise(x)[0])
    count = len(drive.dac.plane_weights)
    if not drive.dac.sliced:
        if input_slice is not None:
            raise CrossOhmError(
                f"input_slice is {input_slice!r}, but xbar.dac.{operation}.input_bitslicing is False; pass None"
            )
        return np.asarray(quantised)
    if isinstance(input_slice, bool) or not isinstance(input_slice, int | np.integer) or not 0 <= input_slice < count:
        raise CrossOhmError(
            f"input_slice is {input_slice!r}, and inputs are applied in {count} slices "
            f"(xbar.dac.{operation}.input_bitslicing); pass one of 0 to {count - 1}, 0 = least significant"
        )
    return np.asarray(drive.dac.planes(quantised, input_slice, input_slice + 1)[0])
