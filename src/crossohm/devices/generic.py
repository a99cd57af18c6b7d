"""Generic random errors: a Gaussian or uniform law, with three dependences on the conductance.

With magnitude m an error e is drawn from N(0, m) (``Normal...``) or uniformly from [-m/2, m/2] (``Uniform...``), in
normalised units, and applied as

=======================  ===========
Independent              ``g + e``
Proportional             ``g + g e``
InverseProportional      ``g + e/g`` (no error at g = 0)
=======================  ===========

both as programming error and as read noise. Only Gaussian read noise has a `read_noise_std`.
"""

from __future__ import annotations

from typing import ClassVar, final

from crossohm._random import Draw
from crossohm.backends import Array, backend_of
from crossohm.devices.model import Cell, Device
from crossohm.devices.registry import device


def independent(g: Array) -> Array:
    """Errors of the same size everywhere."""
    return backend_of(g).xp.ones_like(g)


def proportional(g: Array) -> Array:
    """Errors that grow with the conductance."""
    return g


def inverse_proportional(g: Array) -> Array:
    """Errors that shrink with the conductance; none at g = 0."""
    xp = backend_of(g).xp
    off = g == 0
    return xp.where(off, xp.zeros_like(g), 1 / xp.where(off, xp.ones_like(g), g))


class _Normal(Device):
    source = "generic, not a measured device"
    dependence: ClassVar[staticmethod[[Array], Array]]

    def read_noise_std(self, g: Array, cell: Cell) -> Array:
        """Magnitude times dependence."""
        return cell.magnitude * self.dependence(g)

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Target plus Gaussian error."""
        return g + self.read_noise_std(g, cell) * draw.normal(g)


class _Uniform(Device):
    source = "generic, not a measured device"
    dependence: ClassVar[staticmethod[[Array], Array]]

    def programming_error(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """Target plus uniform error."""
        return g + cell.magnitude * self.dependence(g) * (draw.uniform(g) - 0.5)

    def read_noise(self, g: Array, cell: Cell, draw: Draw) -> Array:
        """The same law, drawn afresh in every read."""
        return self.programming_error(g, cell, draw)


@final
@device("NormalIndependentDevice")
class NormalIndependentDevice(_Normal):
    """Gaussian error of the same size at every conductance: ``g + N(0, m)``.

    Source: generic, not a measured device.
    """

    dependence = staticmethod(independent)


@final
@device("NormalProportionalDevice")
class NormalProportionalDevice(_Normal):
    """Gaussian error proportional to the conductance: ``g + g N(0, m)``.

    Source: generic, not a measured device.
    """

    dependence = staticmethod(proportional)


@final
@device("NormalInverseProportionalDevice")
class NormalInverseProportionalDevice(_Normal):
    """Gaussian error inversely proportional to the conductance: ``g + N(0, m) / g``, and ``0`` at g = 0.

    Source: generic, not a measured device.
    """

    dependence = staticmethod(inverse_proportional)


@final
@device("UniformIndependentDevice")
class UniformIndependentDevice(_Uniform):
    """Uniform error of the same size at every conductance: ``g + U(-m/2, m/2)``.

    Source: generic, not a measured device.
    """

    dependence = staticmethod(independent)


@final
@device("UniformProportionalDevice")
class UniformProportionalDevice(_Uniform):
    """Uniform error proportional to the conductance: ``g + g U(-m/2, m/2)``.

    Source: generic, not a measured device.
    """

    dependence = staticmethod(proportional)


@final
@device("UniformInverseProportionalDevice")
class UniformInverseProportionalDevice(_Uniform):
    """Uniform error inversely proportional to the conductance: ``g + U(-m/2, m/2) / g``, and ``0`` at g = 0.

    Source: generic, not a measured device.
    """

    dependence = staticmethod(inverse_proportional)
