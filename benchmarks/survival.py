"""Studies and tables of pulses under attack, in full: what ``tests/studies`` and ``tests/training`` do in small.

    python benchmarks/survival.py fuzz [2000]    study files with random mistakes
    python benchmarks/survival.py tables [2000]  texts, CSVs and archives of measured pulses with random damage
    python benchmarks/survival.py kill [200]     a sweep of so many points, killed ten times and resumed
    python benchmarks/survival.py workers [200]  the same on two worker processes, one of which is killed

Each prints what it counted, and fails if a file gives a traceback, or a point is lost, differs, or is computed again
without need.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import collections
import pathlib
import re
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), *(str(ROOT / "tests" / room) for room in ("studies", "training"))]

import damaged_tables
import fuzzed
import survival

from crossohm.errors import CrossOhmError
from crossohm.studies import Processes, load_study, run_study


def fuzz(count: int) -> None:
    kinds: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            path = fuzzed.fuzzed_file(pathlib.Path(folder), number)
            try:
                load_study(path)
            except CrossOhmError as error:
                fuzzed.check_message(path, str(error))
                kinds["line" if re.match(rf"{re.escape(str(path))}.*?, line \d+", str(error)) else "path only"] += 1
            else:
                kinds["fine"] += 1
            path.unlink()
    print(f"{count} files, no traceback: {dict(kinds)}")


def tables(count: int) -> None:
    kinds: collections.Counter[str] = collections.Counter()
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            kinds[damaged_tables.outcome(pathlib.Path(folder), number)] += 1
    print(f"{count} files, no traceback, no number that is not finite: {dict(kinds)}")


def kill(points: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        expected = _uninterrupted(folder, points)
        study = survival.write_study(folder, points)
        begin = time.perf_counter()
        killed = survival.kill_and_resume(study, folder / "killed", kills=10, points=points, seed=7)
        seconds = time.perf_counter() - begin
        assert survival.measured(folder / "killed") == expected
        survival.check_started(study, points, killed)
        again = len(survival.started(study)) - points
        print(f"{points} points, {killed} kills, {again} computed again, identical, {seconds:.0f} s")


def workers(points: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        expected = _uninterrupted(folder, points)
        study = survival.write_study(folder, points)
        killer = survival.kill_a_worker(study, after=points // 3)
        begin = time.perf_counter()
        results = run_study(load_study(study), folder / "workers", executor=Processes(2))
        seconds = time.perf_counter() - begin
        killer.join()
        assert results.complete
        assert survival.measured(folder / "workers") == expected
        survival.check_started(study, points, killed=1)
        again = len(survival.started(study)) - points
        print(f"{points} points on 2 workers, one killed, {again} computed again, identical, {seconds:.0f} s")


def _uninterrupted(folder: pathlib.Path, points: int) -> dict:
    plain = folder / "plain"
    plain.mkdir()
    study = survival.write_study(plain, points, counted=False)
    survival.carry_out(study, folder / "uninterrupted")
    found = survival.measured(folder / "uninterrupted")
    assert len(found) == points
    return found


if __name__ == "__main__":
    attacks = {"fuzz": (fuzz, 2000), "tables": (tables, 2000), "kill": (kill, 200), "workers": (workers, 200)}
    chosen, default = attacks[sys.argv[1]] if sys.argv[1:] and sys.argv[1] in attacks else sys.exit(__doc__)
    chosen(int(sys.argv[2]) if sys.argv[2:] else default)
