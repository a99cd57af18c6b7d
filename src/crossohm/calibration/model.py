"""Calibrate all layers of a network: input ranges first, then ADC ranges with the inputs quantised.

Ranges are fixed, one per layer (and weight slice), and hold all but the rarest of the values met on training data; see
T. P. Xiao et al., IEEE Circuits and Systems Magazine 22(4), 26-48 (2022), for what they cost and save. Currents are
recorded on cells without random errors: a range is a design decision, which no single chip should influence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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

#: Told after every batch: what is being done, and how many images of how many are done.
Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """The progress callback that shows nothing."""


class Network(Protocol):
    """What calibration needs from a front end's network."""

    @property
    def convertible(self) -> tuple[str, ...]:
        """Names of the layers that can be put on hardware, or of their matrices, in the order of their descriptions."""

    @property
    def cores(self) -> Mapping[str, AnalogCore]:
        """The core of every layer, or matrix of one, that is on hardware."""

    def on_hardware(self, hardware: Sequence[CrossSimParameters], seed: int) -> Self:
        """A copy with everything convertible on the hardware described for it."""

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
) -> list[CrossSimParameters]:
    """Hardware descriptions with the ranges that fit a network and its data.

    Args:
        network: The trained network, not on hardware.
        hardware: One description for each of `Network.convertible`; not changed.
        images: Training data, as the network takes them.
        percentile: Percentile of the currents that an ADC range holds, above 50 and at most 100; None: ADC ranges stay
            as described. GRANULAR ranges always do: they follow from the cells.
        input_percentile: The same for layer inputs. Layers with a range per vector
            (``core.mapping.inputs.mvm.percentile``) keep it.
        progress: Told how far it is.

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
        with_input_range(params, seen[name].inputs["mvm"], input_percentile, name)
        for name, params in zip(names, hardware, strict=True)
    ]
    if percentile is None or not any(takes_adc_range(params) for params in driven):
        return driven
    seen = _profile(network, [without_random_errors(params) for params in driven], images, "ADC ranges", progress)
    return [with_adc_ranges(params, seen[name], percentile) for name, params in zip(names, driven, strict=True)]


def _profile(
    network: Network,
    hardware: Sequence[CrossSimParameters],
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
