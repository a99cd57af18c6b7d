"""What stands between a user's device model and the arrays of a chip."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, final

import numpy as np

from crossohm._answers import of_shape
from crossohm._names import is_own
from crossohm._random import Draw
from crossohm.backends import Array, backend_of, is_array
from crossohm.devices import answers
from crossohm.devices.model import Cell, Device


def guarded(model: Device) -> Device:
    """The model, handed copies if it is not one of crossohm's own, which write on nothing."""
    return model if is_own(type(model)) else Guarded(model)


@final
class Guarded(Device):
    """A user's model: what it is given are copies, and what it answers is looked at.

    Its values are looked at where hardware is written, their shapes in every operation; see `answers`. Without copies a
    model that writes on what it is given (``g += noise``) would change what is programmed, or the voltages of other
    cells: conductances of PyTorch and of NumPy are handed on as views of the chip's. What a model leaves to `Device` is
    worked out here, so that of two methods one does not see what the other left behind.

    Args:
        model: The user's model.
    """

    def __init__(self, model: Device) -> None:
        self.model = model
        self.source = model.source

    def check(self, role: str, cell: Cell) -> None:
        self.model.check(role, cell)

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        found = self.model.programming_error(_own(g), cell, draw)
        return answers.conductances(found, g, self._name("programming_error"), cell)

    def drift_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        found = self.model.drift_error(_own(g), cell, draw)
        return answers.conductances(found, g, self._name("drift_error"), cell)

    def read_noise_std(self, g: Array, cell: Cell) -> Array:
        return answers.deviations(self.model.read_noise_std(_own(g), cell), g, self._name("read_noise_std"))

    def read_noise(self, g: Array, cell: Cell, draw: Draw) -> Array:
        if self.has_gaussian_read_noise:
            return super().read_noise(g, cell, draw)
        found = self.model.read_noise(_own(g), cell, draw)
        return of_shape(found, tuple(g.shape), self._name("read_noise"))

    def current_coefficients(self, g: Array, cell: Cell) -> dict[int, Array]:
        found = self.model.current_coefficients(_own(g), cell)
        return answers.coefficients(found, g, self._name("current_coefficients"))

    def current(self, g: Array, v: Array, cell: Cell) -> Array:
        if self.has_polynomial_current:
            return super().current(g, v, cell)
        found = self.model.current(_own(g), _own(v), cell)
        return of_shape(found, _joint_shape(g, v), self._name("current"))

    def _name(self, method: str) -> str:
        return f"{type(self.model).__name__}.{method}"

    def models(self, role: str) -> bool:
        return self.model.models(role)

    @property
    def has_gaussian_read_noise(self) -> bool:
        return self.model.has_gaussian_read_noise

    @property
    def has_polynomial_current(self) -> bool:
        return self.model.has_polynomial_current


def _own(array: Array) -> Array:
    return backend_of(array).writable(array) if is_array(array) else array  # one voltage may be a plain number


def _joint_shape(g: Array, v: Array) -> tuple[Any, ...]:
    """The shape of ``g`` and ``v`` together; a size is None where it is not known yet."""
    axes = zip_longest(*(reversed(tuple(np.shape(array))) for array in (g, v)), fillvalue=1)
    return tuple(next((size for size in sizes if size != 1), 1) for sizes in axes)[::-1]
