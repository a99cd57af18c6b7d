"""The chip of a layer as bytes: what is saved besides the parameters.

The bytes are a safetensors file that holds the files of the layer's cores (`AnalogCore.to_bytes`), facts about the
layer as JSON, and a checksum of everything. Reading them runs no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar, final

import numpy as np
from safetensors.numpy import save

from crossohm.backends.fingerprint import VERSION
from crossohm.chain import AnalogCore
from crossohm.chain.programming.storage import damaged, read_tensors
from crossohm.errors import DataError
from crossohm.layers.hardware import LayerHardware, hardware_as_data, hardware_from_data, hardware_of_matrices
from crossohm.layers.held_matrix import HeldArrays, Owner
from crossohm.layers.layout import Layout

FORMAT = "crossohm-layer-1"

Held = TypeVar("Held", bound=HeldArrays)


class Layer(Protocol):
    """A layer whose chip is saved."""

    @property
    def core_name(self) -> str:
        """Name of its cores."""

    @property
    def rows(self) -> Any:
        """Matrix columns per bias, in the kind's own form."""

    @property
    def params(self) -> LayerHardware:
        """Its hardware."""

    @property
    def matrices(self) -> tuple[HeldArrays, ...]:
        """What it holds in arrays."""


@final
@dataclass(frozen=True)
class SavedChip:
    """Hardware and programmed arrays of a layer.

    Attributes:
        rows: Matrix columns per bias, in the kind's own form.
        name: Name of the layer's cores.
        params: Hardware of the layer.
        cores: The arrays of each matrix.
        written: For each matrix, fingerprints of the parameters it was written from.
        dtypes: For each matrix, dtypes of these parameters.
        current: For each matrix, whether it held the parameters of its time.
        fingerprints: Kind of the fingerprints: only those of the same kind can be compared. None: the first.
    """

    rows: Any
    name: str
    params: LayerHardware
    cores: tuple[AnalogCore, ...]
    written: tuple[tuple[int, ...], ...]
    dtypes: tuple[list[str], ...]
    current: tuple[bool, ...]
    fingerprints: int | None

    @classmethod
    def of(cls, layer: Layer) -> Self:
        """Hardware and programmed arrays of a layer as they are."""
        return cls(
            rows=layer.rows,
            name=layer.core_name,
            params=layer.params,
            cores=tuple(matrix.built for matrix in layer.matrices),
            written=tuple(matrix.written for matrix in layer.matrices),
            dtypes=tuple(matrix.dtypes for matrix in layer.matrices),
            current=tuple(matrix.is_written() for matrix in layer.matrices),
            fingerprints=VERSION,
        )

    def to_bytes(self) -> bytes:
        """The chip as a file."""
        facts = {
            "rows": self.rows,
            "name": self.name,
            "params": hardware_as_data(self.params),
            "written": self.written,
            "dtypes": self.dtypes,
            "current": self.current,
            "fingerprints": self.fingerprints,
        }
        text = json.dumps(facts, default=int)
        cores = [core.to_bytes() for core in self.cores]
        tensors = {str(index): np.frombuffer(core, dtype=np.uint8) for index, core in enumerate(cores)}
        return save(tensors, metadata={"format": FORMAT, "layer": text, "checksum": _checksum(text, cores)})

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> Self:
        """Inverse of `to_bytes`.

        Args:
            data: The file.
            source: Where it comes from, for messages.

        Raises:
            DataError: the file is damaged, or no saved chip.
        """
        tensors, metadata = read_tensors(data, source, FORMAT, "chip")
        try:
            text, cores = metadata["layer"], [tensors[str(index)].tobytes() for index in range(len(tensors))]
            if metadata["checksum"] != _checksum(text, cores):
                raise ValueError("its checksum does not match")
            facts = json.loads(text)
            return cls(
                rows=facts["rows"],
                name=facts["name"],
                params=hardware_from_data(facts["params"]),
                cores=tuple(AnalogCore.from_bytes(core, source) for core in cores),
                written=tuple(tuple(stamps) for stamps in facts["written"]),
                dtypes=tuple(facts["dtypes"]),
                current=tuple(facts["current"]),
                fingerprints=facts.get("fingerprints"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(source, "chip", error) from error

    def matrices(self, layer: Owner, layouts: Iterable[Layout], kind: type[Held]) -> tuple[Held, ...]:
        """The chip in ``layer``, whose parameters are loaded already.

        Args:
            layer: Where to.
            layouts: Of its matrices.
            kind: What its front end holds matrices in.

        Raises:
            DataError: the layer has other matrices.
        """
        wanted = list(layouts)
        self.require_shapes([layout.shape for layout in wanted], type(layer).__name__)
        found, hardware = [], hardware_of_matrices(self.params, len(wanted))
        for index, layout in enumerate(wanted):
            held = kind.around(layer, layout, hardware[index], self.cores[index], self.written[index])
            if self.current[index] and not (self.fingerprints == VERSION and held.dtypes == self.dtypes[index]):
                held.mark_written()  # the same values in another dtype, or with other fingerprints
            found.append(held)
        return tuple(found)

    def require_shapes(self, shapes: list[tuple[int, ...]], kind: str) -> None:
        """Refuse a layer, called ``kind``, whose matrices have other shapes.

        Raises:
            DataError: they are not those of the chip.
        """
        own = [core.shape for core in self.cores]
        if shapes != own:
            raise DataError(
                f"the saved chip {self.name!r} holds matrices of shapes {own}, but the {kind} it is loaded into has "
                f"{shapes}; load it into a layer of the same kind and size"
            )


def _checksum(text: str, cores: list[bytes]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for core in cores:
        digest.update(core)
    return digest.hexdigest()
