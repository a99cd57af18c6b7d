"""Threads for the linear algebra of wires: one where blocks are small."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

#: Blocks from this size on keep several threads busy; with smaller ones these would mostly wait for each other.
THREADED_BLOCK = 1024


def threads_for(block: int) -> AbstractContextManager[Any]:
    """Context with as many BLAS threads as suit square blocks of this size."""
    return _libraries().limit(limits=1 if block < THREADED_BLOCK else None, user_api="blas")  # type: ignore[no-any-return]


@cache  # a look at all libraries of the process takes milliseconds; those of NumPy and SciPy are there already
def _libraries() -> Any:
    return ThreadpoolController()
