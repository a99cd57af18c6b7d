"""Units computed by several processes of this machine."""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import final

from crossohm.errors import ParameterError, WriteError
from crossohm.studies.work.failures import Problem, problem_of
from crossohm.studies.work.sweep import Outcome
from crossohm.studies.work.units import Unit
from crossohm.studies.work.worker import starting, work

#: How often a chip may take its process down before it counts as failed.
_DEATHS = 3


@final
class Processes:
    """Computes units in processes of this machine, which write into the results folder themselves.

    A chip is lost only if its process dies while computing it; another process then computes it.

    Args:
        workers: How many processes.

    Raises:
        ParameterError: not a positive number.
    """

    elsewhere = False

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise ParameterError("workers", workers, "out of range", allowed="a positive integer")
        self._workers = workers

    def outcomes(self, units: Sequence[Unit], folder: Path) -> Iterator[Outcome]:
        """Compute units into a results folder, in the order in which processes become free.

        Raises:
            WriteError: results cannot be written.
        """
        waiting, place = deque(units), str(folder.resolve())
        deaths: Counter[str] = Counter()
        count = min(self._workers, len(units))
        free = [_Process(count) for _ in range(count)]
        busy: dict[Future[Problem | None], tuple[_Process, Unit]] = {}
        try:
            while waiting or busy:
                while waiting and free:
                    process, unit = free.pop(), waiting.popleft()
                    busy[process.submit(unit, place)] = process, unit
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    process, unit = busy.pop(future)
                    free.append(process)
                    if isinstance(future.exception(), BrokenProcessPool):
                        process.end()
                        deaths[unit.key] += 1
                        if deaths[unit.key] < _DEATHS:
                            waiting.append(unit)
                            continue
                    yield Outcome(unit, _failure(future))
        finally:
            for process in [*free, *(process for process, _ in busy.values())]:
                process.end()


@final
class _Process:
    """A pool of one process, so that it is known which chip a process died of; started when it has something to do.

    Args:
        beside: How many there are of them.
    """

    def __init__(self, beside: int) -> None:
        self._beside = beside
        self._pool: ProcessPoolExecutor | None = None
        self._children: set[multiprocessing.process.BaseProcess] = set()

    def submit(self, unit: Unit, place: str) -> Future[Problem | None]:
        """Begin with a unit."""
        if self._pool is not None:
            return self._pool.submit(work, unit, place)
        before = set(multiprocessing.active_children())
        with starting(self._beside):
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            future = self._pool.submit(work, unit, place)
        self._children = set(multiprocessing.active_children()) - before
        return future

    def end(self) -> None:
        """End the process, whatever it is doing: results are whole files at any moment."""
        if self._pool is None:
            return
        for child in self._children:
            child.kill()
        self._pool.shutdown(cancel_futures=True)
        self._pool = None


def _failure(future: Future[Problem | None]) -> Problem | None:
    """Why there is no result, None if there is one."""
    error = future.exception()
    if isinstance(error, WriteError):
        raise error
    if isinstance(error, BrokenProcessPool):
        return Problem(f"its process died, {_DEATHS} times")
    return future.result() if error is None else problem_of(error)
