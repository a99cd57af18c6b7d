"""The report as one HTML file: template, style, script and data in one text, which asks nothing of any other place."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import crossohm
from crossohm.errors import DataError, MissingDependencyError
from crossohm.report.data import Histogram, LayerHardware, Point, ReportData
from crossohm.report.losses import loss, loss_label
from crossohm.report.measure import Measure, p_text
from crossohm.studies.file.wording import number
from crossohm.studies.results.statistics import Spread

_PAGE = Path(__file__).with_name("page")

#: Points whose histograms, and whose measures by class or output, are in the file; the results have all of them.
HISTOGRAMS, PARTS = 24, 4
_DIGITS = 6
_GONE = object()


def write_report(data: ReportData, path: str | os.PathLike[str]) -> None:
    """Write the report to a file; an existing one is replaced when the new one is complete.

    Raises:
        DataError: the file cannot be written.
        MissingDependencyError: Jinja2 is not installed.
    """
    text, target = render(data), Path(path)
    if target.exists() and not target.is_file():  # a device would be replaced by a file
        raise DataError(f"{target}: the report cannot be written (is no file). Give the name of a file")
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise DataError(f"{target}: the report cannot be written ({error.strerror or error})") from error


def render(data: ReportData) -> str:
    """The report as the text of one HTML file.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise MissingDependencyError("Jinja2", "report", "A report") from None
    environment = Environment(
        loader=FileSystemLoader(_PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    rows = list(_rows(data))
    return environment.get_template("report.html.j2").render(
        data=data,
        rows=rows,
        payload=_embedded(payload(data)),
        style=(_PAGE / "report.css").read_text(encoding="utf-8"),
        script="".join((_PAGE / name).read_text(encoding="utf-8") for name in ("drawing.js", "report.js")),
        version=crossohm.__version__,
        remarks=(*data.remarks, *_remarks(data)),
        failures=list(_failures(data)),
        with_notes={name for _, cells in rows for name, *_, notes in cells if notes},
        with_digital={name for point in data.points for name in point.digital},
        samples=next((point.samples for point in data.points), "images"),
        parts=list(_parts(data)),
        columns=len(data.measures) + len({name for point in data.points for name in point.digital}),
        has_snr=any(point.layer_snr for point in data.points),
        has_histograms=any(point.histograms for point in data.points),
    )


def payload(data: ReportData) -> dict[str, Any]:
    """What the script of the page draws, as plain values."""
    first, *others = (_hardware(hardware) for hardware in data.hardware)
    return {
        "measures": [{**asdict(measure), "loss": loss_label(measure)} for measure in data.measures],
        "axes": [{"name": axis.name, "labels": axis.labels, "values": axis.values} for axis in data.axes],
        "points": [
            _point(point, index < HISTOGRAMS)
            | {"notes": {each.name: _notes(point, each) for each in data.measures if each.name in point.analog}}
            | ({} if data.complete is None else {"loss": _losses(data, point)})
            for index, point in enumerate(data.points)
        ],
        "hardware": first,
        "complete": data.complete,
        "changes": [[], *([list(change) for change in _changes(first, other)] for other in others)],
    }


def _notes(point: Point, measure: Measure) -> list[str]:
    """What the images of a point say about an accuracy."""
    limits, answers, found = point.interval(measure), point.paired.get(measure.name), []
    if limits is not None:
        found.append(f"95 % interval for {point.images:,} {point.samples}: {measure.interval_text(limits)}")
    if answers is not None:
        found.append(
            f"{point.samples} lost {number(answers.lost)}, gained {number(answers.gained)}; p {p_text(answers.p_value)}"
        )
    return found


def _rows(data: ReportData) -> Iterator[tuple[Point, list[tuple[str, str, str, list[str]]]]]:
    """Points, and for every measure its name, its mean as the script reads it, its text, and what its images say."""
    for point in data.points:
        cells = []
        for measure in data.measures:
            if measure.name in point.analog:
                found = point.spread(measure.name)
                cells.append((measure.name, _sortable(found.mean), measure.spread_text(found), _notes(point, measure)))
        yield point, cells


def _parts(data: ReportData) -> Iterator[tuple[str, list[str], list[tuple[str, list[str]]]]]:
    """By point: its label, the measures that have parts, and for each class or output their texts."""
    for point in data.points[:PARTS]:
        measures = [measure for measure in data.measures if measure.name in point.parts]
        names = dict.fromkeys(name for measure in measures for name in point.parts[measure.name])
        rows = [
            (name, [text for measure in measures for text in _part_texts(measure, point.parts[measure.name].get(name))])
            for name in names
        ]
        if rows:
            yield point.label, [measure.label for measure in measures], rows


def _part_texts(measure: Measure, found: tuple[float, Spread] | None) -> tuple[str, str]:
    return ("", "") if found is None else (measure.spread_text(found[1]), measure.text(found[0]))


def _failures(data: ReportData) -> Iterator[tuple[str, str]]:
    """Chips without a result: point and reason, chips of one reason together."""
    for point in data.points:
        for reason in dict.fromkeys(reason for _, reason in point.failures):
            seeds = [str(seed) for seed, own in point.failures if own == reason]
            yield point.label, f"chip {', '.join(seeds)}: {reason}"


def _remarks(data: ReportData) -> Iterator[str]:
    if len(data.points) > HISTOGRAMS and any(point.histograms for point in data.points):
        yield f"ADC inputs are shown for the first {HISTOGRAMS} points; the folder of results has all of them."


def _point(point: Point, with_histograms: bool) -> dict[str, Any]:
    return {
        "label": point.label,
        "at": point.positions,
        "seeds": point.seeds,
        "analog": {name: _numbers(values) for name, values in point.analog.items()},
        "digital": {name: _number(value) for name, value in point.digital.items()},
        "spread": {
            "analog": {name: _mean_and_std(point.spread(name)) for name in point.analog},
            "snr": {name: _mean_and_std(point.layer_spread(name)) for name in point.layer_snr},
        },
        "snr": {name: _numbers(values) for name, values in point.layer_snr.items()},
        "adc": {name: [_histogram(seen) for seen in slices] for name, slices in point.histograms.items()}
        if with_histograms
        else {},
        "hardware": point.hardware,
    }


def _losses(data: ReportData, point: Point) -> dict[str, Any]:
    return {each.name: _number(loss(data, point, each)) for each in data.measures if each.name in point.analog}


def _mean_and_std(found: Spread) -> list[Any]:
    std = found.std
    return [_number(found.mean), None if std is None or not math.isfinite(std) else _number(std)]


def _histogram(seen: Histogram) -> dict[str, Any]:
    edges = (seen.edges[0], seen.edges[-1]) if seen.edges else ()
    return {"low": _number(seen.low), "high": _number(seen.high), "edges": _numbers(edges), "counts": seen.counts}


def _hardware(hardware: LayerHardware) -> dict[str, Any]:
    plain = {"layers": hardware.layers, "settings": hardware.settings, "exceptions": hardware.exceptions}
    found: dict[str, Any] = json.loads(json.dumps(plain), parse_constant=str)  # Infinity as text
    return found


def _changes(base: Any, other: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """What makes one tree of plain values of another: pairs of a path and a value, or a path that goes."""
    if isinstance(base, Mapping) and isinstance(other, Mapping):
        for key in [*base, *(key for key in other if key not in base)]:
            yield from _changes(base.get(key, _GONE), other.get(key, _GONE), (*path, key))
    elif isinstance(base, list) and isinstance(other, list) and len(base) == len(other):
        for index, (mine, theirs) in enumerate(zip(base, other, strict=True)):
            yield from _changes(mine, theirs, (*path, index))
    elif other is _GONE:
        yield (path,)
    elif type(base) is not type(other) or base != other:  # 1 is not True in a file
        yield path, other


def _numbers(values: Sequence[float]) -> list[Any]:
    return [_number(value) for value in values]


def _number(value: float) -> Any:
    """A number with the digits a plot needs; infinite ones as text, undefined ones as null."""
    if not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def _sortable(value: float) -> str:
    return repr(value).replace("inf", "Infinity")


def _embedded(plain: Mapping[str, Any]) -> str:
    """JSON that is safe inside a script element."""
    text = json.dumps(plain, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
