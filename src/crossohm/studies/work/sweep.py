"""Studies carried out: units planned, those that are missing computed, tables written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, final

import numpy as np

from crossohm.calibration import Calibration
from crossohm.calibration.hardware import without_random_errors
from crossohm.errors import FailedChipsError, StudyError, WriteError, warn_user
from crossohm.layers.network import Progress, silent
from crossohm.metrics.known import ranks
from crossohm.studies.file.idle_axes import unchanged
from crossohm.studies.file.sections import Study
from crossohm.studies.file.study_file import LoadedStudy
from crossohm.studies.results.provenance import provenance
from crossohm.studies.results.results import Results, open_results
from crossohm.studies.results.store import ResultStore, created
from crossohm.studies.results.tables import write_tables
from crossohm.studies.work.checks import check_study
from crossohm.studies.work.evaluate import MeasuredPoint, compute
from crossohm.studies.work.failures import Problem, problem_of
from crossohm.studies.work.measures import Tallies, outputs_of
from crossohm.studies.work.session import Session
from crossohm.studies.work.slow import warn_of_slow_points
from crossohm.studies.work.units import Cures, Unit, layer_hardware, plan, stand_ins, unpacked

#: What tells whether two chips have the same results.
_NUMBERS = ("digital", "analog", "output", "layers")


@final
@dataclass(frozen=True)
class Outcome:
    """What became of a unit: ``failure`` is None, or why there is no result."""

    unit: Unit
    failure: Problem | None = None


class Executor(Protocol):
    """Something that computes units, wherever it does.

    Attributes:
        elsewhere: On other machines, that is: their devices are not known here.
    """

    elsewhere: bool

    def outcomes(self, units: Sequence[Unit], folder: Path) -> Iterator[Outcome]:
        """Compute units into a results folder; yields each as it is done, in any order.

        Raises:
            WriteError: results cannot be written, now or later.
        """


@final
class Here:
    """Computes units one after the other in this process.

    Args:
        session: Has network and data.
    """

    elsewhere = False

    def __init__(self, session: Session) -> None:
        self._session = session

    def outcomes(self, units: Sequence[Unit], folder: Path) -> Iterator[Outcome]:
        """Compute units into a results folder, in order."""
        store = ResultStore(folder)
        for unit in units:
            try:
                compute(unit, store, self._session)
            except WriteError:
                raise
            except (Exception, SystemExit) as error:  # networks and models are the user's and may raise anything
                yield Outcome(unit, problem_of(error))
            else:
                yield Outcome(unit)


def run_study(
    loaded: LoadedStudy,
    folder: Path,
    *,
    executor: Executor | None = None,
    progress: Progress = silent,
    points: Sequence[Cures] | None = None,
) -> Results:
    """Compute what is missing of a study in a results folder.

    May be stopped at any moment, by any means, and called again: every chip that was finished stays. Chips are found
    again by what they depend on, so a study may also be extended, or shared by several processes. A chip that fails
    does not stop the others; it is kept why it did (`Results.failures`), and the next call tries it again. All that can
    be known before anything is computed is looked at first, see `check_study`.

    Args:
        loaded: The study; see `load_study`.
        folder: For the results; is made, or goes on where it stopped.
        executor: Where to compute; by default in this process.
        progress: Told how many chips are done (``"chips"``), and how far the present one is.
        points: Causes of errors to take away, instead of the sweep of the study; see `crossohm.studies.budget`.

    Raises:
        FailedChipsError: some chips failed; all others are kept. Has the results.
        WriteError: results cannot be written.
        CrossOhmError: study, network or data are not as they must be.
    """
    session = Session(loaded.source.folder, progress, device=None if executor is None else "cpu")
    with created(folder) as store:  # a folder that cannot be written to must not wait for anything
        checked = check_study(loaded, session, elsewhere=executor is not None and executor.elsewhere)
        checked.advise()
        units = plan(loaded, session, points)
        missing = [
            unit for unit in {unit.key: unit for unit in units}.values() if store.read(unit.key, thorough=True) is None
        ]
        if missing and not loaded.axes:
            _require_ranks(loaded.study, session)
    store.write_index(_index(loaded, units))
    if missing:
        warn_of_slow_points(loaded)
    total = len({unit.key for unit in units})
    done = total - len(missing)
    failed: list[Outcome] = []
    progress("chips", done, total)
    try:
        for outcome in (executor or Here(session)).outcomes(missing, folder):
            done += 1
            if outcome.failure is None:
                store.forget_failure(outcome.unit.key)
            else:
                store.write_failure(outcome.unit.key, {**asdict(outcome.failure), "provenance": provenance()})
                failed.append(outcome)
            progress("chips", done, total)
    finally:
        results = open_results(folder)
        write_tables(results)
    if failed:
        raise FailedChipsError(_failure(failed[0], len(failed) - 1, folder), results)
    _advise(results, loaded, checked.idle)
    return results


def _require_ranks(study: Study, session: Session) -> None:
    """Refuse ranks beyond the number of classes at the only point of a study, before anything is written.

    Raises:
        ParameterError: there are fewer classes than a rank needs.
    """
    data, measured = session.test_images(study), session.measured(study)
    found: list[Any] = []
    try:
        session.shown(study).each_answer(data.images[:1], found.append, "", silent, outputs_of(measured))
    except Exception:  # networks are the user's and may raise anything: chips will say why
        return
    Tallies([one for one in measured if ranks(one.metric)], data.labels).add(found[0], found[0])


def _advise(results: Results, loaded: LoadedStudy, known: Collection[str]) -> None:
    """Warn of axes along which nothing did change although it could have: what is varied has no use in this network."""
    sizes = tuple(map(len, results.axes))
    found = {
        (*map(int, np.unravel_index(chip.point, sizes)), chip.seed): [chip.record[name] for name in _NUMBERS]
        for chip in results.chips
        if sizes and not chip.cures
    }
    for number, axis in enumerate(results.axes):
        if len(axis) > 1 and results.complete and not set(axis.paths) <= set(known) and unchanged(found, number):
            place = loaded.place_of("", axis.paths)
            warn_user(f"{place}: {', '.join(axis.paths)}: all {len(axis)} positions have exactly the same results")


def prepare_study(loaded: LoadedStudy, progress: Progress = silent) -> MeasuredPoint:
    """The first chip of the first point of a study, calibrated and programmed, but not asked anything.

    Raises:
        CrossOhmError: study, network or data are not as they must be.
    """
    session = Session(loaded.source.folder, progress)
    check_study(loaded, session).advise()
    point = MeasuredPoint(plan(loaded, session)[0], session)
    _ = point.network  # programmed now, so that errors come from here
    return point


def calibrate_study(loaded: LoadedStudy, progress: Progress = silent) -> Calibration:
    """The converter ranges of a study's network on its hardware, with nothing varied.

    Raises:
        StudyError: the study does not calibrate.
        CrossOhmError: study, network or data are not as they must be.
    """
    study = loaded.study
    if not study.calibration.inputs or study.calibration.file is not None:
        raise StudyError(
            loaded.source.place("calibration"), "calibration", study.calibration.file or False,
            "says that no ranges are to be found", remedy="Leave file out, and inputs and adc true",
        )  # fmt: skip
    session = Session(loaded.source.folder, progress)
    check_study(loaded, session).advise()
    described, _ = layer_hardware(study, loaded, session.network(study).convertible)
    warn_of_slow_points(loaded, without_random_errors)
    return session.calibration(study, stand_ins(unpacked(described)))


def _index(loaded: LoadedStudy, units: Iterable[Unit]) -> dict[str, Any]:
    """What the results folder says about itself."""
    return {
        "name": loaded.name,
        "text": loaded.source.text,
        "study": loaded.tree,
        "axes": [{"name": axis.name, "paths": list(axis.paths), "positions": axis.positions} for axis in loaded.axes],
        "planned": provenance(),
        "units": [
            {"key": unit.key, "point": unit.point, "coordinates": unit.coordinates, "seed": unit.seed,
             "cures": unit.cures}
            for unit in units
        ],
    }  # fmt: skip


def _failure(first: Outcome, more: int, folder: Path) -> str:
    at = ", ".join(f"{path} = {value!r}" for path, value in first.unit.coordinates.items()) or "the only point"
    others = f" {more} more failed." if more else ""
    why = first.failure.reason if first.failure else ""
    return f"{at}, chip {first.unit.seed}: {why}.{others} All others are in {folder}; failed ones are tried again"
