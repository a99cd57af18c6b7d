"""The chip of a layer as one tensor of bytes: what ``state_dict`` carries besides the parameters.

The bytes are a safetensors file that holds the files of the layer's cores (`AnalogCore.to_bytes`), facts about the
layer as JSON, and a checksum of everything. Reading them runs no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor

from crossohm.chain import AnalogCore
from crossohm.chain.programming.storage import damaged, read_tensors
from crossohm.errors import DataError
from crossohm.layers.hardware import LayerHardware, hardware_as_data, hardware_from_data, hardware_of_matrices
from crossohm.layers.layout import Layout
from crossohm.torch.arrays.fingerprint import VERSION
from crossohm.torch.arrays.held import HeldMatrix, Owner

FORMAT = "crossohm-layer-1"


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


@final
@dataclass(frozen=True)
class Chip:
    """What `pack_chip` keeps of a layer.

    Attributes:
        rows: Matrix columns per bias, in the kind's own form.
        name: Name of the layer's cores.
        params: Hardware of the layer.
        cores: The arrays of each matrix.
        written: For each matrix, fingerprints of the parameters it was written from.
        dtypes: For each matrix, dtypes of these parameters.
        current: For each matrix, whether it held the parameters of its time.
        comparable: Whether the fingerprints are of the present kind.
    """

    rows: Any
    name: str
    params: LayerHardware
    cores: tuple[AnalogCore, ...]
    written: tuple[tuple[int, ...], ...]
    dtypes: tuple[list[str], ...]
    current: tuple[bool, ...]
    comparable: bool

    def matrices(self, layer: Owner, layouts: Iterable[Layout]) -> tuple[HeldMatrix, ...]:
        """The chip in ``layer``, whose parameters are loaded already.

        Raises:
            DataError: the layer has other matrices.
        """
        wanted = list(layouts)
        shapes = [layout.shape for layout in wanted]
        if shapes != [core.shape for core in self.cores]:
            raise DataError(
                f"the saved chip {self.name!r} holds matrices of shapes {[core.shape for core in self.cores]}, but the "
                f"{type(layer).__name__} it is loaded into has {shapes}; load it into a layer of the same kind and size"
            )
        found, hardware = [], hardware_of_matrices(self.params, len(wanted))
        for index, layout in enumerate(wanted):
            held = HeldMatrix.around(layer, layout, hardware[index], self.cores[index], self.written[index])
            if self.current[index] and not (self.comparable and held.dtypes == self.dtypes[index]):
                held.mark_written()  # the same values in another dtype, or with other fingerprints
            found.append(held)
        return tuple(found)


def pack_chip(layer: Layer) -> Tensor:
    """Hardware and programmed arrays of a layer, as a tensor of bytes."""
    facts = {
        "rows": layer.rows,
        "name": layer.name,
        "params": hardware_as_data(layer.params),
        "written": [matrix.written for matrix in layer.matrices],
        "dtypes": [matrix.dtypes for matrix in layer.matrices],
        "current": [matrix.is_written() for matrix in layer.matrices],
        "fingerprints": VERSION,
    }
    text = json.dumps(facts, default=int)
    cores = [matrix.built.to_bytes() for matrix in layer.matrices]
    tensors = {str(index): np.frombuffer(core, dtype=np.uint8) for index, core in enumerate(cores)}
    metadata = {"format": FORMAT, "layer": text, "checksum": _checksum(text, cores)}
    return torch.frombuffer(bytearray(save(tensors, metadata=metadata)), dtype=torch.uint8)


def unpack_chip(layer: Owner, state: Any) -> Chip:
    """Read what `pack_chip` made.

    Raises:
        DataError: the state is damaged, or no saved chip.
    """
    source = f"chip of {type(layer).__name__} {layer.name!r}"
    if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.ndim != 1:
        raise DataError(f"{source}: the state to load is no tensor of bytes, as get_extra_state returns it")
    tensors, metadata = read_tensors(state.cpu().numpy().tobytes(), source, FORMAT, "chip")
    try:
        text, cores = metadata["layer"], [tensors[str(index)].tobytes() for index in range(len(tensors))]
        if metadata["checksum"] != _checksum(text, cores):
            raise ValueError("its checksum does not match")
        facts = json.loads(text)
        return Chip(
            rows=facts["rows"],
            name=facts["name"],
            params=hardware_from_data(facts["params"]),
            cores=tuple(AnalogCore.from_bytes(core, source) for core in cores),
            written=tuple(tuple(stamps) for stamps in facts["written"]),
            dtypes=tuple(facts["dtypes"]),
            current=tuple(facts["current"]),
            comparable=facts.get("fingerprints") == VERSION,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(source, "chip", error) from error


def _checksum(text: str, cores: list[bytes]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for core in cores:
        digest.update(core)
    return digest.hexdigest()
