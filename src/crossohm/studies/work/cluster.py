"""Units computed by Dask on a cluster that is running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from crossohm.errors import DataError, MissingDependencyError, WriteError
from crossohm.studies.results.sealed import digest
from crossohm.studies.work.failures import Problem
from crossohm.studies.work.sweep import Outcome
from crossohm.studies.work.units import Unit
from crossohm.studies.work.worker import work


@final
class Dask:
    """Computes units on Dask workers, which write into the results folder themselves: all must see it.

    A chip is lost only if its worker dies while computing it; Dask then has it computed by another one.

    Args:
        scheduler: Address of the cluster, e.g. ``"tcp://host:8786"``, or a file that ``dask scheduler
            --scheduler-file`` wrote.
        resources: What a chip needs of its worker, e.g. ``{"GPU": 1}``; workers are started with what they have
            (``dask worker --resources "GPU=2"``).

    Raises:
        MissingDependencyError: ``distributed`` is not installed.
    """

    elsewhere = True

    def __init__(self, scheduler: str, resources: Mapping[str, float] | None = None) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError:
            raise MissingDependencyError("distributed", "dask", "A sweep on a cluster") from None
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
        with _connected(self._scheduler) as client:
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
