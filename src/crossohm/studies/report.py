"""The hardware report: what every layer of a network occupies, read from the cores that were simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, final

from crossohm.chain import AnalogCore
from crossohm.chain.lowering.inputs import build_drive
from crossohm.chain.lowering.lower import converters
from crossohm.chain.lowering.ranges import Limits, adc_limits
from crossohm.chain.operation import Operation
from crossohm.chain.programming.parts import Block
from crossohm.chain.running.digitiser import Digitiser
from crossohm.chain.running.drive import Drive
from crossohm.layers.network import Network
from crossohm.mapping import build_mapping
from crossohm.params import ADCParameters, CrossSimParameters, DACParameters


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
        mvms: Array operations per image: input vectors times input slices times arrays.
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
        """Array operations per image."""
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
    arrays = core.arrays
    drive, digitisers = converters(core.blocks[0].record, core.params, Operation.MVM)
    return LayerReport(
        layer=name,
        kind=kind,
        outputs=core.nrow,
        inputs=core.ncol,
        arrays=len(arrays),
        array_rows=max(array.rows for array in arrays),
        array_columns=max(array.columns for array in arrays),
        devices=sum(array.rows * array.columns for array in arrays),
        mvms=vectors * sum(map(_operations, core.blocks)),
        cell_levels=_cell_levels(core.params),
        input_range=_input_range(drive),
        dac_levels=drive.dac.levels,
        adc_levels=_adc_levels(digitisers),
        adc_ranges=_adc_ranges(core),
        dac="ideal" if drive.dac.ideal else _in_words(core.params.xbar.dac.mvm),
        adc="ideal" if not digitisers else _in_words(core.params.xbar.adc.mvm),
    )


def _in_words(converter: ADCParameters | DACParameters) -> str:
    return f"{converter.model}, {converter.bits} {'bit' if converter.bits == 1 else 'bits'}"


def _operations(block: Block) -> int:
    """Operations of the arrays of a block per vector: every input slice drives every array once."""
    slices = len(build_drive(block.params, Operation.MVM).dac.plane_weights)
    return max(1, slices) * sum(1 for _ in block.record.places())


def _cell_levels(params: CrossSimParameters) -> int | None:
    bits = build_mapping(params).slice_bits or params.xbar.device.cell_bits
    return 2**bits if bits else None


def _input_range(drive: Drive) -> tuple[float, float] | None:
    if drive.percentile is not None:
        return None
    return drive.clip or (-drive.scale, drive.scale)


def _adc_levels(digitisers: Sequence[Digitiser] | None) -> int | None:
    return digitisers[0].converters[0][0].levels if digitisers else None


def _adc_ranges(core: AnalogCore) -> tuple[Limits, ...]:
    """Limits per weight slice, the widest of all arrays."""
    if not core.params.xbar.adc.mvm.converts:
        return ()
    found = [
        adc_limits(block.params, build_mapping(block.params), Operation.MVM, columns)
        for block in core.blocks
        for columns in {part.stop - part.start for part in block.record.column_parts}
    ]
    return tuple(
        (min(low for low, _ in limits), max(high for _, high in limits)) for limits in zip(*found, strict=True)
    )
