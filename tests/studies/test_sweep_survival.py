"""Sweeps that are killed lose nothing and repeat nothing but what was in flight."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from survival import carry_out, check_started, kill_a_worker, kill_and_resume, measured, write_study

from crossohm.studies import Dask, load_study, run_study
from crossohm.studies.work.evaluate import MeasuredPoint

POINTS = 20


@pytest.fixture(autouse=True)
def counted_here_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that starts the sweep imports the plug-in that counts, too: undone after each test."""
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
def test_a_dask_worker_is_killed(tmp_path: Path, uninterrupted: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = write_study(tmp_path, POINTS)
    killer = kill_a_worker(study, after=POINTS // 3)
    results = run_study(load_study(study), tmp_path / "results", executor=Dask(workers=2))
    killer.join()
    assert results.complete
    assert measured(tmp_path / "results") == uninterrupted
    check_started(study, POINTS, killed=1)
