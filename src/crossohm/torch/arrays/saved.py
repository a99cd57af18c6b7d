"""The chip of a layer as one tensor of bytes: what ``state_dict`` carries besides the parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crossohm.errors import DataError
from crossohm.layers.saved_chip import Layer, SavedChip


def pack_chip(layer: Layer) -> Tensor:
    """Hardware and programmed arrays of a layer, as a tensor of bytes."""
    return torch.frombuffer(bytearray(SavedChip.of(layer).to_bytes()), dtype=torch.uint8)


def unpack_chip(layer: Layer, state: Any) -> SavedChip:
    """Read what `pack_chip` made.

    Raises:
        DataError: the state is damaged, or no saved chip.
    """
    source = f"chip of {type(layer).__name__} {layer.core_name!r}"
    if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.ndim != 1:
        raise DataError(f"{source}: the state to load is no tensor of bytes, as get_extra_state returns it")
    return SavedChip.from_bytes(state.cpu().numpy().tobytes(), source)
