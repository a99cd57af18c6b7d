"""What stands between a user's device model and the arrays of a chip."""

from __future__ import annotations

from typing import final

from crossohm._random import Draw
from crossohm._registry import is_own
from crossohm.backends import Array, backend_of, is_array
from crossohm.devices.model import Cell, Device


def guarded(model: Device) -> Device:
    """The model, handed copies if it is not one of crossohm's own, which write on nothing."""
    return model if is_own(type(model)) else Guarded(model)


@final
class Guarded(Device):
    """A model that may write on the arrays it is given (``g += noise``), because they are copies.

    Without it such a model would change what is programmed, or the voltages of other cells: conductances of PyTorch and
    of NumPy are handed on as views of the chip's. What a model leaves to `Device` is worked out here, so that of two
    methods one does not see what the other left behind.

    Args:
        model: The user's model.
    """

    def __init__(self, model: Device) -> None:
        self.model = model
        self.source = model.source

    def check(self, role: str, cell: Cell) -> None:
        self.model.check(role, cell)

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        return self.model.programming_error(_own(g), cell, draw)

    def drift_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        return self.model.drift_error(_own(g), cell, draw)

    def read_noise_std(self, g: Array, cell: Cell) -> Array:
        return self.model.read_noise_std(_own(g), cell)

    def read_noise(self, g: Array, cell: Cell, draw: Draw) -> Array:
        if self.has_gaussian_read_noise:
            return super().read_noise(g, cell, draw)
        return self.model.read_noise(_own(g), cell, draw)

    def current_coefficients(self, g: Array, cell: Cell) -> dict[int, Array]:
        return self.model.current_coefficients(_own(g), cell)

    def current(self, g: Array, v: Array, cell: Cell) -> Array:
        if self.has_polynomial_current:
            return super().current(g, v, cell)
        return self.model.current(_own(g), _own(v), cell)

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
