"""How the weights of a layer lie on cells, and how the cells are written and read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from crossohm.circuits.grid import Wires
from crossohm.errors import ParameterError
from crossohm.training.arrays.cells import PULSES
from crossohm.training.arrays.interfaces import Interfaces
from crossohm.training.arrays.reads import ReadNoise
from crossohm.training.checks import require_one_of
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.model import UpdateModel

WEIGHTS = ("balanced", "offset")
SUBTRACTIONS = ("analog", "digital")
ARITHMETIC = ("exact", "sequential", "moments")
DTYPES = ("float32", "float64")


@final
@dataclass(frozen=True)
class ArraySettings:
    """One kind of trained array.

    Attributes:
        model: What a write does to a device.
        weights: ``"balanced"``: a weight is half the difference of two devices; ``"offset"``: one device, less a
            reference row (forward) or column (transposed) that holds zero.
        interfaces: What lines are driven and read through.
        read_noise: Of the devices.
        wires: Resistances of the wires, over the resistance of a device at its highest used state; reads only. The
            inputs of a forward read drive the input lines.
        subtraction: Where currents are subtracted: ``"analog"``, before the output is converted, or ``"digital"``.
        pulses: See `Cells`.
        arithmetic: How several writes in order are computed. ``"exact"``: at once where that changes nothing but
            rounding, or has the same distribution, else one after the other; ``"sequential"``: always one after the
            other; ``"moments"``: at once, by the mean and variance of the changes at the states before them.
        dtype: Of the states.
        compiled: See `Cells`.

    Raises:
        ParameterError: a parameter is not allowed.
    """

    model: UpdateModel = field(default_factory=IdealUpdate)
    weights: str = "balanced"
    interfaces: Interfaces = field(default_factory=Interfaces)
    read_noise: ReadNoise = field(default_factory=ReadNoise)
    wires: Wires = field(default_factory=Wires)
    subtraction: str = "analog"
    pulses: str = "fractional"
    arithmetic: str = "exact"
    dtype: str = "float32"
    compiled: bool | None = None

    def __post_init__(self) -> None:
        kinds: dict[str, type] = {
            "model": UpdateModel,
            "interfaces": Interfaces,
            "read_noise": ReadNoise,
            "wires": Wires,
        }
        for name, kind in kinds.items():
            value: Any = getattr(self, name)
            if not isinstance(value, kind):
                raise ParameterError(name, value, "of another kind", allowed=f"{kind.__name__}(...)")
        require_one_of("weights", self.weights, WEIGHTS, "way to put weights on cells")
        require_one_of("subtraction", self.subtraction, SUBTRACTIONS, "place of the subtraction")
        require_one_of("pulses", self.pulses, PULSES, "way to write")
        require_one_of("arithmetic", self.arithmetic, ARITHMETIC, "arithmetic of writes")
        require_one_of("dtype", self.dtype, DTYPES, "type of states")
        if self.arithmetic == "moments" and (self.model.levels or self.pulses == "counted"):
            what = "rounding to levels" if self.model.levels else "whole pulses"
            raise ParameterError("arithmetic", "moments", f"{what} is the physics of each write", allowed="exact")

    @property
    def window_width(self) -> float:
        """Length of the range of states."""
        return self.model.window.width

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """Of the states."""
        return np.dtype(self.dtype)
