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


def require_answers(answers: NDArray[Any], images: int, who: str) -> NDArray[Any]:
    """What a network answered, one finite array of numbers per image.

    Raises:
        DataError: it answered NaN or infinity, or not every image; names the network.
    """
    if answers.shape[:1] != (images,):
        raise DataError(f"{who}: answered {images} images with an array {answers.shape}; expected one row for each")
    wrong = ~np.isfinite(answers.reshape(images, -1)).all(axis=1)
    if wrong.any():
        first = int(np.argmax(wrong))
        value = next(value for value in answers[first].ravel() if not np.isfinite(value))
        which = f"{int(wrong.sum())} of {images} images, first to number {first}"
        raise DataError(f"{who}: answered {value} to {which}; there is nothing to measure")
    return answers


def require_finite(found: Mapping[str, float], who: str) -> dict[str, float]:
    """Measures that are numbers.

    Raises:
        DataError: one of them is NaN or infinite; names it.
    """
    for name, value in found.items():
        if not np.isfinite(value):
            raise DataError(f"{who}: the measure {name} is {value}; look at the labels and at the answers")
    return dict(found)
