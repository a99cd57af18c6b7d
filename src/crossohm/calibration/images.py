"""Images from whatever holds them: an array, a data set, a loader of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.backends import backend_of, is_array
from crossohm.calibration.network import Network, Progress
from crossohm.errors import InputError


@final
class ImageSource:
    """Images that can be looked at several times.

    Args:
        data: An array ``(images, ...)`` of any library, an object with such an array as ``images``, or an iterable of
            batches, each an array or a sequence that begins with one, as loaders give them. An iterator, which can be
            used only once, is kept in memory.
        limit: Most images used, the first ones; None: all.

    Raises:
        InputError: ``data`` holds no images.
    """

    def __init__(self, data: Any, limit: int | None = None) -> None:
        data = getattr(data, "images", data)
        self._limit = limit
        self._batches: Iterable[Any] = [data] if _is_array(data) else data
        if not isinstance(self._batches, Iterable):
            raise InputError(
                f"data of type {type(data).__name__} holds no images; pass an array (images, ...), an object with such "
                "an array as .images, or an iterable of batches"
            )
        if isinstance(self._batches, Iterator):
            self._batches = list(self._limited())
        self._total = limit or 0

    def pass_through(self, network: Network, stage: str, progress: Progress) -> int:
        """Let the network answer all images; returns how many.

        Raises:
            InputError: there is none.
        """
        done = 0
        for images in self._limited():

            def step(stage: str, ready: int, _: int, before: int = done, size: int = len(images)) -> None:
                progress(stage, before + ready, max(self._total, before + size))

            network.outputs(images, stage, step)
            done += len(images)
        if not done:
            raise InputError("there are no images to calibrate with; at least one is needed")
        self._total = done
        return done

    def _limited(self) -> Iterator[NDArray[np.float32]]:
        left = np.inf if self._limit is None else self._limit
        for batch in self._batches:
            images = _images(batch)
            if left <= 0:
                return
            images = images[: int(min(left, len(images)))]
            left -= len(images)
            if len(images):
                yield images


def _images(batch: Any) -> NDArray[np.float32]:
    """A batch, ``(images, ...)``, single precision, without its labels."""
    found = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not _is_array(found) or found.ndim < 2:
        raise InputError(
            f"batch of type {type(batch).__name__}: expected an array (images, ...), or a sequence that begins with one"
        )
    return np.asarray(backend_of(found).to_numpy(found), dtype=np.float32)


def _is_array(value: Any) -> bool:
    return is_array(value) and hasattr(value, "ndim")  # array libraries have loaders, too
