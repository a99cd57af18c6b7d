"""The result of a calibration: ranges, how good they are, and the hardware they belong to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from crossohm.calibration.hardware import with_ranges
from crossohm.calibration.layers import Described, by_layer, by_matrix, of_layer
from crossohm.calibration.ranges import ChosenRange, Objective
from crossohm.errors import CrossOhmError, DataError, ParameterError
from crossohm.layers.hardware import CalibratedHardware, LayerHardware
from crossohm.params import CrossSimParameters

FORMAT = "crossohm-calibration-1"

#: Parameters that ranges do not depend on: the ranges themselves, random errors, the other operation, the simulation.
_FREE = (
    "core.mapping.inputs._match",
    "core.mapping.inputs.mvm.max",
    "core.mapping.inputs.mvm.min",
    "core.mapping.inputs.vmm",
    "core.output_dtype",
    "simulation",
    "xbar.adc._match",
    "xbar.adc.mvm.adc_range_option",
    "xbar.adc.mvm.calibrated_range",
    "xbar.adc.mvm.gain_db",
    "xbar.adc.mvm.group_size",
    "xbar.adc.mvm.sigma_",
    "xbar.adc.mvm.split_cdac",
    "xbar.adc.mvm.stochastic_rounding",
    "xbar.adc.mvm.symmetric_cdac",
    "xbar.adc.vmm",
    "xbar.dac._match",
    "xbar.dac.vmm",
    "xbar.device.drift_error",
    "xbar.device.programming_error",
    "xbar.device.read_noise",
    "xbar.device.time",
)


@final
@dataclass(frozen=True)
class LayerRanges:
    """What was found for one layer, or for one of its matrices if it has several.

    Attributes:
        layer: Name of the layer.
        inputs: Input range in the layer's units; None: kept, as each vector has its own or no data reached the layer.
        adc: ADC range in normalised current, one per weight slice, least significant first; empty: kept as described.
        hardware: The description with these ranges.
        batchnorm_folded: Whether a BatchNorm was folded into the layer; None: not known.
    """

    layer: str
    inputs: ChosenRange | None
    adc: tuple[ChosenRange, ...]
    hardware: CrossSimParameters
    batchnorm_folded: bool | None = None


@final
@dataclass(frozen=True)
class Calibration:
    """Ranges of a network's converters.

    Attributes:
        layers: By layer name, in the order of the network's convertible layers; by the names of the matrices of layers
            that have several.
        objective: What they were chosen by.
        images: How many images were looked at.
    """

    layers: Mapping[str, LayerRanges]
    objective: Objective
    images: int

    @property
    def hardware(self) -> CalibratedHardware:
        """The description of every layer with its ranges, by name: what ``from_torch`` takes as ``params``."""
        return CalibratedHardware(
            {layer: of_layer(self.layers[name].hardware for name in own) for layer, own in self._matrices.items()}
        )

    def each(self, change: Callable[[CrossSimParameters], CrossSimParameters]) -> list[LayerHardware]:
        """The description of every layer with its ranges, and something else changed."""
        return [of_layer(change(self.layers[name].hardware) for name in own) for own in self._matrices.values()]

    @property
    def _matrices(self) -> dict[str, list[str]]:
        """Names of the matrices of every layer."""
        found: dict[str, list[str]] = {}
        for name, ranges in self.layers.items():
            found.setdefault(ranges.layer, []).append(name)
        return found

    def on(self, params: Described) -> CalibratedHardware:
        """Other descriptions with these ranges, by layer name, e.g. with errors of the cells.

        Args:
            params: One description, one per layer, or a table of name patterns. It may differ from the hardware that
                was calibrated only in what ranges do not depend on.

        Raises:
            ParameterError: it differs in something else; names the parameter and the layer.
            ShapeError: not one description per layer.
            UnknownNameError: a layer is missing from the table, or unknown.
        """
        found = CalibratedHardware()
        for layer, given in by_layer(params, list(self._matrices)).items():
            own = by_matrix(layer, given, self._matrices[layer])
            found[layer] = of_layer(_on(name, self.layers[name], one) for name, one in own.items())
        return found

    def save(self, path: str | Path) -> None:
        """Write ranges, errors and hardware descriptions to a JSON file."""
        values = {
            "format": FORMAT,
            "objective": {"measure": self.objective.measure, "percentile": self.objective.percentile},
            "images": self.images,
            "layers": {name: _as_dict(layer) for name, layer in self.layers.items()},
        }
        Path(path).write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The calibration that `save` wrote.

        Raises:
            DataError: the file is missing, damaged, or no calibration.
        """
        if not Path(path).is_file():
            raise DataError(f"{path}: no such file; give the path that Calibration.save wrote")
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            if not isinstance(values, dict) or values.get("format") != FORMAT:
                raise DataError(f"{path}: not a saved calibration (expected format {FORMAT!r})")
            layers = {name: _layer(layer) for name, layer in values["layers"].items()}
            return cls(layers, Objective(**values["objective"]), int(values["images"]))
        except DataError:
            raise
        except (CrossOhmError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise DataError(f"{path}: damaged or incomplete calibration ({error}); calibrate again") from error


def _on(name: str, found: LayerRanges, described: CrossSimParameters) -> CrossSimParameters:
    _require_match(name, found.hardware, described)
    return with_ranges(described, found.inputs, found.adc, found.batchnorm_folded)


def _require_match(layer: str, calibrated: CrossSimParameters, described: CrossSimParameters) -> None:
    """Raise `ParameterError` if ranges found on one description may not be used on the other."""
    known, given = (dict(_flat(one.as_dict())) for one in (calibrated, described))
    for path, value in given.items():
        if not path.startswith(_FREE) and known.get(path) != value:
            raise ParameterError(
                path, described.get(path), f"ranges of layer {layer!r} were calibrated with {calibrated.get(path)!r}",
                remedy="Calibrate again on this hardware, or use that which was calibrated",
            )  # fmt: skip


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield path + name, value


def _as_dict(layer: LayerRanges) -> dict[str, Any]:
    return {
        "layer": layer.layer,
        "inputs": None if layer.inputs is None else _row(layer.inputs),
        "adc": [_row(chosen) for chosen in layer.adc],
        "hardware": layer.hardware.as_dict(),
        "batchnorm_folded": layer.batchnorm_folded,
    }


def _row(chosen: ChosenRange) -> dict[str, float]:
    return {"low": chosen.low, "high": chosen.high, "error": chosen.error}


def _layer(values: Mapping[str, Any]) -> LayerRanges:
    inputs, folded = values["inputs"], values.get("batchnorm_folded")  # files of earlier versions do not tell
    if folded not in (None, True, False):
        raise DataError(f"batchnorm_folded is {folded!r}")
    hardware = CrossSimParameters(**values["hardware"])
    hardware.batchnorm_folded = folded
    return LayerRanges(
        str(values["layer"]),
        None if inputs is None else ChosenRange(**inputs),
        tuple(ChosenRange(**chosen) for chosen in values["adc"]),
        hardware,
        folded,
    )
