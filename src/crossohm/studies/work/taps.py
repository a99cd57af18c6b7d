"""What is recorded inside a network while a chip works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from crossohm.calibration import StreamingHistogram
from crossohm.chain import Profile
from crossohm.layers.network import Deviation, Network
from crossohm.layers.patterns import patterns_of
from crossohm.layers.profiling import profiled
from crossohm.params import CoreStyle
from crossohm.studies.file.sections import SaveSection

#: Bins of the histograms that are kept.
BINS = 128


@final
class Taps:
    """Records what a study wants to keep of a chip, in a ``with`` block around its work.

    Args:
        save: What to keep.
        chip: The network on hardware.
        digital: The network it was made from.

    Raises:
        UnknownNameError: a pattern of ``save.signals`` matches no layer.
    """

    def __init__(self, save: SaveSection, chip: Network, digital: Network) -> None:
        self._save = save
        self._chip = chip
        self._digital = digital
        self._hooks = ExitStack()
        self._deviations: Mapping[str, Deviation] = {}
        self._profiles: dict[str, Profile] = {}
        self._signals: Mapping[str, list[NDArray[Any]]] = {}
        self._names = layers_of(save.signals, chip)

    def __enter__(self) -> Self:
        with ExitStack() as hooks:
            if self._save.layer_snr:
                self._deviations = hooks.enter_context(self._chip.compared(self._digital.folded()))
            if self._save.adc_histograms:
                self._profiles = hooks.enter_context(profiled(self._chip.cores))
            self._signals = hooks.enter_context(self._chip.record(self._names))
            self._hooks = hooks.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.close()

    def record(self) -> dict[str, Any]:
        """Deviations and histograms, as plain values."""
        return {
            "layers": {name: asdict(deviation) for name, deviation in self._deviations.items()},
            "adc_inputs": {name: self._histograms(name, seen) for name, seen in self._profiles.items()},
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Signals and conductances, by name."""
        found = {f"signal/{name}": np.concatenate(kept) for name, kept in self._signals.items()}
        if self._save.conductances:
            arrays = (array for core in self._chip.cores.values() for array in core.arrays)
            for array in arrays:
                found[f"conductance/{array.name}"] = array.conductance
                if array.unit_column is not None:
                    found[f"conductance/{array.name}/unit column"] = array.unit_column
        return found

    def _histograms(self, name: str, seen: Profile) -> list[dict[str, Any]]:
        core = self._chip.cores[name].params.core
        slices = core.bit_sliced.num_slices if core.style is CoreStyle.BITSLICED else 1
        if not seen.conversions:  # the network sent nothing there
            return [_plain(StreamingHistogram(BINS))] * slices
        return [_plain(histogram) for histogram in seen.adc_slices("mvm", slices)]


def layers_of(patterns: Sequence[str], chip: Network) -> list[str]:
    """Names of the layers that patterns of ``save.signals`` mean.

    Raises:
        UnknownNameError: a pattern matches none.
    """
    names = chip.recordable
    found = patterns_of(dict.fromkeys(patterns, "save.signals"), names, "layer of the network")
    return [name for name, matching in found.items() if matching]


def _plain(seen: StreamingHistogram) -> dict[str, Any]:
    """A histogram in few bins: lowest and highest value, counts, and the limits of the outermost counted bins."""
    if not seen.total:
        return {"low": None, "high": None, "edges": [], "counts": []}
    counts = seen.counts.reshape(BINS, -1).sum(axis=1)
    used = np.flatnonzero(counts)
    first, last = int(used[0]), int(used[-1])
    edges = np.linspace(-seen.reach, seen.reach, BINS + 1)[first : last + 2]
    return {"low": seen.low, "high": seen.high, "edges": edges.tolist(), "counts": counts[first : last + 1].tolist()}
