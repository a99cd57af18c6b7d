"""Streaming records of array inputs and ADC inputs while a core works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from crossohm.backends import Array, backend_of
from crossohm.calibration.histogram import StreamingHistogram


@final
class Profile:
    """What passed the taps of a core, as histograms of bounded size.

    Attributes:
        inputs: Inputs in the user's units, before the DAC; one histogram per operation.
        adc: ADC inputs in normalised current; one histogram per (operation, input partition, bank), where a bank is a
            weight slice, or a slice and a sign when both currents of a pair are digitised.
    """

    def __init__(self, bins: int = 4096) -> None:
        self._bins = bins
        self.inputs: dict[str, StreamingHistogram] = {}
        self.adc: dict[tuple[str, int, int], StreamingHistogram] = {}

    def xbar_inputs(self, x: Array, operation: str) -> None:
        """Record the inputs of an operation."""
        self.inputs.setdefault(operation, StreamingHistogram(self._bins)).add(backend_of(x).to_numpy(x))

    def adc_inputs(self, currents: Array, operation: str, partition: int) -> None:
        """Record what one conversion sees, ``(batch, banks, lines, *positions)``."""
        host = backend_of(currents).to_numpy(currents)
        for bank in range(host.shape[1]):
            found = self.adc.setdefault((operation, partition, bank), StreamingHistogram(self._bins))
            found.add(host[:, bank])

    def adc_slices(self, operation: str = "mvm", slices: int = 1) -> list[StreamingHistogram]:
        """ADC inputs per weight slice, over all partitions and both signs; slice 0 is the least significant."""
        banks = 1 + max(bank for what, _, bank in self.adc if what == operation)
        merged = [StreamingHistogram(self._bins) for _ in range(slices)]
        for (what, _, bank), histogram in self.adc.items():
            if what == operation:
                merged[bank * slices // banks].merge(histogram)
        return merged


@final
@dataclass(frozen=True)
class BlockTap:
    """What one of several arrays adds to the profile of its core, whose inputs are recorded once for all.

    Attributes:
        profile: Of the core.
        part: Input partition of the array.
    """

    profile: Profile
    part: int

    def xbar_inputs(self, x: Array, operation: str) -> None:
        """Nothing: the core has recorded them."""

    def adc_inputs(self, currents: Array, operation: str, partition: int) -> None:
        """Record what one conversion sees under the array's place in the core."""
        self.profile.adc_inputs(currents, operation, self.part + partition)
