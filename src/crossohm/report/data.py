"""What a report shows, whatever it was read from: the one form between results and pages or figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from crossohm.report.measure import SNR, Measure
from crossohm.studies.results.sampling import Paired, interval
from crossohm.studies.results.statistics import Spread, spread


@final
@dataclass(frozen=True)
class Axis:
    """One direction of a sweep.

    Attributes:
        name: What was varied.
        labels: Its settings, as text.
        values: The same as numbers; None if one of them is none.
    """

    name: str
    labels: tuple[str, ...]
    values: tuple[float, ...] | None


@final
@dataclass(frozen=True)
class Histogram:
    """What arrived at the ADCs of a layer, for one weight slice.

    Attributes:
        low: Lowest current seen, in currents of one cell at full conductance and input.
        high: Highest current seen.
        edges: Limits of the bins.
        counts: Values in them, one fewer than edges.
    """

    low: float
    high: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@final
@dataclass(frozen=True, eq=False)
class LayerHardware:
    """The hardware of a network, as several points may share it.

    Attributes:
        layers: What every analog layer occupies; see `crossohm.studies.LayerReport`.
        settings: Parameters that all layers have in common, ``{path: value}``.
        exceptions: Parameters in which a layer differs from that, ``{layer: {path: value}}``.
    """

    layers: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any]
    exceptions: Mapping[str, Mapping[str, Any]]


@final
@dataclass(frozen=True, eq=False)
class Point:
    """One combination of settings, with everything measured of its chips.

    Attributes:
        label: The settings, as text.
        positions: Where it lies on each axis.
        seeds: Its chips.
        analog: Values of every measure, one per chip.
        digital: The same of the digital network; empty for measures it does not have.
        layer_snr: Signal-to-noise ratio of every layer's outputs, dB, one per chip; empty if not kept.
        histograms: ADC inputs of the first chip by layer, one per weight slice; empty if not kept.
        hardware: Number of its hardware in `ReportData.hardware`; None if no chip has a result.
        failures: Chips without a result, pairs of a seed and the reason.
        images: How many were answered; None if it is not known.
        paired: Accuracies: the answers of the chips beside those of the digital network; empty if not known.
        samples: What they are called.
        parts: Measures by class or output, those of the digital network and over the chips; empty if they have none.
    """

    label: str
    positions: tuple[int, ...]
    seeds: tuple[int, ...]
    analog: Mapping[str, tuple[float, ...]]
    digital: Mapping[str, float]
    layer_snr: Mapping[str, tuple[float, ...]]
    histograms: Mapping[str, tuple[Histogram, ...]]
    hardware: int | None
    failures: tuple[tuple[int, str], ...] = ()
    images: int | None = None
    paired: Mapping[str, Paired] = field(default_factory=dict)
    samples: str = "images"
    parts: Mapping[str, Mapping[str, tuple[float, Spread]]] = field(default_factory=dict)

    def interval(self, measure: Measure) -> tuple[float, float] | None:
        """Where a mean accuracy may lie for other images (`crossohm.studies.results.sampling`); None for others."""
        if not measure.counted or self.images is None:
            return None
        return interval(self.spread(measure.name).mean, self.images)

    def spread(self, measure: str) -> Spread:
        """A measure over the chips."""
        return spread(self.analog[measure], decibels=measure == SNR.name)

    def layer_spread(self, layer: str) -> Spread:
        """The signal-to-noise ratio of a layer over the chips, dB."""
        return spread(self.layer_snr[layer], decibels=True)


@final
@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything a report shows.

    Attributes:
        title: Name of the study or run.
        facts: What it is about, pairs of a name and a text.
        measures: What was measured, the main one first.
        axes: What was varied.
        points: Everything there is.
        hardware: Different hardware of the points.
        study: The study file, or the settings of a run.
        remarks: What a reader must know, e.g. that chips are missing.
        complete: Position of the complete hardware on the only axis, that of the variants of an error budget; None:
            this is no error budget.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    measures: tuple[Measure, ...]
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    hardware: tuple[LayerHardware, ...]
    study: str
    remarks: tuple[str, ...] = field(default=())
    complete: int | None = None
