"""What can be known of a study before anything is computed: files, machine, every point's hardware, idle axes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

import numpy as np

from crossohm._names import load_function, names_function
from crossohm.calibration import Calibration
from crossohm.calibration.hardware import takes_adc_range, with_ranges
from crossohm.calibration.ranges import ChosenRange
from crossohm.chain import AnalogCore, Dense, lower
from crossohm.devices import ROLES, check_devices
from crossohm.errors import CrossOhmError, DataError, ParameterError, StudyError, warn_user
from crossohm.layers.hardware import descriptions
from crossohm.layers.network import front_end
from crossohm.metrics import find_metric
from crossohm.models import framework_of
from crossohm.params import CoreStyle, CrossSimParameters
from crossohm.studies.file.axes import combinations
from crossohm.studies.file.idle_axes import IdleAxes, Layers
from crossohm.studies.file.pairing import network_name, placed, preprocessing_of
from crossohm.studies.file.sections import Study
from crossohm.studies.file.study_file import LoadedStudy
from crossohm.studies.results.sealed import digest, file_digest
from crossohm.studies.work.failures import problem_of
from crossohm.studies.work.session import Session
from crossohm.studies.work.taps import layers_of
from crossohm.studies.work.units import layer_hardware, stand_ins, unpacked

#: Enough to build every part of the hardware on, and no work.
_MATRIX = [[1.0, -0.5], [0.25, 0.75]]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@final
@dataclass(frozen=True)
class Checked:
    """What a check has found.

    Attributes:
        points: Number of points.
        impossible: Errors by number of the points whose hardware cannot be; each names its place in the file.
        idle: Advice on axes along which nothing can change, by path; each names its place in the file.
    """

    points: int
    impossible: Mapping[int, StudyError]
    idle: Mapping[str, str]

    def require_fine(self) -> None:
        """Refuse a study with mistakes.

        Raises:
            StudyError: the first impossible point, or the first idle axis; others are notes.
        """
        errors = [*self.distinct(), *map(DataError, self.idle.values())]
        for other in errors[1:4]:
            errors[0].add_note(f"also: {other}")
        if errors:
            raise errors[0]

    def advise(self) -> None:
        """Warn of idle axes and of impossible points, which become failures while all others are computed.

        Raises:
            StudyError: all points are impossible.
        """
        if len(self.impossible) == self.points:
            raise self.distinct()[0]
        for message in self.idle.values():
            warn_user(message)
        for error in self.distinct():
            count = sum(str(other) == str(error) for other in self.impossible.values())
            warn_user(f"{problem_of(error).reason}. {count} of {self.points} points fail for this; the others go on")

    def distinct(self) -> list[StudyError]:
        """The errors of impossible points, those of the same text once."""
        return list({str(error): error for error in self.impossible.values()}.values())


def check_study(loaded: LoadedStudy, session: Session | None = None, *, elsewhere: bool = False) -> Checked:
    """Everything that can be known of a study before anything is computed.

    Executes plug-ins and makes the networks of all points; reads no data, which may lie on another machine.

    Args:
        loaded: The study.
        session: Has or gets its networks; by default one that keeps them on the CPU.
        elsewhere: It is to be computed on other machines, whose devices are not known here.

    Raises:
        CrossOhmError: a file is missing or cannot be used, or the device is not there; names the place in the file.
    """
    session = session or Session(loaded.source.folder, device="cpu")
    with _placed(loaded, "plugins"):
        session.start(loaded.study.plugins)
    with _placed(loaded, "run.device"):
        framework = front_end(framework_of(loaded.study.model.name or ""))
        framework.require_device(loaded.study.run.device, "run.device", here=not elsewhere)
    axes, impossible = IdleAxes(loaded.axes), dict[int, StudyError]()
    built: dict[str, CrossOhmError | None] = {}
    settings = list(combinations(loaded.axes))
    for number, changes in enumerate(settings):
        study = loaded.point(changes)
        try:
            layers = _layers(study, changes, loaded, session)
            _require_possible(layers.values(), built)
        except ParameterError as error:
            impossible[number] = loaded.blamed(error, changes)
            continue
        if axes.suspected:
            axes.look(study, layers)
        session.progress("points checked", number + 1, len(settings))
    idle = {
        path: f"{loaded.place_of(path, {path})}: {path} is varied, but has no effect at any point: {reason}"
        for path, reason in axes.found().items()
    }
    return Checked(len(settings), impossible, idle)


@contextmanager
def _placed(loaded: LoadedStudy, path: str, changes: Mapping[str, Any] = _NOTHING) -> Iterator[None]:
    """Errors in the ``with`` block with the place in the file of the setting that caused them."""
    try:
        yield
    except StudyError:
        raise
    except CrossOhmError as error:
        raise DataError(f"{loaded.place_of(path, changes)}: {problem_of(error).reason}") from None


def _layers(study: Study, changes: Mapping[str, Any], loaded: LoadedStudy, session: Session) -> Layers:
    """The hardware of every layer, None where it stays digital, with the ranges it gets or others in their place.

    Raises:
        DataError: network, data function, preprocessing or ranges cannot be had.
        ParameterError: ranges of a file do not fit the hardware.
    """
    folder, asked = loaded.source.folder, study.calibration
    with _placed(loaded, "model.checkpoint" if study.model.checkpoint else "model.name", changes):
        names = session.network(study).convertible
    if not names:
        name = network_name(study, folder)
        raise DataError(f"{loaded.place_of('model.name', changes)}: {name} has no layer for arrays")
    with _placed(loaded, "save.signals"):
        layers_of(study.save.signals, session.network(study))
    with _placed(loaded, "dataset.name", changes):
        preprocessing_of(study, folder)
        if names_function(study.dataset.name):
            load_function(placed(study.dataset.name, folder))
    with _placed(loaded, "metrics", changes):
        for one in study.metrics:
            find_metric(placed(one.name, folder), one.options)
    described = unpacked(layer_hardware(study, loaded, names)[0])
    if asked.file is None:
        return {name: None if params is None else _ranged(params, study) for name, params in described.items()}
    with _placed(loaded, "calibration.file", changes):
        file_digest(folder / asked.file)  # readable at all
        saved = Calibration.load(folder / asked.file)
    ranged = saved.on(stand_ins(described))
    # Matrices of a layer differ in ranges only.
    return {name: None if described[name] is None else next(descriptions(found)) for name, found in ranged.items()}


def _ranged(params: CrossSimParameters, study: Study) -> CrossSimParameters:
    """The hardware with ranges as calibration finds them, of any width."""
    asked = study.calibration
    low = -1.0 if params.xbar.dac.mvm.signed else 0.0
    takes_inputs = asked.inputs and params.core.mapping.inputs.mvm.percentile is None
    slices = params.core.bit_sliced.num_slices if params.core.style is CoreStyle.BITSLICED else 1
    takes_adc = asked.adc and takes_adc_range(params)
    return with_ranges(
        params,
        ChosenRange(low, 1.0, 0.0) if takes_inputs else None,
        [ChosenRange(-1.0, 1.0, 0.0)] * slices if takes_adc else [],
        params.batchnorm_folded,
    )


def _require_possible(layers: Iterable[CrossSimParameters | None], built: dict[str, CrossOhmError | None]) -> None:
    """Refuse hardware that cannot be built; ``built`` keeps what has been found out.

    Raises:
        ParameterError: it cannot be built.
    """
    for params in {id(params): params for params in layers if params is not None}.values():
        key = digest(params.as_dict())
        if key not in built:
            built[key] = _why_impossible(params)
        error = built[key]
        if isinstance(error, ParameterError):
            raise error
        if error is not None:
            raise ParameterError("hardware", "as described", str(error))


def _why_impossible(params: CrossSimParameters) -> CrossOhmError | None:
    """Why hardware cannot be built; None if it can. Models of cells are looked up, but not asked for their errors."""
    quiet = params.copy()
    quiet.update({f"xbar.device.{role}.enable": False for role in ROLES} | {"xbar.device.time": 0.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice is given where hardware is built to be used
        try:
            params.validate()
            check_devices(params.xbar.device)
            block = AnalogCore(_MATRIX, quiet, seed=0).blocks[0]
            lower(block.record, block.params, "mvm", Dense(2), np.zeros(1))
        except CrossOhmError as error:
            return error
        except Exception as error:  # converters are the user's and may raise anything
            return DataError(problem_of(error).reason)
    return None
