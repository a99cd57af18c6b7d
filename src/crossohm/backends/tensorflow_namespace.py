"""The functions of the array API standard that the physics uses, on TensorFlow tensors.

TensorFlow has no namespace that follows the standard. Shapes may have one entry that is not known while a function is
traced, the batch: it is None, as TensorFlow gives it in ``x.shape``, and may be handed on to `reshape` and
`broadcast_to`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, final

import tensorflow as tf

from crossohm.backends.convolution import open_size

Tensor = Any
#: Sizes of the axes; None: not known yet, -1: what is left.
Shape = Sequence[int | None]


def _reshape(x: Tensor, shape: Shape) -> Tensor:
    """``x`` in another shape; what is not known yet, and one -1 beside it, follow from the rest."""
    wanted, given = list(shape), list(x.shape)
    if wanted.count(None) > 1 or given.count(None) > 1:
        raise open_size(given)
    if None in wanted:
        if -1 in wanted:  # the batch stays, so that the rest is known
            rest = math.prod(n for n in wanted if n not in (None, -1))
            wanted[wanted.index(-1)] = math.prod(n for n in given if n is not None) // max(1, rest)
        wanted[wanted.index(None)] = -1
    return tf.reshape(x, wanted)


def _broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """``x`` spread over a shape; what is not known of it is as in ``x``."""
    first = len(shape) - len(x.shape)
    sizes = [tf.shape(x)[axis - first] if n is None else n for axis, n in enumerate(shape)]
    return tf.broadcast_to(x, sizes)


def _broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    shape = reduce(tf.broadcast_dynamic_shape, map(tf.shape, arrays))
    known = reduce(tf.broadcast_static_shape, (array.shape for array in arrays))
    return [tf.ensure_shape(tf.broadcast_to(array, shape), known) for array in arrays]


def _moveaxis(x: Tensor, source: int, destination: int) -> Tensor:
    order = list(range(len(x.shape)))
    order.insert(destination % len(order), order.pop(source % len(order)))
    return tf.transpose(x, order)


def _flip(x: Tensor, *, axis: int | Sequence[int]) -> Tensor:
    return tf.reverse(x, [axis] if isinstance(axis, int) else list(axis))


def _fmax(x: Tensor, other: Tensor) -> Tensor:
    return tf.where(tf.math.is_nan(x), other, tf.maximum(x, other))


def _log10(x: Tensor) -> Tensor:
    return tf.math.log(x) / math.log(10)


def _full_like(x: Tensor, value: float) -> Tensor:
    return tf.fill(tf.shape(x), tf.cast(value, x.dtype))


def _take(x: Tensor, indices: Tensor, *, axis: int) -> Tensor:
    return tf.gather(x, indices, axis=axis)


@final
class _Linalg:
    diagonal = staticmethod(tf.linalg.diag_part)


@final
class _Namespace:
    linalg = _Linalg

    abs = staticmethod(tf.abs)
    broadcast_arrays = staticmethod(_broadcast_arrays)
    broadcast_to = staticmethod(_broadcast_to)
    concat = staticmethod(tf.concat)
    exp = staticmethod(tf.exp)
    expand_dims = staticmethod(tf.expand_dims)
    expm1 = staticmethod(tf.math.expm1)
    flip = staticmethod(_flip)
    floor = staticmethod(tf.floor)
    fmax = staticmethod(_fmax)
    full_like = staticmethod(_full_like)
    imag = staticmethod(tf.math.imag)
    isnan = staticmethod(tf.math.is_nan)
    log10 = staticmethod(_log10)
    matrix_transpose = staticmethod(tf.linalg.matrix_transpose)
    max = staticmethod(tf.reduce_max)
    maximum = staticmethod(tf.maximum)
    min = staticmethod(tf.reduce_min)
    moveaxis = staticmethod(_moveaxis)
    ones = staticmethod(tf.ones)
    ones_like = staticmethod(tf.ones_like)
    pad = staticmethod(tf.pad)
    permute_dims = staticmethod(tf.transpose)
    real = staticmethod(tf.math.real)
    reshape = staticmethod(_reshape)
    round = staticmethod(tf.round)
    sign = staticmethod(tf.sign)
    sort = staticmethod(tf.sort)
    sqrt = staticmethod(tf.sqrt)
    stack = staticmethod(tf.stack)
    sum = staticmethod(tf.reduce_sum)
    take = staticmethod(_take)
    tile = staticmethod(tf.tile)
    unstack = staticmethod(tf.unstack)
    where = staticmethod(tf.where)
    zeros_like = staticmethod(tf.zeros_like)


#: The namespace.
xp = _Namespace
