"""The chip of a layer as one tensor of bytes: what ``state_dict`` carries besides the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor

from crossohm.backends.fingerprint import VERSION
from crossohm.errors import DataError
from crossohm.layers.hardware import LayerHardware, hardware_of_matrices
from crossohm.layers.held_matrix import Owner
from crossohm.layers.layout import Layout
from crossohm.layers.saved_chip import SavedChip
from crossohm.torch.arrays.held import HeldMatrix


class Layer(Owner, Protocol):
    """A layer whose chip is saved."""

    @property
    def rows(self) -> Any:
        """Matrix columns per bias, in the kind's own form."""

    @property
    def params(self) -> LayerHardware:
        """Its hardware."""

    @property
    def matrices(self) -> tuple[HeldMatrix, ...]:
        """What it holds in arrays."""


def pack_chip(layer: Layer) -> Tensor:
    """Hardware and programmed arrays of a layer, as a tensor of bytes."""
    chip = SavedChip(
        rows=layer.rows,
        name=layer.name,
        params=layer.params,
        cores=tuple(matrix.built for matrix in layer.matrices),
        written=tuple(matrix.written for matrix in layer.matrices),
        dtypes=tuple(matrix.dtypes for matrix in layer.matrices),
        current=tuple(matrix.is_written() for matrix in layer.matrices),
        fingerprints=VERSION,
    )
    return torch.frombuffer(bytearray(chip.to_bytes()), dtype=torch.uint8)


def unpack_chip(layer: Owner, state: Any) -> SavedChip:
    """Read what `pack_chip` made.

    Raises:
        DataError: the state is damaged, or no saved chip.
    """
    source = f"chip of {type(layer).__name__} {layer.name!r}"
    if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.ndim != 1:
        raise DataError(f"{source}: the state to load is no tensor of bytes, as get_extra_state returns it")
    return SavedChip.from_bytes(state.cpu().numpy().tobytes(), source)


def matrices_of(chip: SavedChip, layer: Owner, layouts: Iterable[Layout]) -> tuple[HeldMatrix, ...]:
    """The chip in ``layer``, whose parameters are loaded already.

    Raises:
        DataError: the layer has other matrices.
    """
    wanted = list(layouts)
    chip.require_shapes([layout.shape for layout in wanted], type(layer).__name__)
    found, hardware = [], hardware_of_matrices(chip.params, len(wanted))
    for index, layout in enumerate(wanted):
        held = HeldMatrix.around(layer, layout, hardware[index], chip.cores[index], chip.written[index])
        if chip.current[index] and not (chip.fingerprints == VERSION and held.dtypes == chip.dtypes[index]):
            held.mark_written()  # the same values in another dtype, or with other fingerprints
        found.append(held)
    return tuple(found)
