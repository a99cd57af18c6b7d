"""Why a chip has no result, and what is a result at all."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import CrossOhmError, DataError, NetworkError


@final
@dataclass(frozen=True)
class Problem:
    """Why there is no result.

    Attributes:
        reason: In one line.
        details: Where it happened, of errors that crossohm did not raise on purpose: the code of a user's model or
            network, as a rule. Otherwise empty.
    """

    reason: str
    details: str = ""


def problem_of(error: BaseException) -> Problem:
    """What an error says, as text: errors are not all made to travel between processes."""
    if isinstance(error, NetworkError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # studies show a network what it was made for: its own code is to blame
    if isinstance(error, CrossOhmError):
        return Problem(" ".join([str(error), *(f"({note})" for note in getattr(error, "__notes__", []))]))
    return Problem(" ".join(f"{type(error).__name__}: {error}".split()), "".join(traceback.format_exception(error)))


@final
class Answers:
    """What a network answers, batch by batch: one finite array of numbers per image.

    Args:
        images: How many it is asked.
        who: The network, for messages.
    """

    def __init__(self, images: int, who: str) -> None:
        self._images = images
        self._who = who
        self._finite: list[NDArray[np.bool_]] = []
        self._wrong: Any = None

    def add(self, answers: Mapping[str, NDArray[Any]]) -> bool:
        """Look at the answers to a batch; False if one is no number."""
        finite = [np.isfinite(one.reshape(len(one), -1)) for one in answers.values()]
        self._finite.append(np.logical_and.reduce([one.all(axis=1) for one in finite]))
        if self._wrong is None and not self._finite[-1].all():
            every = (value for one in answers.values() for value in one[~self._finite[-1]].ravel())
            self._wrong = next(value for value in every if not np.isfinite(value))
        return self._wrong is None

    def require(self) -> None:
        """Refuse what is not one finite answer per image.

        Raises:
            DataError: it answered NaN or infinity, or not every image; names the network.
        """
        fine = np.concatenate(self._finite) if self._finite else np.zeros(0, np.bool_)
        if len(fine) != self._images:
            raise DataError(f"{self._who}: answered {len(fine)} of {self._images} images; expected an answer to each")
        if not fine.all():
            which = f"{int((~fine).sum())} of {self._images} images, first to number {int(np.argmin(fine))}"
            raise DataError(f"{self._who}: answered {self._wrong} to {which}; there is nothing to measure")


def require_finite(found: Mapping[str, float], who: str) -> dict[str, float]:
    """Measures that are numbers.

    Raises:
        DataError: one of them is NaN or infinite; names it.
    """
    for name, value in found.items():
        if not np.isfinite(value):
            raise DataError(f"{who}: the measure {name} is {value}; look at the labels and at the answers")
    return dict(found)
