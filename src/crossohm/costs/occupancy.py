"""The hardware report: what every layer of a network occupies, read from the cores that were simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, final

from crossohm.chain import AnalogCore
from crossohm.chain.inspection.describe import describe
from crossohm.layers.network import Network
from crossohm.params import ADCParameters, DACParameters


@final
@dataclass(frozen=True)
class LayerReport:
    """The hardware of one layer.

    Attributes:
        layer: Name of the module.
        kind: What it is, e.g. ``Conv2d``.
        outputs: Rows of the stored matrix.
        inputs: Columns of the stored matrix.
        arrays: Physical arrays.
        array_rows: Input lines of the largest array.
        array_columns: Output lines of the largest array, including a unit line.
        devices: Memory cells of all arrays.
        mvms: Array operations per input: input vectors times input slices times arrays.
        cell_levels: Conductance levels of a cell; None: continuous.
        input_range: Lowest and highest input, in the layer's units; None: a range per vector.
        dac_levels: Levels of the inputs; None: not quantised, or the DAC model does not tell.
        adc_levels: Levels of the outputs; None: not quantised, or the ADC model does not tell.
        adc_ranges: Limits of the ADCs for each weight slice, least significant first, in normalised current; empty: no
            ADC.
        dac: The DAC in words: ``ideal``, or model and bits.
        adc: The ADC in words.
    """

    layer: str
    kind: str
    outputs: int
    inputs: int
    arrays: int
    array_rows: int
    array_columns: int
    devices: int
    mvms: int
    cell_levels: int | None
    input_range: tuple[float, float] | None
    dac_levels: int | None
    adc_levels: int | None
    adc_ranges: tuple[tuple[float, float], ...]
    dac: str
    adc: str

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """What `as_dict` made, also when it has been a file: ranges are pairs again."""
        low_high = found["input_range"]
        ranges = {
            "input_range": None if low_high is None else tuple(low_high),
            "adc_ranges": tuple(map(tuple, found["adc_ranges"])),
        }
        return cls(**{**found, **ranges})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        return asdict(self)


@final
@dataclass(frozen=True)
class HardwareReport:
    """The hardware of a network.

    Attributes:
        layers: One entry per analog layer, in the order of the network.
    """

    layers: tuple[LayerReport, ...]

    @property
    def arrays(self) -> int:
        """Physical arrays."""
        return sum(layer.arrays for layer in self.layers)

    @property
    def devices(self) -> int:
        """Memory cells."""
        return sum(layer.devices for layer in self.layers)

    @property
    def mvms(self) -> int:
        """Array operations per input."""
        return sum(layer.mvms for layer in self.layers)

    @property
    def largest_array(self) -> tuple[int, int]:
        """Most input and most output lines of any array; 0 if all layers are digital."""
        rows, columns = ([getattr(layer, name) for layer in self.layers] for name in ("array_rows", "array_columns"))
        return max(rows, default=0), max(columns, default=0)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """What `as_dict` made, also when it has been a file."""
        return cls(tuple(LayerReport.from_dict(layer) for layer in found["layers"]))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        totals = {"arrays": self.arrays, "devices": self.devices, "mvms": self.mvms}
        return {"layers": [layer.as_dict() for layer in self.layers], "totals": totals}


def hardware_report(network: Network, image: Any) -> HardwareReport:
    """What a network on hardware occupies.

    Args:
        network: The network, on hardware.
        image: One image ``(channels, height, width)``, to count the operations it takes.
    """
    vectors, kinds = network.vectors_per_image(image), network.kinds
    return HardwareReport(
        tuple(layer_report(name, kinds[name], core, vectors[name]) for name, core in network.cores.items())
    )


def layer_report(name: str, kind: str, core: AnalogCore, vectors: int) -> LayerReport:
    """What one core occupies; ``vectors`` is the number of input vectors per image."""
    found, xbar = describe(core.state), core.params.xbar
    return LayerReport(
        layer=name,
        kind=kind,
        outputs=core.nrow,
        inputs=core.ncol,
        arrays=len(found.arrays),
        array_rows=max(array.rows for array in found.arrays),
        array_columns=max(array.columns for array in found.arrays),
        devices=sum(array.rows * array.columns for array in found.arrays),
        mvms=vectors * found.operations,
        cell_levels=found.cell_levels,
        input_range=found.input_range,
        dac_levels=found.dac_levels,
        adc_levels=found.adc_levels,
        adc_ranges=found.adc_ranges,
        dac=_in_words(xbar.dac.mvm) if xbar.dac.mvm.converts else "ideal",
        adc=_in_words(xbar.adc.mvm) if xbar.adc.mvm.converts else "ideal",
    )


def _in_words(converter: ADCParameters | DACParameters) -> str:
    return f"{converter.model}, {converter.bits} {'bit' if converter.bits == 1 else 'bits'}"
