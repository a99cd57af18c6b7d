"""Where the parameters of a layer lie in its matrix, as data: to form the matrix, to read it back, to find a region.

A matrix is ``(outputs, inputs + bias columns)``. Every framework keeps its parameters in shapes and orders of its own;
a `View` says how one of them becomes rows and columns, a `Placement` where these stand, and a `Layout` is all
placements of a matrix. Nothing here knows a framework: values are arrays of any library, and forming a matrix is
differentiable where the library is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import final

from crossohm.backends import Array, backend_of

#: Rows and columns of a matrix.
Region = tuple[slice, slice]


@final
@dataclass(frozen=True)
class View:
    """A parameter as rows and columns.

    Attributes:
        shape: Shape of the parameter.
        split: Shape it is seen in first: axes cut into several.
        order: These axes in a new order.
        flipped: Axes, in the new order, that run backwards (taps of a transposed convolution).
        lead: How many of the axes are the rows; the others are the columns.
    """

    shape: tuple[int, ...]
    split: tuple[int, ...]
    order: tuple[int, ...]
    flipped: tuple[int, ...] = ()
    lead: int = 1

    @classmethod
    def of(cls, shape: tuple[int, ...], order: tuple[int, ...] = (), lead: int = 1) -> View:
        """Axes in ``order`` (as they are, by default), the first ``lead`` of them as rows."""
        return cls(shape, shape, order or tuple(range(len(shape))), (), lead)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        ordered = self._ordered
        return prod(ordered[: self.lead]), prod(ordered[self.lead :])

    @property
    def _ordered(self) -> tuple[int, ...]:
        return tuple(self.split[axis] for axis in self.order)

    def in_stack(self, count: int) -> View:
        """A stack of ``count`` such parameters along a first axis, the rows of one below those of the other."""
        order, flipped = (tuple(axis + 1 for axis in axes) for axes in (self.order, self.flipped))
        return View((count, *self.shape), (count, *self.split), (0, *order), flipped, self.lead + 1)

    def rows(self, value: Array) -> Array:
        """The parameter ``value`` as ``(rows, columns)``."""
        xp = backend_of(value).xp
        if self.split != self.shape:
            value = xp.reshape(value, self.split)
        if self.order != tuple(range(len(self.order))):
            value = xp.permute_dims(value, self.order)
        if self.flipped:
            value = xp.flip(value, axis=self.flipped)
        return value if tuple(value.shape) == self.size else xp.reshape(value, self.size)

    def value(self, rows: Array) -> Array:
        """Inverse of `rows`."""
        xp = backend_of(rows).xp
        found = xp.reshape(rows, self._ordered)
        if self.flipped:
            found = xp.flip(found, axis=self.flipped)
        inverse = tuple(self.order.index(axis) for axis in range(len(self.order)))
        return xp.reshape(xp.permute_dims(found, inverse), self.shape)


@final
@dataclass(frozen=True)
class Placement:
    """A rectangle of a matrix that holds a parameter, or some of its rows.

    Attributes:
        parameter: Name of the parameter.
        view: The parameter as rows and columns.
        part: Which of these rows lie here.
        rows: Rows of the matrix.
        columns: Columns of the matrix.
        diagonal: The rows come in this many equal runs, which lie along the diagonal of the rectangle; what is beside
            it holds zeros.
        shares: The columns hold equal shares of a single column each (bias columns).
    """

    parameter: str
    view: View
    part: slice
    rows: slice
    columns: slice
    diagonal: int = 1
    shares: bool = False

    def in_stack(self, index: int, count: int) -> Placement:
        """The same for entry ``index`` of a stack of ``count`` parameters; see `View.in_stack`."""
        before = index * self.view.size[0]
        part = slice(before + self.part.start, before + self.part.stop)
        return replace(self, view=self.view.in_stack(count), part=part)

    def block(self, value: Array) -> Array:
        """What the rectangle holds."""
        rows = self.view.rows(value)
        if self.part != slice(0, rows.shape[0]):
            rows = rows[self.part]
        if self.shares:
            count = _length(self.columns)
            return backend_of(rows).xp.broadcast_to(rows / count, (rows.shape[0], count))
        return _along_diagonal(rows, self.diagonal)

    def held(self, matrix: Array) -> Array:
        """The rows of the parameter that a matrix holds here."""
        found = matrix[self.rows, self.columns]
        if self.shares:
            return backend_of(found).xp.sum(found, axis=1, keepdims=True)
        return _from_diagonal(found, self.diagonal)


@final
@dataclass(frozen=True)
class Layout:
    """All that a matrix holds.

    Attributes:
        shape: ``(outputs, inputs + bias columns)``.
        placements: Rectangles that do not overlap; what lies outside holds zeros.
        row_groups: Equal runs of rows with arrays and inputs of their own, see `crossohm.AnalogCore`.
    """

    shape: tuple[int, int]
    placements: tuple[Placement, ...]
    row_groups: int = 1
    parameters: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(dict.fromkeys(placement.parameter for placement in self.placements))
        object.__setattr__(self, "parameters", names)

    def in_stack(self, index: int, count: int) -> Layout:
        """The same for entry ``index`` of parameters that are stacks of ``count`` along a first axis."""
        return replace(self, placements=tuple(place.in_stack(index, count) for place in self.placements))

    @cached_property
    def bias_columns(self) -> int:
        """Columns of constant one: those that hold shares of biases."""
        shared = {(place.columns.start, place.columns.stop) for place in self.placements if place.shares}
        return sum(stop - start for start, stop in shared)

    @cached_property
    def weights(self) -> int:
        """Numbers of parameters that one vector is multiplied by, without biases."""
        sizes = ((place, _length(place.rows) * _length(place.columns)) for place in self.placements)
        return sum(size // place.diagonal for place, size in sizes if not place.shares) // self.row_groups

    def matrix(self, values: Mapping[str, Array]) -> Array:
        """The ideal matrix of these parameters; differentiable where their library is.

        Args:
            values: Parameters by name, of one library and dtype.
        """
        blocks = [(place, place.block(values[place.parameter])) for place in self.placements]
        if len(blocks) == 1 and tuple(blocks[0][1].shape) == self.shape:
            return blocks[0][1]
        backend = backend_of(blocks[0][1])
        return backend.assembled(self.shape, [(place.rows, place.columns, block) for place, block in blocks])

    def stored(self, values: Mapping[str, Array]) -> tuple[Array, ...]:
        """What the matrix holds of each parameter, in the order of `parameters`: all of it, or a run of its rows."""
        held = self._held  # asked for in every product
        return tuple(
            values[name] if view is None else view.rows(values[name])[part]
            for name, (view, part) in zip(self.parameters, held, strict=True)
        )

    @cached_property
    def _held(self) -> tuple[tuple[View | None, slice], ...]:
        """The rows of each parameter that the matrix holds, and how it is seen; no view if it holds all of them."""
        found = []
        for name in self.parameters:
            places = list(self._places(name))
            part = slice(min(place.part.start for place in places), max(place.part.stop for place in places))
            view = places[0].view
            found.append((None if part == slice(0, view.size[0]) else view, part))
        return tuple(found)

    @property
    def zeros_between_groups(self) -> int:
        """Entries of the matrix beside the diagonals of its placements."""
        return sum(
            _length(place.rows) * _length(place.columns) * (place.diagonal - 1) // place.diagonal
            for place in self.placements
        )

    def rows_held(self, matrix: Array) -> Iterator[tuple[Placement, Array]]:
        """For each placement, the rows of its parameter that a matrix holds there."""
        for place in self.placements:
            yield place, place.held(matrix)

    def regions(self, parameter: str) -> tuple[Region, ...]:
        """The rectangles that hold a parameter."""
        return tuple((place.rows, place.columns) for place in self._places(parameter))

    def _places(self, parameter: str) -> Iterator[Placement]:
        return (place for place in self.placements if place.parameter == parameter)


def values_of(layouts: Sequence[Layout], matrices: Sequence[Array]) -> dict[str, Array]:
    """The parameters that matrices hold, those included whose rows lie in several of them.

    Inverse of `Layout.matrix`. Parameters that no matrix holds are left out.
    """
    found: dict[str, list[tuple[Placement, Array]]] = {}
    for layout, matrix in zip(layouts, matrices, strict=True):
        for place, rows in layout.rows_held(matrix):
            found.setdefault(place.parameter, []).append((place, rows))
    return {name: _whole(sorted(parts, key=lambda part: part[0].part.start)) for name, parts in found.items()}


def _whole(parts: list[tuple[Placement, Array]]) -> Array:
    (first, rows), *more = parts
    if more:
        rows = backend_of(rows).xp.concat([rows, *(found for _, found in more)], axis=0)
    return first.view.value(rows)


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _along_diagonal(rows: Array, count: int) -> Array:
    """Equal runs of ``rows`` side by side and one below the other, zeros beside them."""
    if count == 1:
        return rows
    xp, (height, width) = backend_of(rows).xp, (rows.shape[0] // count, rows.shape[1])
    runs = xp.reshape(rows, (count, height, 1, width))
    spread = xp.where(_diagonal(rows, count), runs, xp.zeros_like(runs))
    return xp.reshape(spread, (count * height, count * width))


def _from_diagonal(matrix: Array, count: int) -> Array:
    """Inverse of `_along_diagonal`: what lies beside the diagonal is left out."""
    if count == 1:
        return matrix
    xp, (height, width) = backend_of(matrix).xp, (matrix.shape[0] // count, matrix.shape[1] // count)
    runs = xp.reshape(matrix, (count, height, count, width))
    own = xp.where(_diagonal(matrix, count), runs, xp.zeros_like(runs))
    return xp.reshape(xp.sum(own, axis=2), (count * height, width))


def _diagonal(like: Array, count: int) -> Array:
    """True on the diagonal, ``(count, 1, count, 1)``."""
    backend = backend_of(like)
    index = backend.indices(range(count), like)
    return index[:, None, None, None] == index[None, None, :, None]
