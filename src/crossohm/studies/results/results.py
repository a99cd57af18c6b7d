"""The results of a study, read from its folder: what reports, plots and notebooks are made from."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import MissingDependencyError
from crossohm.layers.hardware import hardware_from_data
from crossohm.metrics import Words, known_words
from crossohm.studies.file.axes import Axis
from crossohm.studies.results.sampling import Paired, interval, paired
from crossohm.studies.results.statistics import Spread, spread
from crossohm.studies.results.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


#: What signal-to-noise ratios of the network's outputs are called in tables of results.
OUTPUT_SNR = "output_snr"


def decibels(power: dict[str, float]) -> float:
    """Signal-to-noise ratio of the powers ``signal`` and ``noise``, dB; infinite without noise, NaN without signal."""
    if power["signal"] == 0:
        return math.nan
    return math.inf if power["noise"] == 0 else 10 * math.log10(power["signal"] / power["noise"])


@final
@dataclass(frozen=True, eq=False)
class ChipResult:
    """One chip at one point of a sweep.

    Attributes:
        key: Its name in the store: a hash of everything it depends on.
        point: Number of the point, from 0.
        coordinates: The settings of the point, ``{path: value}``.
        seed: The chip.
        cures: Causes of errors that were taken away, pairs ``(layer or "*", cause)``; empty but in error budgets.
        record: Everything that was measured, as plain values.
    """

    key: str
    point: int
    coordinates: dict[str, Any]
    seed: int
    cures: tuple[tuple[str, str], ...]
    record: dict[str, Any]

    @property
    def analog(self) -> dict[str, float]:
        """Measures of the chip by name: ``top1`` ... (0..1), ``rmse`` or whatever the study measures."""
        found: dict[str, float] = self.record["analog"]
        return found

    @property
    def digital(self) -> dict[str, float]:
        """The same of the digital network."""
        found: dict[str, float] = self.record["digital"]
        return found

    @property
    def discordant(self) -> dict[str, tuple[int, int]]:
        """Images that only the digital network, and that only the chip gets right, by accuracy; empty if not known."""
        return {name: (lost, gained) for name, (lost, gained) in self.record.get("discordant", {}).items()}

    @property
    def parts(self) -> dict[str, dict[str, float]]:
        """Measures of the chip by class or output, ``{measure: {name: value}}``; empty for those without such parts."""
        found: dict[str, dict[str, float]] = self.record.get("parts", {}).get("analog", {})
        return found

    @property
    def digital_parts(self) -> dict[str, dict[str, float]]:
        """The same of the digital network."""
        found: dict[str, dict[str, float]] = self.record.get("parts", {}).get("digital", {})
        return found

    @property
    def samples(self) -> str:
        """What people call the data: images, or samples."""
        return str(self.record.get("samples", "images"))

    @property
    def threshold(self) -> float | None:
        """Above it a network's single output was taken for class 1; None if it has several."""
        found: float | None = self.record.get("threshold")
        return found

    @property
    def output_snr(self) -> float:
        """Signal-to-noise ratio of the network's outputs, dB, against those of the digital network."""
        return decibels(self.record["output"])

    @property
    def layer_snr(self) -> dict[str, float]:
        """The same of every analog layer's outputs, errors of earlier layers included; empty if not kept."""
        return {name: decibels(power) for name, power in self.record["layers"].items()}

    @property
    def adc_inputs(self) -> dict[str, list[dict[str, Any]]]:
        """Histograms of ADC inputs by layer, one per weight slice, least significant first; empty if not kept.

        Each has ``low``, ``high`` (extremes seen), ``edges`` (n + 1, in currents of one cell) and ``counts`` (n).
        """
        found: dict[str, list[dict[str, Any]]] = self.record["adc_inputs"]
        return found

    @property
    def provenance(self) -> dict[str, Any]:
        """When, where, with which versions, in how many seconds."""
        found: dict[str, Any] = self.record["provenance"]
        return found


@final
@dataclass(frozen=True)
class Failure:
    """A chip that was tried and has no result. Running the study again tries it again.

    Attributes:
        key: Its name in the store.
        point: Number of the point, from 0.
        coordinates: The settings of the point, ``{path: value}``.
        seed: The chip.
        cures: Causes of errors that were taken away, see `ChipResult`.
        reason: Why, in one line.
        details: Where, if a user's model or network is the cause: a traceback. Otherwise empty.
    """

    key: str
    point: int
    coordinates: dict[str, Any]
    seed: int
    cures: tuple[tuple[str, str], ...]
    reason: str
    details: str


@final
class Results:
    """What is there of a study.

    Args:
        folder: See `open_results`.

    Attributes:
        folder: The folder.
        name: Of the study.
        study: Its settings as plain values, short forms written out.
        text: The study file as it was written.
        axes: What was varied, in order; the last one varied fastest.
        chips: Everything computed so far, in the order of the points, chips of a point together.
        failures: Chips that were tried and have no result, in the same order, with the reason.
        planned: Number of chips in all; ``len(chips)`` is smaller while a study is not complete.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = ResultStore(folder)
        index = self._store.read_index()
        self.name: str = index["name"]
        self.study: dict[str, Any] = index["study"]
        self.text: str = index["text"]
        self.axes = tuple(Axis(axis["name"], tuple(axis["paths"]), tuple(axis["positions"])) for axis in index["axes"])
        self.planned = len(index["units"])
        found = [self._found(unit) for unit in index["units"]]
        self.chips = tuple(one for one in found if isinstance(one, ChipResult))
        self.failures = tuple(one for one in found if isinstance(one, Failure))

    def _found(self, unit: dict[str, Any]) -> ChipResult | Failure | None:
        """What became of a chip; None if it was not tried yet."""
        cures = tuple((layer, cause) for layer, cause in unit["cures"])
        which = (unit["key"], unit["point"], unit["coordinates"], unit["seed"], cures)
        record = self._store.read(unit["key"])
        if record is not None:
            return ChipResult(*which, record)
        why = self._store.read_failure(unit["key"])
        return None if why is None else Failure(*which, why["reason"], why["details"])

    @property
    def complete(self) -> bool:
        """True if no chip is missing."""
        return len(self.chips) == self.planned

    @cached_property
    def points(self) -> dict[int, tuple[ChipResult, ...]]:
        """Chips by number of their point."""
        found: dict[int, list[ChipResult]] = {}
        for chip in self.chips:
            found.setdefault(chip.point, []).append(chip)
        return {point: tuple(chips) for point, chips in found.items()}

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what was measured, the main one first."""
        return tuple(self.chips[0].analog) if self.chips else ()

    @cached_property
    def words(self) -> dict[str, Words]:
        """How people write what was measured, and which way is better, by name."""
        told = [Words(**words) for chip in self.chips[:1] for words in chip.record.get("words", ())]
        return {name: known_words(name) for name in self.measures} | {words.name: words for words in told}

    def parts(self, point: int, measure: str | None = None) -> dict[str, tuple[float, Spread]]:
        """A measure by class or output: that of the digital network, and over the chips of a point.

        Empty if it has no such parts; what does not occur for every chip is left out.
        """
        name, chips = measure or self.measures[0], self.points[point]
        found = [chip.parts.get(name, {}) for chip in chips]
        return {
            part: (value, spread(own[part] for own in found))
            for part, value in chips[0].digital_parts.get(name, {}).items()
            if all(part in own for own in found)
        }

    def spread(self, point: int, measure: str | None = None) -> Spread:
        """A measure, or ``"output_snr"``, over the chips of a point; by default the main measure."""
        return spread_of(self.points[point], measure or self.measures[0])

    def interval(self, point: int, measure: str | None = None) -> tuple[float, float] | None:
        """Where the mean accuracy of a point may lie for other images (`crossohm.studies.results.sampling`).

        None for what is no accuracy.
        """
        name = measure or self.measures[0]
        images = self.points[point][0].record["images"]
        return interval(self.spread(point, name).mean, images) if self.words[name].counted else None

    def paired(self, point: int, measure: str | None = None) -> Paired | None:
        """The answers of a point's chips beside those of the digital network; None if it is not known."""
        name = measure or self.measures[0]
        counts = [chip.discordant[name] for chip in self.points[point] if name in chip.discordant]
        return paired(counts) if len(counts) == len(self.points[point]) else None

    def settings(self, point: int) -> dict[str, str]:
        """The settings of a point as people write them, ``{path: text}``."""
        at = np.unravel_index(point, tuple(map(len, self.axes))) if self.axes else ()
        return {path: text for texts, index in zip(self._texts, at, strict=True) for path, text in texts[index].items()}

    @cached_property
    def _texts(self) -> tuple[tuple[dict[str, str], ...], ...]:
        return tuple(axis.texts() for axis in self.axes)

    def hardware(self, chip: ChipResult) -> dict[str, Any]:
        """Full description of every layer with the ranges used.

        Layers with several matrices have a list with, for each, a list of one; layers that stayed digital have None.
        """
        layers = self._store.read_hardware(chip.record["hardware"])["layers"]
        return {name: None if tree is None else hardware_from_data(tree) for name, tree in layers.items()}

    def hardware_report(self, chip: ChipResult) -> dict[str, Any]:
        """What the layers occupy, ``{"layers": [...], "totals": {...}}``; see `HardwareReport.as_dict`."""
        report: dict[str, Any] = self._store.read_hardware(chip.record["hardware"])["report"]
        return report

    def arrays(self, chip: ChipResult) -> dict[str, NDArray[Any]]:
        """What was kept: ``outputs``, ``digital``, ``labels``, ``signal/LAYER``, ``conductance/ARRAY``."""
        return self._store.read_arrays(chip.key)

    def rows(self) -> list[dict[str, Any]]:
        """The table: one row per chip, one column per swept path and measure; values that are no numbers as text.

        Rows of chips that failed come last; instead of measures they have the column ``failure``.
        """
        return [
            {
                **_which(chip),
                **chip.analog,
                **{f"digital_{name}": value for name, value in chip.digital.items()},
                **{f"lost_{name}": lost for name, (lost, _) in chip.discordant.items()},
                **{f"gained_{name}": gained for name, (_, gained) in chip.discordant.items()},
                OUTPUT_SNR: chip.output_snr,
                **{f"snr/{name}": value for name, value in chip.layer_snr.items()},
                "images": chip.record["images"],
                "seconds": chip.provenance["seconds"],
                "key": chip.key,
            }
            for chip in self.chips
        ] + [{**_which(failed), "key": failed.key, "failure": failed.reason} for failed in self.failures]

    def to_dataframe(self) -> pd.DataFrame:
        """The table as pandas has it; see `rows`.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        return frame(self.rows())

    def to_xarray(self) -> xr.Dataset:
        """Measures over the axes of the sweep and the dimension ``chip``; NaN where a chip is missing.

        Paths that are varied together (``zip``, ``points``) are coordinates of one common dimension. The study file
        is an attribute.

        Raises:
            MissingDependencyError: xarray is not installed.
        """
        try:
            import xarray
        except ImportError:
            raise MissingDependencyError("xarray", "sweep", "to_xarray") from None
        seeds = sorted({chip.seed for chip in self.chips})
        shape = (*map(len, self.axes), len(seeds))
        names = [*self.measures, *(f"digital_{name}" for name in self.measures), OUTPUT_SNR]
        found = {name: np.full(shape, np.nan) for name in names}
        for chip, row in zip(self.chips, self.rows(), strict=False):  # rows of failed chips follow
            for name in names:
                found[name].reshape(-1, len(seeds))[chip.point, seeds.index(chip.seed)] = row[name]
        dimensions = [*(axis.name for axis in self.axes), "chip"]
        coordinates: dict[str, Any] = {"chip": seeds}
        for axis in self.axes:
            for path in axis.paths:
                values = [_cell(position.get(path)) for position in axis.positions]
                coordinates[path] = (axis.name, values)
        variables = {name: (dimensions, values) for name, values in found.items()}
        return xarray.Dataset(variables, coordinates, {"study": self.name, "settings": self.text})


def spread_of(chips: Sequence[ChipResult], measure: str) -> Spread:
    """A measure, or ``"output_snr"``, over some chips."""
    if measure == OUTPUT_SNR:
        return spread((chip.output_snr for chip in chips), decibels=True)
    return spread(chip.analog[measure] for chip in chips)


def open_results(folder: str | os.PathLike[str]) -> Results:
    """The results in a folder, complete or not.

    Damaged chips count as missing, with a warning; running the study again computes them.

    Raises:
        DataError: the folder holds no results of a study.
    """
    return Results(Path(folder))


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a pandas table.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingDependencyError("pandas", "sweep", "to_dataframe") from None
    return pandas.DataFrame(rows)


def _which(chip: ChipResult | Failure) -> dict[str, Any]:
    """The columns that tell chips apart."""
    return {
        "point": chip.point,
        **{path: _cell(value) for path, value in chip.coordinates.items()},
        **({"cures": _cures(chip.cures)} if chip.cures else {}),
        "chip": chip.seed,
    }


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)


def _cures(cures: tuple[tuple[str, str], ...]) -> str:
    return " ".join(f"{layer}:{cause}" for layer, cause in cures)
