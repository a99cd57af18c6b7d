"""Products written as equations: which axes of a kernel are rows and columns of a matrix, and which vectors meet it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, final

from crossohm.backends import Array, backend_of
from crossohm.errors import UnsupportedError
from crossohm.layers.layout import Layout, Placement, View
from crossohm.layers.layouts import shared

#: ``inputs,kernel->outputs``, with the same axes elided in front of inputs and outputs, or behind them, or nowhere.
_FORM = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


@final
@dataclass(frozen=True)
class ProductEquation:
    """An equation that multiplies the vector at every position of the inputs by the same matrix.

    Axes of the kernel that the inputs have are columns of the matrix, in the order of the inputs; those that the
    outputs have are its rows, in the order of the outputs; all other axes of inputs and outputs are positions. So the
    matrix does not depend on how the kernel's axes are ordered.

    Attributes:
        inputs: Axes of the inputs, a letter each, without those that are elided.
        kernel: Axes of the kernel.
        outputs: Axes of the outputs.
        elided: Where inputs and outputs have more axes: ``"before"``, ``"behind"`` or ``""``.
    """

    inputs: str
    kernel: str
    outputs: str
    elided: str = ""

    @classmethod
    def of(cls, equation: str) -> ProductEquation:
        """From ``"ab,bc->ac"``, ``"...x,xy->...y"`` or ``"ab...,bc->ac..."``.

        Raises:
            UnsupportedError: the equation is no matrix product at every position.
        """
        form = _FORM.fullmatch(equation.replace(" ", ""))
        if form is None:
            raise _refused(equation, "it does not have the form inputs,kernel->outputs")
        before, inputs, behind, kernel, also_before, outputs, also_behind = form.groups()
        if (before, behind) != (also_before, also_behind) or (before and behind):
            raise _refused(equation, "what is elided must be in front of inputs and outputs, or behind both")
        _require_product(equation, inputs, kernel, outputs)
        return cls(inputs, kernel, outputs, "before" if before else "behind" if behind else "")

    @cached_property
    def columns(self) -> str:
        """Axes that are summed over, in the order of the inputs."""
        return "".join(axis for axis in self.inputs if axis in self.kernel)

    @cached_property
    def rows(self) -> str:
        """Axes of the kernel that remain, in the order of the outputs."""
        return "".join(axis for axis in self.outputs if axis in self.kernel)

    def view(self, shape: tuple[int, ...]) -> View:
        """A kernel of ``shape`` as rows and columns."""
        order = tuple(self.kernel.index(axis) for axis in self.rows + self.columns)
        return View.of(shape, order, lead=len(self.rows))

    def layout(
        self,
        shape: tuple[int, ...],
        bias_columns: int = 0,
        bias_shape: tuple[int, ...] = (),
        *,
        kernel: str = "kernel",
        bias: str = "bias",
    ) -> Layout:
        """Where kernel and bias lie in the matrix.

        Args:
            shape: Of the kernel.
            bias_columns: Columns that hold the bias; 0: it is no part of the matrix.
            bias_shape: Of the bias, which has one number for each row, see `bias_is_of_rows`.
            kernel: Name of the parameter.
            bias: Name of the parameter.
        """
        view = self.view(shape)
        outputs, inputs = view.size
        every = slice(0, outputs)
        placements = [Placement(kernel, view, every, every, slice(0, inputs))]
        if bias_columns:
            placements.append(shared(bias, bias_shape, every, every, inputs, bias_columns))
        return Layout((outputs, inputs + bias_columns), tuple(placements))

    def bias_is_of_rows(self, axes: str) -> bool:
        """True if a bias with these axes of the outputs has one number for each row of the matrix, in their order."""
        return axes == self.rows

    def fits(self, inputs: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
        """True if inputs and a kernel of these shapes go into the equation."""
        more, sizes = len(inputs) - len(self.inputs), dict(zip(self.kernel, kernel, strict=True))
        if more < 0 or (more and not self.elided):
            return False
        return all(inputs[self._axis(self.inputs, axis, len(inputs))] == sizes[axis] for axis in self.columns)

    def vectors(self, x: Array) -> Array:
        """The vectors ``(positions, inputs)`` of ``x``, whose positions are flattened in their order."""
        xp, kept = backend_of(x).xp, self._positions(x.ndim)
        summed = [self._axis(self.inputs, axis, x.ndim) for axis in self.columns]
        size = prod(x.shape[axis] for axis in summed)
        return xp.reshape(xp.permute_dims(x, (*kept, *summed)), (-1, size))

    def outputs_of(self, y: Array, inputs: Sequence[Any], kernel: tuple[int, ...]) -> Array:
        """The outputs of the equation.

        Args:
            y: Products ``(positions, rows)`` of `vectors`.
            inputs: Shape of the inputs; sizes may be what the library takes for those it does not know yet.
            kernel: Shape of the kernel.
        """
        xp, rank = backend_of(y).xp, len(inputs)
        sizes = dict(zip(self.kernel, kernel, strict=True))
        kept = [inputs[axis] for axis in self._positions(rank)]
        found = xp.reshape(y, (*kept, *(sizes[axis] for axis in self.rows)))
        return xp.permute_dims(found, self._order(rank))

    def _positions(self, rank: int) -> list[int]:
        """Axes of the inputs that are positions."""
        summed = {self._axis(self.inputs, axis, rank) for axis in self.columns}
        return [axis for axis in range(rank) if axis not in summed]

    def _axis(self, axes: str, axis: str, rank: int) -> int:
        """Where an axis is among ``rank`` of them."""
        return axes.index(axis) + (rank - len(axes) if self.elided == "before" else 0)

    def _order(self, rank: int) -> tuple[int, ...]:
        """For each axis of the outputs, where it is among positions and rows."""
        more = rank - len(self.inputs)
        elided = [f"{number}" for number in range(more)]
        inputs = [*elided, *self.inputs] if self.elided == "before" else [*self.inputs, *elided]
        outputs = [*elided, *self.outputs] if self.elided == "before" else [*self.outputs, *elided]
        given = [axis for axis in inputs if axis not in self.columns] + list(self.rows)
        return tuple(given.index(axis) for axis in outputs)


def _require_product(equation: str, inputs: str, kernel: str, outputs: str) -> None:
    for part in (inputs, kernel, outputs):
        if len(set(part)) < len(part):
            raise _refused(equation, f"{part} names an axis twice")
    if every := set(inputs) & set(kernel) & set(outputs):
        raise _refused(equation, f"axis {min(every)} is in all three: every index of it has a matrix of its own")
    for name, part in (("inputs", inputs), ("kernel", kernel)):
        if lost := set(part) - set(outputs) - (set(inputs) & set(kernel)):
            raise _refused(equation, f"axis {min(lost)} of the {name} is summed by itself")
    if missing := set(outputs) - set(inputs) - set(kernel):
        raise _refused(equation, f"axis {min(missing)} of the outputs comes from nowhere")
    if not set(inputs) & set(kernel):
        raise _refused(equation, "nothing is summed over")


def _refused(equation: str, problem: str) -> UnsupportedError:
    return UnsupportedError(
        f"equation {equation!r} is no matrix product at every position: {problem}; allowed are equations like "
        "'abc,cde->abde' or '...x,xy->...y'. Keep the layer digital, or split the equation"
    )
