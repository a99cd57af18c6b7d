"""Reports from results of studies."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import numpy as np

from crossohm.errors import DataError
from crossohm.layers.hardware import numbered
from crossohm.models.pairing import default_model
from crossohm.params import Group
from crossohm.report.budget import COMPLETE, budget_labels
from crossohm.report.data import Axis, Histogram, LayerHardware, Point, ReportData
from crossohm.report.measure import SNR, measure
from crossohm.studies import ChipResult, Results, open_results
from crossohm.studies.file.axes import Axis as StudyAxis
from crossohm.studies.file.wording import number
from crossohm.studies.results.sampling import paired
from crossohm.studies.results.statistics import Spread


def report_of(folder: str | os.PathLike[str]) -> ReportData:
    """The report of a folder of results.

    Raises:
        DataError: the folder holds none, or nothing was computed yet.
    """
    return from_results(open_results(folder))


def from_results(results: Results) -> ReportData:
    """The report of a study, complete or not.

    Raises:
        DataError: nothing was computed yet.
    """
    failed = _failures(results)
    if not results.chips:
        reason = f" All that were tried failed, first: {failed[min(failed)][0][1]}" if failed else ""
        raise DataError(f"{results.folder}: no chip has been computed yet; run the study.{reason}")
    budget = budget_labels(results)
    axes = _axes(results, budget)
    keys = list(dict.fromkeys(chip.record["hardware"] for chip in results.chips))
    first = {chip.record["hardware"]: chip for chip in reversed(results.chips)}
    shape = tuple(len(axis.labels) for axis in axes)
    points = tuple(
        _point(
            results.points.get(number, ()), budget.get(number) or _together(results.settings(number)),
            _place(number, shape), keys, failed.get(number, ()), _parts(results, number),
        )
        for number in sorted({*results.points, *failed})
    )  # fmt: skip
    missing = results.planned - len(results.chips) - sum(map(len, failed.values()))
    return ReportData(
        title=results.name,
        facts=_facts(results),
        measures=(*map(measure, results.words.values()), SNR),
        axes=axes,
        points=points,
        hardware=tuple(
            layer_hardware(results.hardware_report(chip)["layers"], results.hardware(chip))
            for chip in (first[key] for key in keys)
        ),
        study=results.text,
        remarks=(f"{missing} of {results.planned} chips have not been computed yet.",) if missing else (),
        complete=next((point for point, label in budget.items() if label == COMPLETE), None),
    )


def layer_hardware(layers: Iterable[Mapping[str, Any]], described: Mapping[str, Any]) -> LayerHardware:
    """The hardware of a network; layers that stayed digital (None) have no settings, some have a list of them."""
    analog = {name: found for name, found in described.items() if found is not None}
    flat = {own: dict(_flat(params)) for name, found in analog.items() for own, params in numbered(name, found)}
    first = next(iter(flat.values()), {})
    common = {path for path, value in first.items() if all(other.get(path) == value for other in flat.values())}
    return LayerHardware(
        layers=tuple(layers),
        settings={path: value for path, value in first.items() if path in common},
        exceptions={
            name: {path: value for path, value in values.items() if path not in common} for name, values in flat.items()
        },
    )


def _flat(group: Group, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Parameters by dotted path, choices by name."""
    for name, field in type(group).model_fields.items():
        path, value = f"{prefix}{field.alias or name}", getattr(group, name)
        if isinstance(value, Group):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value.name if isinstance(value, Enum) else value


def _axes(results: Results, budget: Mapping[int, str]) -> tuple[Axis, ...]:
    """The axes of a sweep, or the single axis of an error budget."""
    if budget:
        numbered = (budget.get(point, "not computed") for point in range(max(budget) + 1))
        return (Axis("hardware", tuple(numbered), None),)
    return tuple(map(_axis, results.axes))


def _axis(axis: StudyAxis) -> Axis:
    texts = axis.texts()
    if len(axis.paths) > 1:
        return Axis(axis.name, tuple(map(_together, texts)), None)
    (path,) = axis.paths
    values = [position[path] for position in axis.positions]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return Axis(path, tuple(own[path] for own in texts), tuple(map(float, values)) if numbers else None)


def _together(found: Mapping[str, str]) -> str:
    return ", ".join(f"{path} = {text}" for path, text in found.items())


def _failures(results: Results) -> dict[int, tuple[tuple[int, str], ...]]:
    """Chips that were tried and have no result, by point: pairs of a seed and the reason."""
    found: dict[int, list[tuple[int, str]]] = {}
    for failure in results.failures:
        found.setdefault(failure.point, []).append((failure.seed, failure.reason))
    return {point: tuple(failures) for point, failures in found.items()}


def _place(number: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unravel_index(number, shape)) if shape else ()


def _point(
    chips: tuple[ChipResult, ...],
    label: str,
    positions: tuple[int, ...],
    keys: list[str],
    failures: tuple[tuple[int, str], ...],
    parts: Mapping[str, Mapping[str, tuple[float, Spread]]],
) -> Point:
    if not chips:
        return Point(label, positions, (), {}, {}, {}, {}, None, failures)
    first = chips[0]
    return Point(
        label=label,
        positions=positions,
        seeds=tuple(chip.seed for chip in chips),
        analog={
            **{name: tuple(chip.analog[name] for chip in chips) for name in first.analog},
            SNR.name: tuple(chip.output_snr for chip in chips),
        },
        digital=dict(first.digital),
        layer_snr={name: tuple(chip.layer_snr[name] for chip in chips) for name in first.layer_snr},
        histograms={name: tuple(_histogram(seen) for seen in slices) for name, slices in first.adc_inputs.items()},
        hardware=keys.index(first.record["hardware"]),
        failures=failures,
        images=first.record["images"],
        paired={
            name: paired([chip.discordant[name] for chip in chips])
            for name in first.discordant
            if all(name in chip.discordant for chip in chips)
        },
        samples=first.samples,
        parts=parts,
    )


def _parts(results: Results, point: int) -> dict[str, dict[str, tuple[float, Spread]]]:
    """Measures of a point that has results by class or output."""
    found = {name: results.parts(point, name) for name in results.measures if point in results.points}
    return {name: parts for name, parts in found.items() if parts}


def _histogram(seen: Mapping[str, Any]) -> Histogram:
    if seen["low"] is None:
        return Histogram(math.nan, math.nan, (), ())
    return Histogram(seen["low"], seen["high"], tuple(seen["edges"]), tuple(seen["counts"]))


def _facts(results: Results) -> tuple[tuple[str, str], ...]:
    first = results.chips[0]
    asked = first.record["facts"]["asked"]
    seeds = {chip.seed for chip in results.chips}
    images = f"{asked['dataset']['name']}, {first.record['images']} test {first.samples}"
    return (
        ("Network", asked["model"]["name"] or default_model(asked["dataset"]["name"])),
        ("Data", images),
        *((("Class 1", f"output above {number(first.threshold)}"),) if first.threshold is not None else ()),
        ("Points", str(len(results.points))),
        ("Chips of a point", str(len(seeds))),
        *_origin(first.provenance),
    )


def _origin(made: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    versions = ", ".join(f"{library}\N{NO-BREAK SPACE}{version}" for library, version in made["versions"].items())
    return ("Computed", _moment(made["created"])), ("Versions", versions)


def _moment(created: str) -> str:
    """A time as people write it, in one piece: day, hour and minute."""
    try:
        text = f"{datetime.fromisoformat(created).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:  # of another version
        text = created
    return text.replace(" ", "\N{NO-BREAK SPACE}")
