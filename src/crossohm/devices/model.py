"""What a device model is: the electrical frame it is used in, and up to four roles.

A memory cell can be imperfect in four ways, each a *role* that is chosen and enabled on its own under
``xbar.device``:

=====================  =======================================================================
``programming_error``  the conductance after the write differs from the target
``drift_error``        the conductance a time after the write (programming error included)
``read_noise``         fresh fluctuations in every array operation
``nonlinear_IV``       current not proportional to voltage
=====================  =======================================================================

A model has the roles whose methods it overrides, and no others. Conductances are normalised throughout: ``g = 1`` is
the conductance ``1/Rmin``. A user's own model is a class of a few lines::

    @device("HfO2_Lab7")
    class HfO2Lab7(Device):
        source = "our lab, wafer 7"

        def programming_error(self, g, cell, draw):
            return g + 0.02 * g * draw.normal(g)
"""

from __future__ import annotations

from dataclasses import dataclass

from crossohm._content import ByContent
from crossohm._random import Draw
from crossohm.backends import Array
from crossohm.errors import UnsupportedError
from crossohm.params.measurements import Measurements

ROLES = ("programming_error", "drift_error", "read_noise", "nonlinear_IV")

_METHODS_OF_ROLE = {
    "programming_error": ("programming_error",),
    "drift_error": ("drift_error",),
    "read_noise": ("read_noise", "read_noise_std"),
    "nonlinear_IV": ("current", "current_coefficients"),
}


@dataclass(frozen=True)
class Cell:
    """The electrical frame of a memory cell.

    Attributes:
        r_min: Resistance at ``g = 1``, ohm.
        rho: Lowest normalised conductance ``Rmin/Rmax``; 0 for an infinite on/off ratio.
        v_read: Device voltage at full-scale input, V.
        magnitude: Strength of the generic models, normalised; measured models ignore it.
        time: Time since programming, in the unit of the drift model.
        table: What was measured, for models that read it.
    """

    r_min: float
    rho: float
    v_read: float
    magnitude: float = 0.0
    time: float = 0.0
    table: Measurements | None = None

    @property
    def g_max_microsiemens(self) -> float:
        """Conductance at ``g = 1``, microsiemens: the unit of the published fits."""
        return 1e6 / self.r_min

    @property
    def i_max_nanoampere(self) -> float:
        """Current of a cell at ``g = 1`` and full-scale input, nA."""
        return 1e9 * self.v_read / self.r_min


class Device(ByContent):
    """Base of all device models: override the methods of the roles the device has, nothing else.

    In every method ``g`` is a normalised conductance array of any shape, from any supported array library; results
    have its shape, dtype and library. Models hold no state: all numbers they depend on are in ``cell``.

    Attributes:
        source: Where the model comes from (paper, figure, data set).
    """

    source: str = ""

    def check(self, role: str, cell: Cell) -> None:
        """Raise `ParameterError` if ``cell`` lies outside the range in which the model holds for ``role``."""

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Conductance after writing the target ``g``."""
        raise self._lacks("programming_error")

    def drift_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Conductance ``cell.time`` after writing the target ``g``, programming error included."""
        raise self._lacks("drift_error")

    def read_noise_std(self, g: Array, cell: Cell) -> Array:
        """Standard deviation of additive, independent, Gaussian read noise, normalised.

        Overriding this method (and not `read_noise`) declares the noise Gaussian, so that the noise of a whole
        matrix product can be drawn at its outputs instead of in every cell.
        """
        raise self._lacks("read_noise")

    def read_noise(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Conductance as seen by one read of the stored ``g``; override for noise that is not Gaussian."""
        return g + self.read_noise_std(g, cell) * draw.normal(g)

    def current_coefficients(self, g: Array, cell: Cell) -> dict[int, Array]:
        """Polynomial I-V curve: coefficients ``{p: c_p(g)}`` of ``current = sum_p c_p(g) * v**p``, normalised.

        Overriding this method (and not `current`) lets array currents be computed as a few matrix products.
        """
        raise self._lacks("nonlinear_IV")

    def current(self, g: Array, v: Array, cell: Cell) -> Array:
        """Cell current at normalised voltage ``v``; 1 is the current of a linear cell at ``g = 1`` and ``v = 1``.

        ``g`` and ``v`` broadcast. ``g`` labels the state: it is the conductance at ``v -> 0``.
        """
        coefficients = self.current_coefficients(g, cell)
        highest = max(coefficients)
        total = coefficients[highest]
        for power in reversed(range(highest)):  # Horner's rule: products cost far less than powers
            total = total * v
            if power in coefficients:
                total = total + coefficients[power]
        return total

    def models(self, role: str) -> bool:
        """True if this model has the given role, one of `ROLES`."""
        return any(map(self._overrides, _METHODS_OF_ROLE[role]))

    @property
    def has_gaussian_read_noise(self) -> bool:
        """True if read noise is fully described by `read_noise_std`."""
        return self._overrides("read_noise_std") and not self._overrides("read_noise")

    @property
    def has_polynomial_current(self) -> bool:
        """True if the I-V curve is fully described by `current_coefficients`."""
        return self._overrides("current_coefficients") and not self._overrides("current")

    def _overrides(self, method: str) -> bool:
        return getattr(type(self), method) is not getattr(Device, method)

    def _lacks(self, role: str) -> UnsupportedError:
        return UnsupportedError(
            f"{type(self).__name__} has no {role} model; override the method, or choose another model for "
            f"xbar.device.{role}.model"
        )
