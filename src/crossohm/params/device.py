"""Memory cells. Group ``xbar.device``."""

from __future__ import annotations

from typing import Any, final

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from crossohm.params.base import CellBits, Flag, Group, Name, NonNegative, Positive
from crossohm.params.measurements import MeasurementsFile


@final
class DeviceModelParameters(Group):
    """One kind of imperfection of the cells and the model that describes it."""

    enable: Flag = False
    """Apply the model."""
    model: Name = "IdealDevice"
    """Name of a registered device model; IdealDevice: no such imperfection."""
    magnitude: NonNegative = 0.0
    """Strength of the generic models (Normal..., Uniform...), normalised to the highest conductance. Not used by
    measured models."""
    path: MeasurementsFile | None = None
    """CSV file of the measurements that the model "table" describes cells by; relative to the parameter or study file
    that names it, else to the working directory. It is read when this is set, and saved with its content."""

    @model_serializer(mode="wrap")
    def _without_unused_table(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """CrossSim and older releases do not know it, and read files in which it is not used."""
        values: dict[str, Any] = dump(self)
        if self.path is None:
            values.pop("path", None)
        return values

    @property
    def active(self) -> bool:
        """True if there is such an imperfection: a model is chosen and enabled."""
        return self.enable and self.model != "IdealDevice"


@final
class DeviceParameters(Group):
    """Memory cells. Conductances are normalised to 1/Rmin everywhere but here."""

    cell_bits: CellBits = 0
    """Conductance resolution: 2**cell_bits levels from lowest to highest conductance. 0: continuous, as is what is
    less."""
    Rmin: Positive = 1000.0
    """Lowest resistance of a cell, ohm."""
    Rmax: Positive = 10000.0
    """Highest resistance of a cell, ohm; not used with infinite_on_off_ratio."""
    Vread: Positive = 0.1
    """Voltage over the cell at full-scale input, V; used by models that need real currents, and by nonlinear cells."""
    time: NonNegative = 0.0
    """Time since programming, in the unit of the drift model (days for SONOS)."""
    infinite_on_off_ratio: Flag = False
    """The lowest conductance is exactly zero."""
    clip_conductance: Flag = False
    """Clip perturbed conductances to the range of the cell; False: only to non-negative values."""
    read_noise: DeviceModelParameters = Field(default_factory=DeviceModelParameters)
    """Fluctuation of conductances, new in every operation."""
    programming_error: DeviceModelParameters = Field(default_factory=DeviceModelParameters)
    """Difference between target and programmed conductance, fixed until the next write."""
    drift_error: DeviceModelParameters = Field(default_factory=DeviceModelParameters)
    """Change of conductances since programming; its models include the programming error."""
    nonlinear_IV: DeviceModelParameters = Field(default_factory=DeviceModelParameters)
    """Current-voltage curve of the cells."""

    @property
    def Gmin_norm(self) -> float:
        """Lowest conductance relative to the highest, Rmin/Rmax; 0 with an infinite on/off ratio."""
        return 0.0 if self.infinite_on_off_ratio else self.Rmin / self.Rmax

    @property
    def Gmax_norm(self) -> float:
        """Highest conductance, by definition 1."""
        return 1.0

    @property
    def Grange_norm(self) -> float:
        """Highest minus lowest normalised conductance."""
        return 1.0 - self.Gmin_norm
