"""Units computed by Dask: on processes of this machine, or on a cluster that is running."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, final

from crossohm.errors import DataError, MissingDependencyError, ParameterError, WriteError
from crossohm.studies.results.sealed import digest
from crossohm.studies.results.store import ResultStore
from crossohm.studies.work.evaluate import compute
from crossohm.studies.work.failures import Problem, problem_of
from crossohm.studies.work.session import Session
from crossohm.studies.work.sweep import Outcome
from crossohm.studies.work.units import Unit

#: How often a chip may take its worker down before it counts as failed.
_DEATHS = 3

#: Chips of one process share its networks and PyTorch's random numbers: a worker's threads compute them in turn.
_ONE_AT_A_TIME = threading.Lock()


@final
class Dask:
    """Computes units on Dask workers, which write into the results folder themselves: all must see it.

    A chip is lost only if its worker dies while computing it; Dask then has it computed by another one.

    Args:
        workers: Start this many processes on this machine.
        scheduler: Address of a running cluster instead, e.g. ``"tcp://host:8786"``, or a file that
            ``dask scheduler --scheduler-file`` wrote.
        resources: What a chip needs of its worker, e.g. ``{"GPU": 1}``; workers are started with what they have
            (``dask worker --resources "GPU=2"``).

    Raises:
        MissingDependencyError: ``distributed`` is not installed.
        ParameterError: not exactly one of workers and scheduler.
    """

    def __init__(
        self, workers: int | None = None, scheduler: str | None = None, resources: Mapping[str, float] | None = None
    ) -> None:
        if (workers is None) == (scheduler is None):
            raise ParameterError("workers", workers, "give either workers or a scheduler")
        try:
            import distributed  # noqa: F401
        except ImportError:
            raise MissingDependencyError("distributed", "dask", "A sweep on several processes") from None
        self.elsewhere = scheduler is not None
        self._workers = workers
        self._scheduler = scheduler
        self._resources = dict(resources or {})

    def outcomes(self, units: Sequence[Unit], folder: Path) -> Iterator[Outcome]:
        """Compute units into a results folder, in the order in which workers become free.

        Raises:
            DataError: the cluster cannot be reached.
            WriteError: results cannot be written.
        """
        if not units:
            return
        with self._client(min(self._workers or len(units), len(units))) as client:
            from distributed import as_completed

            place = str(folder.resolve())
            futures = {
                client.submit(
                    work, unit, place, key=f"crossohm-{digest([place, unit.key])}", pure=False, retries=0,
                    resources=self._resources or None,
                ): unit
                for unit in units
            }  # fmt: skip
            for future in as_completed(futures):
                yield Outcome(futures[future], _failure(future))
                future.release()

    @contextmanager
    def _client(self, workers: int) -> Iterator[Any]:
        import dask
        from distributed import Client, LocalCluster

        if self._scheduler is not None:
            with _connected(self._scheduler) as client:
                yield client
            return
        threads = max(1, (os.cpu_count() or 1) // workers)
        quiet = {"distributed.scheduler.allowed-failures": _DEATHS, "distributed.admin.log-format": ""}
        with dask.config.set(quiet):
            with _deaf_to_ctrl_c():
                cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
                    env={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))},
                    resources=self._resources or None, silence_logs=50,
                )  # fmt: skip
            with cluster, Client(cluster) as client:
                yield client


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that start in the ``with`` block do not hear Ctrl-C; neither does this one until its end.

    A terminal sends it to all processes of a command. The workers are ended by this one, and have nothing to say.
    """
    if threading.current_thread() is not threading.main_thread():  # where Ctrl-C is not heard anyway
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # processes inherit that a signal is ignored
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


@contextmanager
def _connected(scheduler: str) -> Iterator[Any]:
    from distributed import Client

    where = {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
    try:
        client = Client(timeout=20, **where)
    except (OSError, TimeoutError, ValueError) as error:
        raise DataError(f"scheduler {scheduler}: cannot be reached ({error})") from error
    with client:
        yield client


def _failure(future: Any) -> Problem | None:
    """Why there is no result, None if there is one."""
    error = future.exception()
    if isinstance(error, WriteError):
        raise error
    if error is not None:  # of Dask itself: workers that died
        return Problem(f"{type(error).__name__}: {error}")
    said: Problem | None = future.result()
    return said


def work(unit: Unit, folder: str) -> Problem | None:
    """What a worker does: compute one unit into the results folder.

    Returns:
        None, or why there is no result. Errors travel as text: they are not all made to be pickled.

    Raises:
        WriteError: the result cannot be written.
    """
    if not Path(folder).is_dir():
        host = socket.gethostname()
        return Problem(f"the results folder {folder} is not visible on {host}; put it where all workers see it")
    try:
        with _ONE_AT_A_TIME:
            compute(unit, ResultStore(Path(folder)), _session(unit.folder))
    except WriteError:
        raise
    except (Exception, SystemExit) as error:  # networks and models are the user's and may raise anything
        return problem_of(error)
    return None


@cache
def _session(folder: Path) -> Session:
    """One per worker process and folder of a study."""
    return Session(folder)
