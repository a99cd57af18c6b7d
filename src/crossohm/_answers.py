"""What users' models answer: an array of the shape they were asked for."""

from __future__ import annotations

from crossohm.backends import Array, is_array
from crossohm.errors import ModelError


def of_shape(answer: Array, shape: tuple[int, ...], who: str) -> Array:
    """The answer, if it has this shape; ``who`` names the model and its method.

    Raises:
        ModelError: it has another, or is no array.
    """
    if not is_array(answer):
        raise ModelError(f"{who} returned a {type(answer).__name__}, not an array of shape {shape}")
    if tuple(answer.shape) != shape:
        raise ModelError(f"{who} returned an array of shape {tuple(answer.shape)} instead of {shape}")
    return answer
