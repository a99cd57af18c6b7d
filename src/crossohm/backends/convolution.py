"""Convolutions: how a kernel moves, and how libraries without one of their own compute it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

from crossohm.errors import UnsupportedError

Array = Any


class Steps(NamedTuple):
    """How a kernel moves over inputs ``(batch, channels, *size)``; tuples have one entry per axis of positions.

    Attributes:
        stride: Step of the kernel.
        dilation: Distance of neighbouring taps.
        padding: Zeros on both sides; empty: none.
        groups: Blocks of channels and outputs that are connected.
    """

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...] = ()
    groups: int = 1

    @property
    def margin(self) -> tuple[int, ...]:
        """The padding, one entry per axis."""
        return self.padding or (0,) * len(self.stride)

    def positions(self, size: tuple[int, ...], taps: tuple[int, ...]) -> list[int]:
        """Number of outputs along each axis for inputs of ``size`` and a kernel of ``taps``.

        Raises:
            UnsupportedError: a size is not known yet.
        """
        if None in tuple(size):
            raise open_size(size)
        axes = zip(size, self.margin, taps, self.stride, self.dilation, strict=True)
        return [(n + 2 * margin - step * (count - 1) - 1) // stride + 1 for n, margin, count, stride, step in axes]

    def windows(self, positions: list[int], taps: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
        """For every tap, its index, and the part of padded inputs that it meets."""
        for tap in product(*map(range, taps)):
            axes = zip(tap, self.dilation, positions, self.stride, strict=True)
            parts = (_every(index * step, count, stride) for index, step, count, stride in axes)
            yield tap, (..., *parts)


def open_size(shape: Iterable[int | None]) -> UnsupportedError:
    """The error where sizes other than that of the batch are not known."""
    return UnsupportedError(
        f"arrays of shape {tuple(shape)} in a function that is traced: the size of the batch may be left open (None), "
        "but no other; give the other axes a fixed size (input_signature of tf.function, keras.Input(shape))"
    )


def convolve(xp: Any, x: Array, kernel: Array, steps: Steps) -> Array:
    """Outputs ``(batch, outputs, *positions)``, as a sum of one matrix product per tap; see `Backend.convolve`."""
    taps, groups = kernel.shape[2:], steps.groups
    positions = steps.positions(x.shape[2:], taps)
    padded = _padded(xp, x, steps)
    total: Any = None
    for tap, window in steps.windows(positions, taps):
        part = _tap(xp, kernel, tap, groups) @ _grouped(xp, padded[window], groups)
        if total is None:
            total = part
        else:
            total += part
    return xp.reshape(total, (x.shape[0], kernel.shape[0], *positions))


def input_gradient(xp: Any, grad: Array, kernel: Array, shape: tuple[int, ...], steps: Steps) -> Array:
    """Gradient of inputs of ``shape`` for that of the outputs; see `Backend.convolution_input_gradient`."""
    taps, groups = kernel.shape[2:], steps.groups
    size = [n + 2 * margin for n, margin in zip(shape[2:], steps.margin, strict=True)]
    total = xp.zeros((*shape[:2], *size), dtype=grad.dtype)
    arrived = _grouped(xp, grad, groups)
    for tap, window in steps.windows(list(grad.shape[2:]), taps):
        part = xp.matrix_transpose(_tap(xp, kernel, tap, groups)) @ arrived
        total[window] += part.reshape(*shape[:2], *grad.shape[2:])
    inner = (slice(margin, margin + n) for n, margin in zip(shape[2:], steps.margin, strict=True))
    return total[(..., *inner)]


def kernel_gradient(xp: Any, grad: Array, x: Array, shape: tuple[int, ...], steps: Steps) -> Array:
    """Gradient of a kernel of ``shape`` for that of the outputs; see `Backend.convolution_kernel_gradient`."""
    groups, padded, arrived = steps.groups, _padded(xp, x, steps), _grouped(xp, grad, steps.groups)
    found = xp.zeros(shape, dtype=grad.dtype)
    for tap, window in steps.windows(list(grad.shape[2:]), shape[2:]):
        products = arrived @ xp.matrix_transpose(_grouped(xp, padded[window], groups))
        found[(slice(None), slice(None), *tap)] = products.sum(axis=0).reshape(shape[:2])
    return found


def taps_of(xp: Any, x: Array, taps: tuple[int, ...], steps: Steps) -> Array:
    """What each tap meets, ``(batch, *positions, channels, *taps)``; see `Backend.taps_of`."""
    padded = _padded(xp, x, steps)
    parts = [padded[window] for _, window in steps.windows(steps.positions(x.shape[2:], taps), taps)]
    several = xp.moveaxis(xp.stack(parts, axis=-1), 1, -2)
    return xp.reshape(several, (*several.shape[:-1], *taps))


def _every(first: int, count: int, stride: int) -> slice:
    return slice(first, first + (count - 1) * stride + 1, stride)


def _padded(xp: Any, x: Array, steps: Steps) -> Array:
    return xp.pad(x, [(0, 0), (0, 0), *((margin, margin) for margin in steps.margin)]) if any(steps.margin) else x


def _grouped(xp: Any, x: Array, groups: int) -> Array:
    """``(batch, groups, channels of a group, positions)``."""
    return xp.reshape(x, (x.shape[0], groups, x.shape[1] // groups, -1))


def _tap(xp: Any, kernel: Array, tap: tuple[int, ...], groups: int) -> Array:
    """The matrices of one tap, ``(groups, outputs of a group, channels of a group)``."""
    return xp.reshape(kernel[(slice(None), slice(None), *tap)], (groups, kernel.shape[0] // groups, -1))
