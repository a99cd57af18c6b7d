"""Streaming records of array inputs and ADC inputs while a core works."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from crossohm.backends import Array, backend_of
from crossohm.chain.inspection.histogram import StreamingHistogram
from crossohm.chain.lowering.ranges import conversion_gain
from crossohm.chain.programming.record import Programmed
from crossohm.errors import CrossOhmError, DataError, ShapeError
from crossohm.params import CoreStyle, CrossSimParameters

FORMAT = "crossohm-profile-1"


class Conversion(NamedTuple):
    """One of the conversions an operation consists of.

    Attributes:
        operation: ``"mvm"`` or ``"vmm"``.
        partition: Input partition.
        bank: Weight slice, or slice and sign when both currents of a pair are digitised.
        plane: Input slice, 0 = least significant; 0 if inputs are not digitised slice by slice.
    """

    operation: str
    partition: int
    bank: int
    plane: int


@final
class Profile:
    """What passed the taps of a core, as histograms of bounded size.

    Args:
        bins: Resolution of the histograms.
        floor: Smallest current of each output line that has an effect, ``(lines,)``; smaller ones are counted apart.

    Attributes:
        inputs: Inputs in the user's units, before the DAC; one histogram per operation.
        conversions: ADC inputs in normalised current, of every conversion by itself.
        floors: For each conversion, the floors of the currents that lay below them and were left out.
        constants: True if there were lines driven with a constant one (bias columns). They are no data and not in
            ``inputs``, but an input range has to include them.
    """

    def __init__(self, bins: int = 4096, floor: np.ndarray | None = None) -> None:
        self._bins = bins
        self._floor = floor
        self.inputs: dict[str, StreamingHistogram] = {}
        self.conversions: dict[Conversion, StreamingHistogram] = {}
        self.floors: dict[Conversion, StreamingHistogram] = {}
        self.constants = False

    @property
    def adc(self) -> dict[tuple[str, int, int], StreamingHistogram]:
        """ADC inputs per (operation, input partition, bank), over all input slices."""
        found: dict[tuple[str, int, int], StreamingHistogram] = {}
        for key, histogram in self.conversions.items():
            self._of(found, key[:3]).merge(histogram)
        return found

    def xbar_inputs(self, x: Array, operation: str, constants: int = 0) -> None:
        """Record the inputs of an operation, ``(batch, features, *positions)``, without the last ``constants``."""
        self.constants |= constants > 0
        self._of(self.inputs, operation).add(backend_of(x).to_numpy(x[:, : x.shape[1] - constants]))

    def adc_inputs(self, currents: Array, operation: str, partition: int, plane: int = 0) -> None:
        """Record what one conversion sees, ``(batch, banks, lines, *positions)``."""
        host = backend_of(currents).to_numpy(currents)
        for bank in range(host.shape[1]):
            self._convert(Conversion(operation, partition, bank, plane), host[:, bank])

    def adc_slices(self, operation: str = "mvm", slices: int = 1) -> list[StreamingHistogram]:
        """ADC inputs per weight slice, over all partitions, input slices and both signs; slice 0 is the lowest."""
        merged = [StreamingHistogram(self._bins) for _ in range(slices)]
        for slice_, key in self.by_slice(operation, slices):
            merged[slice_].merge(self.conversions[key])
        return merged

    def by_slice(self, operation: str = "mvm", slices: int = 1) -> list[tuple[int, Conversion]]:
        """Weight slice and key of every conversion.

        Raises:
            CrossOhmError: nothing was recorded.
        """
        keys = [key for key in self.conversions if key.operation == operation]
        if not keys:
            raise CrossOhmError(f"no {operation} was recorded; run at least one operation while profiling")
        banks = 1 + max(key.bank for key in keys)
        return [(key.bank * slices // banks, key) for key in keys]

    def merge(self, other: Profile) -> None:
        """Add everything another profile has seen, of another batch or another worker.

        Raises:
            CrossOhmError: its histograms have another number of bins.
        """
        for mine, theirs in zip(self._tables(), other._tables(), strict=True):
            for key, histogram in theirs.items():
                self._of(mine, key).merge(histogram)
        self.constants |= other.constants

    def save(self, path: str | Path) -> None:
        """Write the histograms to a safetensors file."""
        arrays: dict[str, np.ndarray] = {}
        names: list[tuple[int, Any]] = []
        for number, table in enumerate(self._tables()):
            for key, histogram in table.items():
                prefix = f"{len(names)}/"
                names.append((number, key))
                arrays |= {prefix + name: array for name, array in histogram.to_arrays().items()}
        facts = {"keys": names, "bins": self._bins, "constants": self.constants}
        save_file(arrays, str(path), metadata={"format": FORMAT, "profile": json.dumps(facts)})

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """The profile that `save` wrote.

        Raises:
            DataError: the file is missing, damaged, or no profile.
        """
        if not Path(path).is_file():
            raise DataError(f"{path}: no such file; give the path that Profile.save wrote")
        try:
            with safe_open(str(path), framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise DataError(
                        f"{path}: not a saved profile (format {metadata.get('format')!r}, expected {FORMAT!r})"
                    )
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            return cls._from(json.loads(metadata["profile"]), arrays)
        except DataError:
            raise
        except (SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{path}: damaged or incomplete profile ({error}); record it again") from error

    @classmethod
    def _from(cls, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> Profile:
        found = cls(int(facts["bins"]))
        found.constants = bool(facts["constants"])
        for index, (number, name) in enumerate(facts["keys"]):
            own = {part: arrays[f"{index}/{part}"] for part in ("counts", "zeros", "limits")}
            key = name if isinstance(name, str) else Conversion(*name)
            found._tables()[number][key] = StreamingHistogram.from_arrays(own)
        return found

    def _tables(self) -> tuple[dict[Any, StreamingHistogram], ...]:
        return self.inputs, self.conversions, self.floors

    def _of(self, table: dict[Any, StreamingHistogram], key: Any) -> StreamingHistogram:
        return table.setdefault(key, StreamingHistogram(self._bins))

    def _convert(self, key: Conversion, currents: np.ndarray) -> None:
        """Record ``(batch, lines, *positions)``."""
        record = self._of(self.conversions, key)
        if self._floor is None or key.operation != "mvm":
            record.add(currents)
            return
        if currents.shape[1] != len(self._floor):
            raise ShapeError(f"floor of {len(self._floor)} lines does not fit currents of {currents.shape[1]} lines")
        floors = self._floor.reshape(-1, *(1,) * (currents.ndim - 2))
        matters = currents >= floors
        record.add(currents[matters])
        self._of(self.floors, key).add(np.broadcast_to(floors, currents.shape)[~matters])


def output_per_current(records: Iterable[Programmed], params: CrossSimParameters) -> float | None:
    """Output of an MVM, in the user's units, per normalised current of the one conversion it is made by.

    None where an output is made of several conversions, or of a current and something else.
    """
    arrays, core = list(records), params.core
    dac, adc = params.xbar.dac.mvm, params.xbar.adc.mvm
    per_plane = dac.input_bitslicing and (adc.adc_per_ibit or not dac.bits)
    if len(arrays) != 1 or len(arrays[0].column_parts) != 1 or core.style is not CoreStyle.BALANCED or per_plane:
        return None
    scaled_by_data = core.mapping.inputs.mvm.percentile is not None
    if scaled_by_data or not core.subtracts_in_array or core.complex_matrix or core.complex_input:
        return None
    return conversion_gain(arrays[0], params)
