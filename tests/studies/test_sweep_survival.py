"""Sweeps that are killed lose nothing and repeat nothing but what was in flight."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from survival import carry_out, check_started, kill_a_worker, kill_and_resume, measured, write_study

from crossohm.errors import FailedChipsError
from crossohm.studies import Processes, load_study, run_study
from crossohm.studies.work.evaluate import MeasuredPoint

POINTS = 20


@pytest.fixture(autouse=True)
def patched_here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that starts the sweep imports the plug-ins, too: undone after each test."""
    monkeypatch.setattr(MeasuredPoint, "measured", MeasuredPoint.measured)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("uninterrupted")
    carry_out(write_study(folder, POINTS, counted=False), folder / "results")
    found = measured(folder / "results")
    assert len(found) == POINTS
    return found


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path, uninterrupted: dict) -> None:
    study = write_study(tmp_path, POINTS)
    killed = kill_and_resume(study, tmp_path / "results", kills=6, points=POINTS, seed=1)
    assert killed >= 3
    assert measured(tmp_path / "results") == uninterrupted
    check_started(study, POINTS, killed)


@pytest.mark.slow
def test_a_worker_is_killed(tmp_path: Path, uninterrupted: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = write_study(tmp_path, POINTS)
    killer = kill_a_worker(study, after=POINTS // 3)
    results = run_study(load_study(study), tmp_path / "results", executor=Processes(2))
    killer.join()
    assert results.complete
    assert measured(tmp_path / "results") == uninterrupted
    check_started(study, POINTS, killed=1)


DEADLY = """
import os
from crossohm.studies.work.evaluate import MeasuredPoint

measured = MeasuredPoint.measured

def deadly(point):
    return os._exit(1) if point.unit.seed == 2 else measured(point)

if measured.__name__ != "deadly":
    MeasuredPoint.measured = deadly
"""


@pytest.mark.slow
def test_a_chip_that_ends_every_process_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(DEADLY, encoding="utf-8")
    small = {"dataset": {"images": 5}, "calibration": {"images": 5}, "repeats": 3, "plugins": ["deadly.py"]}
    with pytest.raises(FailedChipsError, match="its process died, 3 times") as failed:
        run_study(load_study(small, folder=tmp_path), tmp_path / "results", executor=Processes(2))
    results = failed.value.results
    assert [chip.seed for chip in results.chips] == [1, 3]
    assert [failure.seed for failure in results.failures] == [2]
