"""Axes along which nothing can change: what is varied is switched off, not used, or decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, final

from crossohm.calibration.hardware import takes_adc_range
from crossohm.layers.patterns import matches
from crossohm.params import CrossSimParameters, without_effect
from crossohm.studies.file.axes import Axis
from crossohm.studies.file.sections import Study
from crossohm.studies.file.tree import HARDWARE_GROUPS, flat

Layers = Mapping[str, CrossSimParameters | None]

_FOUND_BY_CALIBRATION = ("images", "objective", "percentile", "input_percentile", "zero_level", "relu_aware")
_INPUT_RANGE = ("core.mapping.inputs.mvm.min", "core.mapping.inputs.mvm.max")
_ADC_RANGE = ("xbar.adc.mvm.adc_range_option", "xbar.adc.mvm.calibrated_range")
_PAIRS = ("xbar.adc", "xbar.dac", "core.mapping.inputs")


@final
class IdleAxes:
    """Judges paths point by point: one without effect at all of them is idle.

    Axes that switch something on at some points vindicate those that say how much of it there is.

    Args:
        axes: Of the study.
    """

    def __init__(self, axes: Iterable[Axis]) -> None:
        self._settings = dict(_varied(axes))
        self._reasons = dict.fromkeys(self._settings, "")

    @property
    def suspected(self) -> bool:
        """True if there is an axis of which no point is known where it has an effect."""
        return bool(self._reasons)

    def look(self, study: Study, layers: Layers) -> None:
        """Judge the paths at one point.

        Args:
            study: The point.
            layers: Its hardware by layer name, None where a layer stays digital; with the ranges it is to have.
        """
        for path in list(self._reasons):
            reasons = [_why_idle(setting, study, layers) for setting in self._settings[path]]
            if None in reasons or not reasons:
                del self._reasons[path]
            else:
                self._reasons[path] = self._reasons[path] or str(reasons[0])

    def found(self) -> dict[str, str]:
        """Paths that no point gave an effect, and why."""
        return dict(self._reasons)


def _varied(axes: Iterable[Axis]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Paths that take more than one value, and the paths of the single settings in them where values are groups.

    A position that does not name a path leaves it as described.
    """
    for axis in axes:
        for path in axis.paths:
            values = [position.get(path) for position in axis.positions]
            if len(set(map(repr, values))) > 1:
                yield path, tuple(dict.fromkeys(setting for value in values for setting, _ in flat({path: value})))


def _why_idle(path: str, study: Study, layers: Layers) -> str | None:
    """Why a path has no effect at a point; None if it has, or if nothing is known about it."""
    if path in _OF_STUDY:
        return _OF_STUDY[path](study)
    if path.startswith("calibration.") and path.partition(".")[2] in _FOUND_BY_CALIBRATION:
        return _why_calibration_idle(path.partition(".")[2], study)
    pattern, colon, rest = path.removeprefix("hardware.set.").rpartition(":")
    if rest.partition(".")[0] not in HARDWARE_GROUPS:
        return None
    return _why_hardware_idle(pattern if colon else None, rest, study, layers)


def _drawn(study: Study) -> str | None:
    asked = study.dataset
    if asked.sample == "first":
        return "dataset.sample = 'first' draws no images; set dataset.sample: random"
    return None if asked.images else "all images are used; set dataset.images"


def _shipped(study: Study) -> str | None:
    name = study.dataset.name
    return f"{name}: its samples come with scikit-learn" if name in ("digits", "iris") else None


_OF_STUDY: dict[str, Callable[[Study], str | None]] = {
    "dataset.sample_seed": _drawn,
    "dataset.sample": lambda study: None if study.dataset.images else "all images are used; set dataset.images",
    "dataset.data_dir": _shipped,
}


def _why_calibration_idle(name: str, study: Study) -> str | None:
    asked = study.calibration
    if asked.file is not None:
        return f"the ranges are those of calibration.file = {asked.file!r}; leave the file out"
    if not asked.inputs:
        return "ranges are as the hardware describes them; set calibration: true"
    if name == "relu_aware" and not asked.adc:
        return "ADC ranges are as the hardware describes them; set calibration.adc: true"
    return None


def _why_hardware_idle(pattern: str | None, path: str, study: Study, layers: Layers) -> str | None:
    concerned = {name: params for name, params in layers.items() if pattern is None or matches(name, pattern)}
    analog = {name: params for name, params in concerned.items() if params is not None}
    if not analog:
        return "all layers it concerns stay digital" if concerned else None
    if pattern is None:
        analog = {name: params for name, params in analog.items() if not _set_otherwise(name, path, study)}
        if not analog:
            return "hardware.layers sets it for every analog layer"
    distinct = {id(params): params for params in analog.values()}
    reasons = [_why_parameter_idle(path, params, study) for params in distinct.values()]
    return None if None in reasons else reasons[0]


def _set_otherwise(layer: str, path: str, study: Study) -> bool:
    return any(path in one.set for pattern, one in study.hardware.layers.items() if matches(layer, pattern))


def _why_parameter_idle(path: str, params: CrossSimParameters, study: Study) -> str | None:
    asked = study.calibration
    if path in _INPUT_RANGE and asked.inputs and params.core.mapping.inputs.mvm.percentile is None:
        return "calibration finds the range of inputs; set calibration: false"
    if path in _ADC_RANGE and asked.adc and takes_adc_range(params):
        return "calibration finds the ADC ranges; set calibration.adc: false"
    for pair in _PAIRS:
        if path.startswith(f"{pair}.vmm") and not params.get(pair).match:
            return f"networks multiply in one direction only; vary {path.replace('.vmm', '.mvm')}"
    found = without_effect(params, [path])
    return f"{found[0].reason}; {found[0].remedy}" if found else None


def unchanged(chips: Mapping[tuple[Any, ...], Any], axis: int) -> bool:
    """True if results are the same all along an axis.

    Args:
        chips: What was found, by position on every axis and chip.
        axis: Number of the axis.
    """
    together: dict[tuple[Any, ...], Any] = {}
    for key, found in chips.items():
        rest = (*key[:axis], *key[axis + 1 :])
        if together.setdefault(rest, found) != found:
            return False
    return True
