"""What CrossSim's calibration scripts ask of a network: all values that arrays and ADCs saw, and all conductances.

Everything is kept, so that memory grows with the data; `profile` keeps histograms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from crossohm.backends import backend_of
from crossohm.chain import AnalogCore
from crossohm.chain.programming.record import Programmed
from crossohm.errors import UnsupportedError
from crossohm.params import CoreStyle
from crossohm.torch.conversion.convert import analog_modules


def get_profiled_xbar_inputs(model: nn.Module, inputs: Tensor | Iterable[Tensor] | None = None) -> list[np.ndarray]:
    """All inputs of each layer's arrays while the model runs on ``inputs``.

    CrossSim recorded what a model had seen since a switch was set; here the run is part of the call.

    Args:
        model: A network with analog layers, or one layer.
        inputs: What the model is given: one batch, or several.

    Returns:
        For each layer of `analog_modules`, in that order, the inputs of all its matrices in the user's units, before
        the DAC, ``(values,)``: with the zeros of padding, without the ones of bias columns.

    Raises:
        UnsupportedError: no inputs are given.
    """
    return [np.concatenate([_flat(seen.inputs) for seen in taps]) for taps in _seen(model, inputs, "xbar")]


def get_profiled_adc_inputs(model: nn.Module, inputs: Tensor | Iterable[Tensor] | None = None) -> list[np.ndarray]:
    """All currents that each layer's ADCs see (or would see, where there are none) while the model runs on ``inputs``.

    Args:
        model: A network with analog layers, or one layer.
        inputs: What the model is given: one batch, or several.

    Returns:
        For each layer of `analog_modules`, in that order, normalised currents, ``(input slices, values)``, or ``(weight
        slices, input slices, values)`` of BITSLICED layers, least significant first. There is one input slice unless
        each is digitised by itself (``adc_per_ibit``). Values of all matrices and partitions, and of both signs where
        they are digitised apart, follow each other.

    Raises:
        UnsupportedError: no inputs are given.
    """
    found = []
    for layer, taps in zip(analog_modules(model), _seen(model, inputs, "adc"), strict=True):
        core = layer.matrices[0].core.params.core
        slices = core.bit_sliced.num_slices if core.style is CoreStyle.BITSLICED else 1
        values = np.concatenate([seen.sliced(slices) for seen in taps], axis=2)
        found.append(values if core.style is CoreStyle.BITSLICED else values[0])
    return found


def get_conductance_matrices(model: nn.Module) -> list[dict[str, Any]]:
    """Conductances of all arrays, programming errors and drift included.

    Args:
        model: A network with analog layers, or one layer.

    Returns:
        For each matrix of each layer of `analog_modules`, in that order, a dictionary: ``core_style`` (``"BALANCED"``,
        ``"OFFSET"`` or ``"BITSLICED"``), ``bitsliced_core_style`` (``"NONE"`` where not sliced), ``num_slices``, and
        ``Gmats``, a list over partitions, row by row over output, then input partitions. An entry has arrays
        ``Gmat_pos`` and ``Gmat_neg``, or ``Gmat``, ``(outputs, inputs)``, normalised to Gmax; sliced, it is a list of
        such entries, least significant slice first. A unit column is the first output.
    """
    return [_conductances(matrix.core) for layer in analog_modules(model) for matrix in layer.matrices]


@final
class _Everything:
    """A tap that keeps all it sees."""

    def __init__(self) -> None:
        self.inputs: list[np.ndarray] = []
        self.currents: dict[tuple[int, int], list[np.ndarray]] = defaultdict(list)  # of input slice and bank

    def xbar_inputs(self, x: Any, operation: str, constants: int) -> None:
        """Keep the inputs of an operation without the last ``constants``."""
        self.inputs.append(backend_of(x).to_numpy(x[:, : x.shape[1] - constants]).copy())

    def adc_inputs(self, currents: Any, operation: str, partition: int, plane: int) -> None:
        """Keep what one conversion sees, ``(batch, banks, lines, *positions)``."""
        for bank in range(currents.shape[1]):
            self.currents[plane, bank].append(backend_of(currents).to_numpy(currents[:, bank]).copy())

    def sliced(self, slices: int) -> np.ndarray:
        """``(weight slices, input slices, values)``."""
        planes, banks = (1 + max((key[axis] for key in self.currents), default=0) for axis in (0, 1))
        signs = max(1, banks // slices)
        return np.stack(
            [[self._of(plane, slice_ * signs, signs) for plane in range(planes)] for slice_ in range(slices)]
        )

    def _of(self, plane: int, first: int, banks: int) -> np.ndarray:
        return _flat(part for bank in range(first, first + banks) for part in self.currents[plane, bank])


def _flat(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(part.ravel() for part in parts)])


def _seen(model: nn.Module, inputs: Tensor | Iterable[Tensor] | None, what: str) -> list[list[_Everything]]:
    """What each matrix of each analog layer sees."""
    if inputs is None:
        raise UnsupportedError(
            f"get_profiled_{what}_inputs(model): arrays keep no record of what they saw; give the inputs to run the "
            f"model on, get_profiled_{what}_inputs(model, images), or record histograms: "
            "with crossohm.torch.profile(model) as seen: model(images)"
        )
    taps = [[(matrix.core, _Everything()) for matrix in layer.matrices] for layer in analog_modules(model)]
    with ExitStack() as stack, torch.no_grad():
        for core, tap in (pair for layer in taps for pair in layer):
            stack.enter_context(core.tapped(tap))
        for batch in [inputs] if isinstance(inputs, Tensor) else inputs:
            model(batch)
    return [[tap for _, tap in layer] for layer in taps]


def _conductances(core: AnalogCore) -> dict[str, Any]:
    mapping = core.params.core
    sliced = mapping.style is CoreStyle.BITSLICED
    matrices = [
        [_signs(record, slice_, part) for slice_ in range(record.conductance.shape[0])]
        for record, part in _partitions(core)
    ]
    return {
        "core_style": mapping.style.name,
        "bitsliced_core_style": mapping.bit_sliced.style.name if sliced else "NONE",
        "num_slices": mapping.bit_sliced.num_slices if sliced else 1,
        "Gmats": matrices if sliced else [slices[0] for slices in matrices],
    }


def _partitions(core: AnalogCore) -> Iterable[tuple[Programmed, tuple[int, int]]]:
    for block in core.blocks:
        for r in range(len(block.record.row_parts)):
            for c in range(len(block.record.column_parts)):
                yield block.record, (r, c)


def _signs(record: Programmed, slice_: int, part: tuple[int, int]) -> dict[str, np.ndarray]:
    rows, columns = record.row_parts[part[0]], record.column_parts[part[1]]
    cells = record.conductance[slice_, :, rows, columns]
    if len(cells) == 2:
        return {"Gmat_pos": cells[0].copy(), "Gmat_neg": cells[1].copy()}
    units = record.units.get("mvm")
    if units is None:
        return {"Gmat": cells[0].copy()}
    return {"Gmat": np.concatenate([units[slice_, part[0], None, columns], cells[0]])}
