"""TensorFlow tensors, eager or traced by `tf.function`, also with a batch of unknown size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any, final

import ml_dtypes
import numpy as np
import tensorflow as tf

from crossohm.backends import Array, Work, beyond, convolution
from crossohm.backends.convolution import Steps
from crossohm.backends.fingerprint import fingerprint, multipliers
from crossohm.backends.quantile import between
from crossohm.backends.tensorflow_namespace import xp
from crossohm.errors import InputError, UnsupportedError

#: Words of 64 bits that share the multipliers of a digest: they are constants of every function that is traced.
_DIGESTED = 1 << 12


@final
class GeneratorStream:
    """Draws from a `tf.random.Generator`."""

    def __init__(self, generator: tf.random.Generator) -> None:
        self._generator = generator

    def normal(self, like: Array) -> Array:
        return self._generator.normal(_shape(like), dtype=like.dtype)

    def uniform(self, like: Array) -> Array:
        return self._generator.uniform(_shape(like), dtype=like.dtype)


@final
class SeedStream:
    """Draws from a pair of seeds, each with a number of its own."""

    def __init__(self, seeds: Array) -> None:
        self._seeds = seeds if seeds.dtype in (tf.int32, tf.int64) else tf.cast(seeds, tf.int64)
        self._drawn = 0

    def _next(self) -> Array:
        self._drawn += 1
        return tf.random.fold_in(self._seeds, self._drawn)

    def normal(self, like: Array) -> Array:
        return tf.random.stateless_normal(_shape(like), self._next(), dtype=like.dtype)

    def uniform(self, like: Array) -> Array:
        return tf.random.stateless_uniform(_shape(like), self._next(), dtype=like.dtype)


def _shape(like: Array) -> Any:
    """The shape, as a tensor if it is not known yet."""
    return like.shape if like.shape.is_fully_defined() else tf.shape(like)


@final
class TensorflowBackend:
    name = "tensorflow"
    xp = xp

    def asarray(self, value: Any, like: Array) -> Array:
        return tf.constant(np.asarray(value).astype(like.dtype.as_numpy_dtype))

    def indices(self, value: Any, like: Array) -> Array:
        return tf.constant(np.asarray(value, dtype=np.int64))

    def to_numpy(self, value: Array) -> np.ndarray:
        host: np.ndarray = self.concrete(value).numpy()
        return host.astype(np.float32) if value.dtype == tf.bfloat16 else host

    def dtype_name(self, value: Array) -> str:
        return value.dtype.name  # type: ignore[no-any-return]

    def astype(self, value: Array, dtype: str) -> Array:
        return tf.cast(value, dtype)

    def eager(self) -> AbstractContextManager[Any]:
        return tf.init_scope()  # type: ignore[no-any-return]

    def concrete(self, value: Array) -> Array:
        if self.is_traced(value):
            raise UnsupportedError(
                "values are not known while tf.function traces a function; arrays are written outside of it"
            )
        return value

    def fingerprint(self, value: Array) -> int:
        return fingerprint(self.concrete(value).numpy(), self.dtype_name(value))

    def digest(self, value: Array) -> Array:
        words = _words(tf.stop_gradient(value))
        # As in `fingerprint`: the highest bits would show the least.
        mixed = tf.bitwise.bitwise_xor(words, tf.bitwise.bitwise_and(tf.bitwise.right_shift(words, 33), 0x7FFFFFFF))
        factors = multipliers()
        sums = tf.reduce_sum(mixed * factors[: words.shape[1]], axis=1)
        return tf.bitcast(tf.reduce_sum(sums * tf.constant(factors[: sums.shape[0]])), tf.int32)

    def is_traced(self, value: Array) -> bool:
        if isinstance(value, tf.Variable):
            return not tf.executing_eagerly()
        return tf.is_symbolic_tensor(value)  # type: ignore[no-any-return]

    def round_within(self, x: Array, first: int, last: int) -> Array:
        return self.convert(x, first, last, tf.round)

    def convert(self, x: Array, low: float, high: float, decide: Callable[[Array], Array]) -> Array:
        resolution = float(ml_dtypes.finfo(x.dtype.as_numpy_dtype).eps)
        first, last = beyond(low, high, resolution)

        def converted(value: Array, x: Array) -> Any:
            def gradient(grad: Array) -> tuple[None, Array]:
                return None, tf.where((x < first) | (x > last), tf.zeros_like(grad), grad)

            return tf.identity(value), gradient

        return tf.custom_gradient(converted)(decide(tf.stop_gradient(self.clip(x, low, high))), x)

    def add_scaled(self, total: Array, x: Array, factor: Any) -> Array:
        return total + factor * x

    def transposed(self, matrix: Array) -> Array:
        return tf.transpose(matrix)

    def padded(self, vectors: Array) -> Array:
        return tf.pad(vectors, [[0, 0], [0, 1]])

    def complex_of(self, real: Array, imag: Array) -> Array:
        return tf.complex(real, imag)

    def looked_up(self, table: Array, index: Array) -> Array:
        return tf.gather(table, index)

    def between(self, ordered: Array, fraction: float) -> Array:
        if ordered.shape[1] is not None:
            return between(ordered, fraction)
        last = tf.maximum(tf.shape(ordered)[1] - 1, 0)
        position = tf.cast(last, tf.float64) * fraction
        below = tf.cast(position, tf.int32)
        weight = tf.cast(position - tf.floor(position), ordered.dtype)
        padded = tf.pad(ordered, [[0, 0], [0, 1]])  # an empty batch has an entry then, which nothing will be scaled by
        return padded[:, below] * (1 - weight) + padded[:, tf.minimum(below + 1, last)] * weight

    def assigned(self, array: Array, index: tuple[Array, ...], values: Array) -> Array:
        return tf.tensor_scatter_nd_update(array, tf.stack(xp.broadcast_arrays(*index), axis=-1), values)

    def assembled(self, shape: tuple[int, int], blocks: Sequence[tuple[slice, slice, Array]]) -> Array:
        dtype = np.result_type(*(block.dtype.as_numpy_dtype for _, _, block in blocks))
        cast = [(rows, columns, tf.cast(block, dtype)) for rows, columns, block in blocks]
        edges = sorted({0, shape[0], *(edge for rows, _, _ in blocks for edge in (rows.start, rows.stop))})
        return tf.concat([_band(top, bottom, shape[1], cast) for top, bottom in pairwise(edges)], axis=0)

    def parted(self, x: Array, count: int, axis: int = -1) -> Sequence[Array]:
        return tf.split(x, count, axis)  # type: ignore[no-any-return]

    def root(self, x: Array) -> Array:
        positive = x > 0
        return tf.where(positive, tf.sqrt(tf.where(positive, x, 1)), 0)

    def clip(self, x: Array, low: float, high: float) -> Array:
        return tf.clip_by_value(x, low, high)

    def straight_through(self, value: Array, surrogate: Array) -> Array:
        return tf.stop_gradient(value) + (surrogate - tf.stop_gradient(surrogate))

    def differentiates(self, value: Array) -> bool:
        return True  # which tapes record is not to be known

    def with_gradient(
        self,
        forward: Callable[..., Array],
        backward: Callable[..., Sequence[Array | None]],
        inputs: Sequence[Array | None],
        kept: Sequence[Array | None],
        batched: bool = False,
    ) -> Array:
        present = [index for index, value in enumerate(inputs) if value is not None]

        def product(*values: Array) -> tuple[Array, Callable[[Array], list[Array | None]]]:
            given = dict(zip(present, values, strict=True))

            def gradient(grad: Array) -> list[Array | None]:
                found = backward(grad, *kept)
                return [None if found[i] is None else tf.cast(found[i], given[i].dtype) for i in present]

            return forward(*map(given.get, range(len(inputs)))), gradient

        return tf.custom_gradient(product)(*(tf.convert_to_tensor(inputs[index]) for index in present))

    def pulled_back(self, function: Callable[[Array], Array], value: np.ndarray, grad: np.ndarray, like: Array) -> Any:
        return None

    def on_accelerator(self, value: Array) -> bool:
        return not self.is_traced(value) and "CPU" not in value.device

    def detached(self, value: Array) -> Array:
        return tf.stop_gradient(value)

    def inverse_of_positive(self, matrices: Array) -> Array:
        factor = tf.linalg.cholesky(matrices)  # NaN where it fails
        identity = tf.eye(matrices.shape[-1], batch_shape=matrices.shape[:-2], dtype=matrices.dtype)
        return tf.linalg.cholesky_solve(factor, identity)

    def writable(self, value: Array) -> Array:
        return value

    def share_outside(self, value: Array, low: float, high: float) -> float | None:
        if self.is_traced(value):
            return None
        with self.eager():  # a constant of a function that is traced has values
            driven = int(tf.math.count_nonzero(value))
            outside = ((value < low) | (value > high)) & (value != 0)
            return int(tf.math.count_nonzero(outside)) / driven if driven else None

    def key(self, like: Array) -> tuple[Any, ...]:
        return ("tensorflow", like.dtype.name)

    def move(self, value: Array, like: Array) -> Array:
        return value

    def operation_rng(self, rng: Any, host: np.random.Generator, x: Array) -> Any:
        return rng

    def convolve(self, x: Array, kernel: Array, steps: Steps, bias: Array | None = None) -> Array:
        found = _convolution(x, kernel, steps)
        return found if bias is None else found + xp.reshape(bias, (-1, *(1,) * len(steps.stride)))

    def convolution_input_gradient(self, grad: Array, kernel: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        x = tf.zeros([tf.shape(grad)[0] if n is None else n for n in shape], grad.dtype)
        return _transposed(lambda value: self.convolve(value, kernel, steps), tf.ensure_shape(x, shape), grad)

    def convolution_kernel_gradient(self, grad: Array, x: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        return _transposed(lambda value: self.convolve(x, value, steps), tf.zeros(shape, grad.dtype), grad)

    def taps_of(self, x: Array, taps: tuple[int, ...], steps: Steps) -> Array:
        return convolution.taps_of(xp, x, taps, steps)

    def renewed(self, stale: Array, kept: tuple[Array, ...], work: Work, inputs: Sequence[Array]) -> tuple[Array, ...]:
        dtypes = [value.dtype for value in kept]

        def called(*values: np.ndarray) -> list[np.ndarray]:
            found = zip(work(*values), dtypes, strict=True)
            return [np.asarray(value, dtype.as_numpy_dtype) for value, dtype in found]

        def anew() -> tuple[Array, ...]:
            found = tf.numpy_function(called, list(inputs), dtypes)
            return tuple(tf.ensure_shape(value, own.shape) for value, own in zip(found, kept, strict=True))

        return tuple(tf.cond(stale, anew, lambda: kept))

    def stream(self, rng: Any) -> GeneratorStream | SeedStream:
        if rng is None:
            with self.eager():  # where it does not exist yet, its state is made outside of what is traced
                return GeneratorStream(tf.random.get_global_generator())
        if isinstance(rng, tf.random.Generator):
            return GeneratorStream(rng)
        if tf.is_tensor(rng) and rng.shape == (2,) and rng.dtype.is_integer:
            return SeedStream(tf.convert_to_tensor(rng))
        raise InputError(
            f"rng = {rng!r}: TensorFlow inputs take a tf.random.Generator, two integer seeds as a tensor of shape "
            "(2,), or None for the global generator (tf.random.set_global_generator)"
        )


def _words(value: Array) -> Array:
    """The bits of an array as integers of 64 bits, ``(chunks, words)``, filled up with zeros."""
    if value.dtype == tf.bool:
        value = tf.cast(value, tf.uint8)
    fit = 8 // value.dtype.size
    count: int = np.prod(value.shape, dtype=int)
    words = min(_DIGESTED, max(1, -(-count // fit)))
    flat = tf.pad(tf.reshape(value, [-1]), [[0, -count % (words * fit)]])
    wide = flat if value.dtype == tf.int64 else tf.bitcast(tf.reshape(flat, [-1, fit] if fit > 1 else [-1]), tf.int64)
    return tf.reshape(wide, [-1, words])


def _band(top: int, bottom: int, width: int, blocks: Sequence[tuple[slice, slice, Array]]) -> Array:
    """Rows ``top`` to ``bottom`` of a matrix of blocks that do not overlap, all of which cover these rows or none."""
    here = [block for block in blocks if block[0].start <= top < block[0].stop]
    parts, dtype = [], blocks[0][2].dtype
    reached = 0
    for rows, columns, block in sorted(here, key=lambda block: block[1].start):
        parts += [
            tf.zeros((bottom - top, columns.start - reached), dtype),
            block[top - rows.start : bottom - rows.start],
        ]
        reached = columns.stop
    return tf.concat([*parts, tf.zeros((bottom - top, width - reached), dtype)], axis=1)


def _convolution(x: Array, kernel: Array, steps: Steps) -> Array:
    """By a kernel of TensorFlow where its processors have one, with its gradients; these want channels last.

    None has both strides and dilation, and of grouped ones only those with one channel per group have gradients.
    """
    axes = len(steps.stride)
    depthwise = kernel.shape[1] == 1 and axes < 3 and len(set(steps.stride)) == 1
    if (steps.groups > 1 and not depthwise) or (max(steps.stride) > 1 and max(steps.dilation) > 1):
        return convolution.convolve(xp, x, kernel, steps)
    last = xp.moveaxis(x, 1, -1)
    if any(steps.margin):
        last = tf.pad(last, [(0, 0), *((margin, margin) for margin in steps.margin), (0, 0)])
    if steps.groups > 1:
        return xp.moveaxis(_depthwise(last, kernel, steps), -1, 1)
    found = tf.nn.convolution(
        last,
        tf.transpose(kernel, (*range(2, axes + 2), 1, 0)),
        strides=list(steps.stride),
        padding="VALID",
        dilations=list(steps.dilation),
    )
    return xp.moveaxis(found, -1, 1)


def _depthwise(x: Array, kernel: Array, steps: Steps) -> Array:
    """Each channel with kernels of its own, by TensorFlow's kernel with two axes of positions and equal strides."""
    missing = 2 - len(steps.stride)
    by_channel = tf.reshape(kernel, (steps.groups, -1, *(1,) * missing, *kernel.shape[2:]))
    found = tf.nn.depthwise_conv2d(
        tf.expand_dims(x, 1) if missing else x,
        tf.transpose(by_channel, (2, 3, 0, 1)),
        strides=[1, *steps.stride[:1] * 2, 1],
        padding="VALID",
        dilations=[*(1,) * missing, *steps.dilation],
    )
    return tf.squeeze(found, 1) if missing else found


def _transposed(linear: Callable[[Array], Array], like: Array, grad: Array) -> Array:
    """The transpose of a linear map of arrays like ``like``, at ``grad``."""
    with tf.GradientTape() as tape:
        tape.watch(like)
        found = linear(like)
    return tape.gradient(found, like, output_gradients=grad)


BACKEND = TensorflowBackend()
