"""Calibrate all layers of a network: input ranges first, then ADC ranges with the inputs quantised.

Ranges are fixed, one per layer (and weight slice), and chosen on what the converters meet on training data; see
T. P. Xiao et al., IEEE Circuits and Systems Magazine 22(4), 26-48 (2022), for what they cost and save. Currents are
recorded on cells without random errors: a range is a design decision, which no single chip should influence.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from crossohm.calibration.hardware import (
    adc_ranges,
    input_range,
    is_reached,
    takes_adc_range,
    unreached,
    with_ranges,
    without_random_errors,
)
from crossohm.calibration.images import ImageSource
from crossohm.calibration.layers import Described, by_layer, by_matrix, matrices_of
from crossohm.calibration.ranges import Measure, Objective
from crossohm.calibration.result import Calibration, LayerRanges
from crossohm.errors import ParameterError
from crossohm.layers.hardware import LayerHardware
from crossohm.layers.network import Calibratable, Progress, TakesBatches, network_of, silent
from crossohm.layers.profiling import profiled
from crossohm.params import CrossSimParameters

if TYPE_CHECKING:
    from crossohm.chain import Profile

__all__ = ["Calibratable", "Progress", "calibrate", "calibrate_network", "silent"]


def calibrate(
    model: Any,
    data: Any,
    params: Described | None = None,
    *,
    objective: Measure = "L2",
    percentile: float = 99.99,
    input_percentile: float = 100.0,
    keep_adc_ranges: bool = False,
    zero_level: bool = True,
    relu_aware: bool = True,
    fuse_batchnorm: bool | None = None,
    limit: int | None = None,
    bins: int = 4096,
    progress: Progress = silent,
) -> Calibration:
    """Find the converter ranges that suit a network and its data.

    Args:
        model: A trained network: a torch module, a network that is already on hardware, or a `Network`. Not changed.
        data: Training data: an array ``(images, ...)``, a data set with such ``images``, or a loader.
        params: The hardware: one description, one per convertible layer, or a table of name patterns. Not changed.
            None: that of the model, which must be on hardware.
        objective: What ranges are chosen by: the mean square (``"L2"``) or magnitude (``"L1"``) of the error of
            quantising and clipping, or a ``"percentile"``.
        percentile: For ``"percentile"``: of the currents that an ADC range holds, above 50 and at most 100.
        input_percentile: The same for layer inputs.
        keep_adc_ranges: Choose input ranges only. GRANULAR ranges are always kept: they follow from the cells.
        zero_level: Choose only ranges with a level on zero, for converters that can have one.
        relu_aware: Spend no ADC levels on currents that a ReLU right behind the layer makes zero.
        fuse_batchnorm: Find the ranges of layers with BatchNorm folded into them where that is possible, or of layers
            as they are; None: the former, unless the model is a `Network` that says otherwise. The hardware found
            remembers it, and `crossohm.torch.from_torch` follows.
        limit: Most images used, the first ones; None: all.
        bins: Resolution of the histograms that signals are recorded in.
        progress: Told how far it is.

    Returns:
        Ranges, their errors, and the hardware with these ranges.

    Raises:
        ShapeError: not one description per layer.
        UnknownNameError: a layer of the table does not exist, or one is missing.
        ParameterError: a DAC without sign meets negative inputs, or an option is out of range.
        InputError: there are no images, a signal is not finite, or the network does not take the data.
        UnsupportedError: no front end knows such a model.

    Warns:
        RuntimeWarning: no data reached some layers, whose ranges stay as described.
    """
    for name, value in (("keep_adc_ranges", keep_adc_ranges), ("zero_level", zero_level), ("relu_aware", relu_aware)):
        if not isinstance(value, bool | np.bool_):
            raise ParameterError(name, value, "is neither true nor false", allowed="True, False")
    if fuse_batchnorm not in (None, True, False):
        raise ParameterError("fuse_batchnorm", fuse_batchnorm, "says nothing", allowed="True, False, None")
    source = ImageSource(data, limit)
    network = network_of(model)
    if isinstance(network, TakesBatches):
        network = network.seeing(source.few(), fuse_batchnorm)
    elif fuse_batchnorm is not None:
        raise ParameterError(
            "fuse_batchnorm", fuse_batchnorm, "such a network has layers as it has them", allowed="None"
        )
    described = _described(network, params)
    chosen, inputs_chosen = Objective(objective, percentile), Objective(objective, input_percentile)
    recorder = _Recorder(network, source, bins, progress)

    seen, count = recorder.record([CrossSimParameters() for _ in described], "input ranges")
    layers = {
        matrix: LayerRanges(
            layer,
            input_range(own, seen[matrix], inputs_chosen, zero_level, matrix) if is_reached(seen[matrix]) else None,
            (),
            own.copy() if is_reached(seen[matrix]) else unreached(own),
            recorder.is_folded(layer),
        )
        for layer, given in described.items()
        for matrix, own in by_matrix(layer, given, matrices_of(layer, seen)).items()
    }
    missed = {name for name in layers if not is_reached(seen[name])}
    found = Calibration(_ranged(layers), chosen, count)
    if not keep_adc_ranges and any(takes_adc_range(one.hardware) for one in layers.values()):
        seen, _ = recorder.record(found.each(without_random_errors), "ADC ranges", relu_aware)
        adc = {
            matrix: replace(one, adc=adc_ranges(one.hardware, seen[matrix], chosen, zero_level))
            if is_reached(seen[matrix])
            else replace(one, hardware=unreached(one.hardware))
            for matrix, one in found.layers.items()
        }
        missed |= {name for name in layers if not is_reached(seen[name])}
        found = Calibration(_ranged(adc), chosen, count)
    _report_unreached(name for name in layers if name in missed)
    return found


def _report_unreached(matrices: Iterable[str]) -> None:
    """Warn of matrices whose ranges nothing is known about."""
    names = ", ".join(name or "the model" for name in matrices)
    if names:
        message = (
            f"no data reached {names} during calibration: their converter ranges stay as described. Calibrate with "
            "data that the network sends there, or leave these layers digital"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def _ranged(layers: Mapping[str, LayerRanges]) -> dict[str, LayerRanges]:
    """The same with descriptions that have the ranges found."""
    return {
        name: replace(found, hardware=with_ranges(found.hardware, found.inputs, found.adc, found.batchnorm_folded))
        for name, found in layers.items()
    }


def calibrate_network(
    network: Calibratable,
    hardware: Sequence[LayerHardware],
    images: Any,
    *,
    objective: Measure = "percentile",
    percentile: float | None = 99.99,
    input_percentile: float = 100.0,
    progress: Progress = silent,
) -> list[LayerHardware]:
    """Hardware descriptions with the ranges that fit a network and its data; see `calibrate`.

    Args:
        network: The trained network, not on hardware.
        hardware: One description per convertible layer; not changed.
        images: Training data.
        objective: What ranges are chosen by; the others are closer to the least error (see `calibrate`).
        percentile: For objective ``"percentile"``; None: ADC ranges stay as described.
        input_percentile: The same for layer inputs.
        progress: Told how far it is.

    Returns:
        The description of every layer. A layer with several matrices has a list with, for each, a list of one.
    """
    found = calibrate(
        network,
        images,
        list(hardware),
        objective=objective,
        percentile=99.99 if percentile is None else percentile,
        input_percentile=input_percentile,
        keep_adc_ranges=percentile is None,
        progress=progress,
    )
    return list(found.hardware.values())


def _described(network: Calibratable, params: Described | None) -> dict[str, LayerHardware]:
    """The description of every convertible layer, by its name."""
    if params is not None:
        return by_layer(params, network.convertible)
    if not network.hardware:
        raise ParameterError(
            "params", None, "the model is not on hardware", allowed="a description, or a model on hardware"
        )
    return by_layer(network.hardware, network.convertible)


class _Recorder:
    """Runs a network on some hardware and records what passes the taps of every layer."""

    def __init__(self, network: Calibratable, images: ImageSource, bins: int, progress: Progress) -> None:
        self._network = network
        self._images = images
        self._bins = bins
        self._progress = progress
        self._folded: frozenset[str] | None = None

    def is_folded(self, layer: str) -> bool | None:
        """Whether a BatchNorm was folded into a layer when signals were recorded; None: not known."""
        return None if self._folded is None else layer in self._folded

    def record(
        self, hardware: Sequence[LayerHardware], stage: str, relu_aware: bool = False
    ) -> tuple[dict[str, Profile], int]:
        """The profile of every matrix, and the number of images."""
        analog = self._network.on_hardware(hardware, seed=0)
        self._folded = analog.folded_layers if isinstance(analog, TakesBatches) else None
        floors = analog.floors if relu_aware else {}
        with profiled(analog.cores, self._bins, floors) as seen:
            count = self._images.pass_through(analog, stage, self._progress)
        return seen, count
