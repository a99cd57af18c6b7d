"""Calibrate all layers of a network: input ranges first, then ADC ranges with the inputs quantised.

Ranges are fixed, one per layer (and weight slice), and hold all but the rarest of the values met on training data; see
T. P. Xiao et al., IEEE Circuits and Systems Magazine 22(4), 26-48 (2022), for what they cost and save. Currents are
recorded on cells without random errors: a range is a design decision, which no single chip should influence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from crossohm.calibration.histogram import StreamingHistogram
from crossohm.calibration.ranges import percentile_range
from crossohm.errors import ParameterError, ShapeError
from crossohm.params import ADCRangeLimits, CoreStyle, CrossSimParameters

if TYPE_CHECKING:
    from crossohm.chain import AnalogCore, Profile

#: One description, or for each of several matrices a list of one.
LayerHardware = CrossSimParameters | list[list[CrossSimParameters]]
#: Told after every batch: what is being done, and how many images of how many are done.
Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """The progress callback that shows nothing."""


class Network(Protocol):
    """What calibration needs from a front end's network."""

    @property
    def convertible(self) -> tuple[str, ...]:
        """Names of the layers that can be put on hardware, in the order of their hardware descriptions."""

    @property
    def cores(self) -> Mapping[str, AnalogCore]:
        """The cores on hardware, by the name of their layer; if it has several, followed by a dot and their own."""

    def on_hardware(self, hardware: Sequence[LayerHardware], seed: int) -> Self:
        """A copy with every convertible layer on the hardware described for it."""

    def outputs(self, images: NDArray[np.float32], stage: str, progress: Progress) -> NDArray[np.floating]:
        """What the network answers, ``(images, outputs)``."""


def calibrate_network(
    network: Network,
    hardware: Sequence[CrossSimParameters],
    images: NDArray[np.float32],
    *,
    percentile: float | None = 99.99,
    input_percentile: float = 100.0,
    progress: Progress = silent,
) -> list[LayerHardware]:
    """Hardware descriptions with the ranges that fit a network and its data.

    Args:
        network: The trained network, not on hardware.
        hardware: One description per convertible layer; not changed.
        images: Training data, as the network takes them.
        percentile: Percentile of the currents that an ADC range holds, above 50 and at most 100; None: ADC ranges stay
            as described. GRANULAR ranges always do: they follow from the cells.
        input_percentile: The same for layer inputs. Layers with a range per vector
            (``core.mapping.inputs.mvm.percentile``) keep it.
        progress: Told how far it is.

    Returns:
        The description of every layer. A layer with several matrices has a list with, for each, a list of one.

    Raises:
        ShapeError: not one description per layer.
        ParameterError: a DAC without sign meets negative inputs.
        CrossOhmError: a percentile is out of range.
    """
    names = network.convertible
    if len(hardware) != len(names):
        raise ShapeError(f"{len(hardware)} hardware descriptions for {len(names)} layers: {', '.join(names)}")
    ideal = [CrossSimParameters() for _ in names]
    seen = _profile(network, ideal, images, "input ranges", progress)
    driven = [
        {
            name: with_input_range(params, record.inputs["mvm"], input_percentile, name)
            for name, record in seen.items()
            if name == layer or name.startswith(f"{layer}.")
        }
        for layer, params in zip(names, hardware, strict=True)
    ]
    if percentile is None or not any(takes_adc_range(params) for own in driven for params in own.values()):
        return [_of_layer(own.values()) for own in driven]
    quiet = [_of_layer(map(without_random_errors, own.values())) for own in driven]
    seen = _profile(network, quiet, images, "ADC ranges", progress)
    return [
        _of_layer(with_adc_ranges(params, seen[name], percentile) for name, params in own.items()) for own in driven
    ]


def _of_layer(matrices: Iterable[CrossSimParameters]) -> LayerHardware:
    """Hardware of a layer from that of its matrices."""
    own = list(matrices)
    return own[0] if len(own) == 1 else [[params] for params in own]


def _profile(
    network: Network,
    hardware: Sequence[LayerHardware],
    images: NDArray[np.float32],
    stage: str,
    progress: Progress,
) -> dict[str, Profile]:
    """What passes the taps of every layer."""
    analog = network.on_hardware(hardware, seed=0)
    with ExitStack() as taps:
        seen = {name: taps.enter_context(core.profile()) for name, core in analog.cores.items()}
        analog.outputs(images, stage, progress)
    return seen


def without_random_errors(params: CrossSimParameters) -> CrossSimParameters:
    """The same hardware with perfect writing, no drift, no read noise and no ADC; all that is systematic stays."""
    quiet = params.copy()
    effects = ("programming_error", "drift_error", "read_noise")
    quiet.update({f"xbar.device.{effect}.enable": False for effect in effects})
    quiet.update({"xbar.device.time": 0, "xbar.adc.mvm.bits": 0, "xbar.adc.vmm.bits": 0})
    return quiet


def with_input_range(
    params: CrossSimParameters, seen: StreamingHistogram, percent: float, layer: str
) -> CrossSimParameters:
    """The hardware with the input range of a layer: symmetric, or from zero if its DAC has no sign.

    Raises:
        ParameterError: the DAC has no sign and inputs are negative; names the layer.
    """
    if params.core.mapping.inputs.mvm.percentile is not None:
        return params
    low, high = percentile_range(seen, percent)
    if not params.xbar.dac.mvm.signed:
        if seen.low < 0:
            raise ParameterError(
                "xbar.dac.mvm.signed", False, f"layer {layer!r} has negative inputs, down to {seen.low:.4g}",
                remedy="Set it to True (model SignMagnitudeDAC)",
            )  # fmt: skip
        low = 0.0
    ranged = params.copy()
    ranged.update({"core.mapping.inputs.mvm.min": low, "core.mapping.inputs.mvm.max": high})
    return ranged


def takes_adc_range(params: CrossSimParameters) -> bool:
    """True if the ADC converts, over a range that calibration may choose."""
    adc = params.xbar.adc.mvm
    return adc.bits > 0 and adc.model != "IdealADC" and adc.adc_range_option is not ADCRangeLimits.GRANULAR


def with_adc_ranges(params: CrossSimParameters, seen: Profile, percent: float) -> CrossSimParameters:
    """The hardware with the ADC range of a layer, or one per weight slice.

    A `QuantizerADC` gets the range that was used, including zero. All other models get a symmetric one: their codes are
    symmetric around zero whatever the range. Ranges of slices differ by powers of two, so that slices can be added by
    shifting.
    """
    if not takes_adc_range(params):
        return params
    ranged = params.copy()
    found = {"calibrated_range": _limits(params, seen, percent), "adc_range_option": "CALIBRATED"}
    ranged.update({f"xbar.adc.mvm.{name}": value for name, value in found.items()})
    return ranged


def _limits(params: CrossSimParameters, seen: Profile, percent: float) -> list[float] | list[list[float]]:
    symmetric = params.xbar.adc.mvm.model != "QuantizerADC"
    if params.core.style is not CoreStyle.BITSLICED:
        low, high = percentile_range(seen.adc_slices("mvm")[0], percent, symmetric)
        return [min(low, 0.0), max(high, 0.0)]
    records = seen.adc_slices("mvm", params.core.bit_sliced.num_slices)
    positive = not symmetric and all(record.low >= 0 for record in records)
    reaches = [percentile_range(record, percent)[1] for record in records]
    return [[0.0 if positive else -reach, reach] for reach in _powers_of_two_apart(reaches)]


def _powers_of_two_apart(values: Sequence[float]) -> list[float]:
    """The largest value, and the others enlarged to it divided by a power of two."""
    top = max(values)
    return [top / 2 ** math.floor(math.log2(top / value)) for value in values]
