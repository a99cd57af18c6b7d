"""What processes other than the one that was asked do for a study, and how they are started."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from crossohm.errors import WriteError
from crossohm.studies.results.store import ResultStore
from crossohm.studies.work.evaluate import compute
from crossohm.studies.work.failures import Problem, problem_of
from crossohm.studies.work.session import Session
from crossohm.studies.work.units import Unit

#: Chips of one process share its networks and PyTorch's random numbers: a worker's threads compute them in turn.
_ONE_AT_A_TIME = threading.Lock()


def work(unit: Unit, folder: str) -> Problem | None:
    """Compute one unit into the results folder.

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


@contextmanager
def starting(workers: int) -> Iterator[None]:
    """Processes that start in the ``with`` block share the cores, and do not hear Ctrl-C; nor does this one until then.

    A terminal sends it to all processes of a command. Workers are ended by the one that was asked, and have nothing to
    say.
    """
    threads = os.environ.get("OMP_NUM_THREADS")
    hears = threading.current_thread() is threading.main_thread()  # elsewhere Ctrl-C is not heard anyway
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if hears else None  # processes inherit that it is ignored
    os.environ["OMP_NUM_THREADS"] = threads or str(max(1, (os.cpu_count() or 1) // workers))
    try:
        yield
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        if hears:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
