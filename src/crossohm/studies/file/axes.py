"""Sweep axes: what is varied, and every combination of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, final

import numpy as np

from crossohm.errors import ParameterError
from crossohm.params.text import join
from crossohm.studies.file.problems import shown
from crossohm.studies.file.sections import SweepSection
from crossohm.studies.file.tree import HARDWARE_GROUPS
from crossohm.studies.file.wording import settings

#: More combinations than anyone waits for; a slip of the pen.
MOST_POINTS = 100_000

#: Counts that are tried and listed when a parameter needs integers.
_MOST_TRIED, _MOST_LISTED = 200, 8

_SPAN = {"from", "to", "count", "scale"}
_SWEPT = ("model", "dataset", "hardware", "calibration")


@final
@dataclass(frozen=True)
class Axis:
    """One direction of a sweep.

    Attributes:
        name: Of the dimension: the path in a grid, ``"zip"``, or ``"point"``.
        paths: What is set along it.
        positions: For every position the settings, ``{path: value}``.
    """

    name: str
    paths: tuple[str, ...]
    positions: tuple[dict[str, Any], ...]

    def __len__(self) -> int:
        return len(self.positions)

    def texts(self) -> tuple[dict[str, str], ...]:
        """The settings of every position as people write them."""
        columns = {}
        for path in self.paths:
            values = [position[path] for position in self.positions if path in position]
            columns[path] = iter(settings(values))
        return tuple({path: next(columns[path]) for path in self.paths if path in own} for own in self.positions)


def axes_of(sweep: SweepSection) -> tuple[Axis, ...]:
    """The axes of a sweep: those of the grid first, the last one varying fastest.

    Raises:
        ParameterError: an axis has no values, paths that are set twice or cannot be varied, or lists of unlike length.
    """
    grid = [Axis(path, (path,), _single(path, values, "sweep.grid")) for path, values in sweep.grid.items()]
    zipped, points = _zipped(sweep.zip), _points(sweep.points)
    axes = (*grid, *zipped, *points)
    paths = [path for axis in axes for path in axis.paths]
    for path in paths:
        _check_path(path, paths.count(path))
    count = math.prod(map(len, axes))
    if count > MOST_POINTS:
        raise ParameterError("sweep", count, "too many points", allowed=f"at most {MOST_POINTS}")
    return axes


def combinations(axes: tuple[Axis, ...]) -> Iterator[dict[str, Any]]:
    """The settings of every point; without axes one point that changes nothing."""
    for positions in itertools.product(*(axis.positions for axis in axes)):
        yield {path: value for settings in positions for path, value in settings.items()}


def _single(path: str, given: Any, where: str) -> tuple[dict[str, Any], ...]:
    return tuple({path: value} for value in _values(join(where, path), given))


def _zipped(table: Mapping[str, Any]) -> list[Axis]:
    columns = {path: _values(join("sweep.zip", path), values) for path, values in table.items()}
    lengths = {path: len(values) for path, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ParameterError("sweep.zip", lengths, "lists of unlike length; they are gone through together")
    rows = zip(*columns.values(), strict=True)
    return [Axis("zip", tuple(table), tuple(dict(zip(table, row, strict=True)) for row in rows))] if table else []


def _points(points: tuple[dict[str, Any], ...]) -> list[Axis]:
    for number, point in enumerate(points):
        if not point:
            raise ParameterError(f"sweep.points.{number}", point, "sets nothing", allowed="a table of path: value")
    paths = dict.fromkeys(path for point in points for path in point)
    return [Axis("point", tuple(paths), points)] if points else []


def _values(where: str, given: Any) -> list[Any]:
    """The values of one path: a list, or a span of numbers."""
    if isinstance(given, dict):
        return _span(where, given)
    if not isinstance(given, list) or not given:
        raise ParameterError(
            where, shown(given), "no values to vary", allowed="a list, or {from: 1, to: 10, count: 4, scale: log}"
        )
    texts = [repr(value) for value in given]
    for value, text in zip(given, texts, strict=True):
        if texts.count(text) > 1:
            raise ParameterError(where, shown(value), "given twice")
    return given


def _span(where: str, span: Mapping[str, Any]) -> list[float] | list[int]:
    """Equally spaced numbers, or numbers at equal ratios; integers if the ends are and all steps land on them."""
    start, stop, count = span.get("from"), span.get("to"), span.get("count")
    scale = span.get("scale", "linear")
    is_count = isinstance(count, int) and not isinstance(count, bool) and 2 <= count <= MOST_POINTS
    ends = [float(end) for end in (start, stop) if _is_number(end)]
    if not is_count or len(set(ends)) < 2 or not set(span) <= _SPAN or scale not in ("linear", "log"):
        raise ParameterError(
            where, shown(dict(span)), "not a span of numbers",
            allowed="{from: number, to: another, count: 2 or more, scale: linear or log}",
        )  # fmt: skip
    if scale == "log" and min(ends) <= 0:
        raise ParameterError(where, shown(dict(span)), "a logarithmic scale needs positive numbers")
    values = _spaced(ends, int(count or 0), scale)
    whole = [round(value) for value in values]
    given_whole = isinstance(start, int) and isinstance(stop, int)
    return whole if given_whole and _are_whole(values) else values


def _spaced(ends: Sequence[float], count: int, scale: str) -> list[float]:
    spaced = np.geomspace if scale == "log" else np.linspace
    return [float(value) for value in spaced(ends[0], ends[1], count)]


def _are_whole(values: Iterable[float]) -> bool:
    """True for integers but for the rounding of a few operations."""
    return all(abs(value - round(value)) <= 1e-12 * abs(value) for value in values)


def whole_spans(span: Mapping[str, Any]) -> str:
    """The spans of these ends that have integers only, as advice."""
    ends, scale = (span["from"], span["to"]), span.get("scale", "linear")
    if not _are_whole(map(float, ends)):
        return "whole numbers as from and to"
    most = min(abs(round(ends[1] - ends[0])) + 1, _MOST_TRIED)
    counts = [count for count in range(2, most + 1) if _are_whole(_spaced(ends, count, scale))]
    listed = ", ".join(map(str, counts[-_MOST_LISTED:]))
    return f"{{from: {round(ends[0])}, to: {round(ends[1])}, scale: {scale}}} with count: {listed}, or a list"


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _check_path(path: str, times: int) -> None:
    if times > 1:
        raise ParameterError("sweep", path, f"varied in {times} places; a path belongs to one axis")
    if ":" not in path and path.partition(".")[0] not in (*HARDWARE_GROUPS, *_SWEPT):
        beginnings = ", ".join((*HARDWARE_GROUPS, *_SWEPT))
        raise ParameterError(
            "sweep", path, "cannot be varied", allowed=f"paths that begin with {beginnings}",
            remedy="Chips are repeated for every point; see repeats",
        )  # fmt: skip
