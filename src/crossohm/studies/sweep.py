"""Studies carried out: units planned, those that are missing computed, tables written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

from crossohm.calibration import Calibration
from crossohm.calibration.hardware import without_random_errors
from crossohm.calibration.network import Progress, silent
from crossohm.errors import CrossOhmError, DataError, StudyError
from crossohm.studies.evaluate import Chip, compute
from crossohm.studies.files import provenance
from crossohm.studies.results import Results, open_results
from crossohm.studies.session import Session
from crossohm.studies.slow import warn_of_slow_points
from crossohm.studies.store import ResultStore
from crossohm.studies.study_file import LoadedStudy
from crossohm.studies.tables import write_tables
from crossohm.studies.units import Cures, Unit, layer_hardware, plan, stand_ins, unpacked


@final
@dataclass(frozen=True)
class Outcome:
    """What became of a unit: ``failure`` is None, or why there is no result."""

    unit: Unit
    failure: str | None = None


class Executor(Protocol):
    """Something that computes units, wherever it does."""

    def outcomes(self, units: Sequence[Unit], folder: Path) -> Iterator[Outcome]:
        """Compute units into a results folder; yields each as it is done, in any order."""


@final
class Here:
    """Computes units one after the other in this process.

    Args:
        session: Has network and data.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def outcomes(self, units: Sequence[Unit], folder: Path) -> Iterator[Outcome]:
        """Compute units into a results folder, in order."""
        store = ResultStore(folder)
        for unit in units:
            try:
                compute(unit.job, store, self._session)
            except CrossOhmError as error:
                yield Outcome(unit, explained(error))
            else:
                yield Outcome(unit)


def explained(error: CrossOhmError) -> str:
    """The message of an error with its notes."""
    return " ".join([str(error), *(f"({note})" for note in getattr(error, "__notes__", []))])


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
    again by what they depend on, so a study may also be extended, or shared by several processes.

    Args:
        loaded: The study; see `load_study`.
        folder: For the results; is made, or goes on where it stopped.
        executor: Where to compute; by default in this process.
        progress: Told how many chips are done (``"chips"``), and how far the present one is.
        points: Causes of errors to take away, instead of the sweep of the study; see `crossohm.studies.budget`.

    Raises:
        CrossOhmError: study, network or data are not as they must be, or some points failed; all others are kept.
    """
    session = Session(loaded.source.folder, progress)
    units = plan(loaded, session, points)
    store = ResultStore.create(folder)
    store.write_index(_index(loaded, units))
    missing = [
        unit for unit in {unit.key: unit for unit in units}.values() if store.read(unit.key, thorough=True) is None
    ]
    if missing:
        warn_of_slow_points(loaded)
    total = len({unit.key for unit in units})
    done = total - len(missing)
    failed = []
    progress("chips", done, total)
    try:
        for outcome in (executor or Here(session)).outcomes(missing, folder):
            done += 1
            failed += [outcome] if outcome.failure else []
            progress("chips", done, total)
    finally:
        results = open_results(folder)
        write_tables(results)
    if failed:
        raise _failure(failed, folder)
    return results


def prepare_study(loaded: LoadedStudy, progress: Progress = silent) -> Chip:
    """The first chip of the first point of a study, calibrated and programmed, but not asked anything.

    Raises:
        CrossOhmError: study, network or data are not as they must be.
    """
    session = Session(loaded.source.folder, progress)
    return Chip(plan(loaded, session)[0].job, session)


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
    session.start(study.plugins)
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
             "cures": unit.job["cures"]}
            for unit in units
        ],
    }  # fmt: skip


def _failure(failed: Sequence[Outcome], folder: Path) -> CrossOhmError:
    first = failed[0]
    at = ", ".join(f"{path} = {value!r}" for path, value in first.unit.coordinates.items()) or "the only point"
    others = f" {len(failed) - 1} more failed." if len(failed) > 1 else ""
    return DataError(f"{at}, chip {first.unit.seed}: {first.failure}.{others} All others are in {folder}")
