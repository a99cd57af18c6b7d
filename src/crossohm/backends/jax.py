"""JAX arrays, also while they are traced by jit, grad or vmap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from crossohm.backends import Array, Work, beyond, convolution
from crossohm.backends.convolution import Steps
from crossohm.backends.fingerprint import fingerprint
from crossohm.backends.quantile import Indexed
from crossohm.errors import InputError, UnsupportedError


@final
class JaxStream:
    """Splits the key it was given before each draw."""

    def __init__(self, key: Array) -> None:
        self._key = key

    def _next(self) -> Array:
        self._key, key = jax.random.split(self._key)
        return key

    def normal(self, like: Array) -> Array:
        return self._drawn(jax.random.normal, like)

    def uniform(self, like: Array) -> Array:
        return self._drawn(jax.random.uniform, like)

    def _drawn(self, draw: Callable[..., Array], like: Array) -> Array:
        with jax.disable_jit(False):  # operation by operation, bits of random numbers take seconds
            return draw(self._next(), like.shape, like.dtype)


@final
class JaxBackend(Indexed):
    name = "jax"
    xp = jnp

    def asarray(self, value: Any, like: Array) -> Array:
        return jnp.asarray(value, dtype=like.dtype)

    def indices(self, value: Any, like: Array) -> Array:
        return jnp.asarray(np.asarray(value))

    def to_numpy(self, value: Array) -> np.ndarray:
        return np.asarray(jax.lax.stop_gradient(value) if self.is_traced(value) else value)

    def dtype_name(self, value: Array) -> str:
        return str(value.dtype)

    def astype(self, value: Array, dtype: str) -> Array:
        return value.astype(jax.dtypes.canonicalize_dtype(dtype))

    def eager(self) -> AbstractContextManager[Any]:
        return jax.ensure_compile_time_eval()  # type: ignore[no-any-return]

    def concrete(self, value: Array) -> Array:
        if self.is_traced(value):
            raise UnsupportedError(
                "values are not known while jax.jit, grad or vmap traces a function; arrays are written outside of it"
            )
        return value

    def fingerprint(self, value: Array) -> int:
        return fingerprint(np.asarray(self.concrete(value)), self.dtype_name(value))

    def digest(self, value: Array) -> Array:
        return jax.jit(_digest)(jax.lax.stop_gradient(value))

    def is_traced(self, value: Array) -> bool:
        return isinstance(value, jax.core.Tracer)

    def round_within(self, x: Array, first: int, last: int) -> Array:
        return self.convert(x, first, last, jnp.round)

    def convert(self, x: Array, low: float, high: float, decide: Callable[[Array], Array]) -> Array:
        surrogate = self.clip(x, *beyond(low, high, float(jnp.finfo(x.dtype).eps)))
        return self.straight_through(decide(jax.lax.stop_gradient(jnp.clip(x, low, high))), surrogate)

    def add_scaled(self, total: Array, x: Array, factor: Any) -> Array:
        return total + factor * x

    def transposed(self, matrix: Array) -> Array:
        return matrix.T

    def padded(self, vectors: Array) -> Array:
        return jnp.pad(vectors, ((0, 0), (0, 1)))

    def complex_of(self, real: Array, imag: Array) -> Array:
        return real + 1j * imag

    def assigned(self, array: Array, index: tuple[Array, ...], values: Array) -> Array:
        return array.at[index].set(values)

    def assembled(self, shape: tuple[int, int], blocks: Sequence[tuple[slice, slice, Array]]) -> Array:
        found = jnp.zeros(shape, dtype=jnp.result_type(*(block for _, _, block in blocks)))
        for rows, columns, block in blocks:
            found = found.at[rows, columns].set(block)
        return found

    def parted(self, x: Array, count: int, axis: int = -1) -> Sequence[Array]:
        return jnp.split(x, count, axis)

    def root(self, x: Array) -> Array:
        positive = x > 0
        return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)

    def clip(self, x: Array, low: float, high: float) -> Array:
        # jnp.clip gives a number at a limit, such as a zero where unsigned inputs begin, half its gradient.
        return jnp.where(x < low, low, jnp.where(x > high, high, x))

    def straight_through(self, value: Array, surrogate: Array) -> Array:
        return _straight_through(value, surrogate) if self.is_traced(surrogate) else value

    def differentiates(self, value: Array) -> bool:
        return self.is_traced(value)

    def with_gradient(
        self,
        forward: Callable[..., Array],
        backward: Callable[..., Sequence[Array | None]],
        inputs: Sequence[Array | None],
        kept: Sequence[Array | None],
        batched: bool = False,
    ) -> Array:
        def value(inputs: tuple[Any, ...], kept: tuple[Any, ...]) -> Array:
            return forward(*inputs)

        def gradient(left: tuple[Any, Any], grad: Array) -> tuple[Any, None]:
            (inputs, kept) = left
            return tuple(map(_of_dtype, backward(grad, *kept), inputs)), None

        product = jax.custom_vjp(value)
        product.defvjp(lambda inputs, kept: (forward(*inputs), (inputs, kept)), gradient)
        return product(tuple(inputs), tuple(kept))

    def pulled_back(self, function: Callable[[Array], Array], value: np.ndarray, grad: np.ndarray, like: Array) -> Any:
        return None

    def on_accelerator(self, value: Array) -> bool:
        if self.is_traced(value) or not jax.config.jax_enable_x64:
            return False
        return any(device.platform != "cpu" for device in value.devices())

    def detached(self, value: Array) -> Array:
        return jax.lax.stop_gradient(value)

    def inverse_of_positive(self, matrices: Array) -> Array:
        factor = jnp.linalg.cholesky(matrices)  # NaN where it fails
        identity = jnp.broadcast_to(jnp.eye(matrices.shape[-1], dtype=matrices.dtype), matrices.shape)
        return jax.scipy.linalg.cho_solve((factor, True), identity)

    def writable(self, value: Array) -> Array:
        return value

    def share_outside(self, value: Array, low: float, high: float) -> float | None:
        if self.is_traced(value):
            return None
        with self.eager():  # a constant of a function that is traced has values
            driven = int(jnp.count_nonzero(value))
            return int(jnp.count_nonzero(((value < low) | (value > high)) & (value != 0))) / driven if driven else None

    def key(self, like: Array) -> tuple[Any, ...]:
        return ("jax", str(like.dtype))

    def move(self, value: Array, like: Array) -> Array:
        return value

    def operation_rng(self, rng: Any, host: np.random.Generator, x: Array) -> Any:
        if rng is None and not self.is_traced(x):
            return jax.random.key(int(host.integers(2**63)))
        return rng

    def convolve(self, x: Array, kernel: Array, steps: Steps, bias: Array | None = None) -> Array:
        found = jax.lax.conv_general_dilated(
            x,
            kernel,
            window_strides=steps.stride,
            padding=[(margin, margin) for margin in steps.margin],
            rhs_dilation=steps.dilation,
            feature_group_count=steps.groups,
        )
        return found if bias is None else found + bias.reshape(-1, *(1,) * (x.ndim - 2))

    def convolution_input_gradient(self, grad: Array, kernel: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        def outputs(x: Array) -> Array:
            return self.convolve(x, kernel, steps)

        (found,) = jax.linear_transpose(outputs, jax.ShapeDtypeStruct(shape, grad.dtype))(grad)
        return found

    def convolution_kernel_gradient(self, grad: Array, x: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        def outputs(kernel: Array) -> Array:
            return self.convolve(x, kernel, steps)

        (found,) = jax.linear_transpose(outputs, jax.ShapeDtypeStruct(shape, grad.dtype))(grad)
        return found

    def taps_of(self, x: Array, taps: tuple[int, ...], steps: Steps) -> Array:
        return convolution.taps_of(jnp, x, taps, steps)

    def renewed(self, stale: Array, kept: tuple[Array, ...], work: Work, inputs: Sequence[Array]) -> tuple[Array, ...]:
        shapes = tuple(jax.ShapeDtypeStruct(value.shape, value.dtype) for value in kept)

        def called(*values: Any) -> tuple[np.ndarray, ...]:
            found = work(*map(np.asarray, values))
            return tuple(np.asarray(value, shape.dtype) for value, shape in zip(found, shapes, strict=True))

        found: tuple[Array, ...] = jax.lax.cond(stale, lambda: jax.pure_callback(called, shapes, *inputs), lambda: kept)
        return found

    def stream(self, rng: Any) -> JaxStream:
        if rng is None:
            raise InputError(
                "rng = None: this hardware draws noise in every multiplication, and under jax.jit, grad or vmap the "
                "key must come from you; call core.matmul(x, rng=jax.random.key(...)) with a fresh key each time"
            )
        if not jnp.issubdtype(rng.dtype, jax.dtypes.prng_key):
            rng = jax.random.wrap_key_data(jnp.asarray(rng, jnp.uint32), impl="threefry2x32")
        return JaxStream(rng)


def _value(value: Array, surrogate: Array) -> Array:
    """``value``; where nobody differentiates, compilers drop the surrogate."""
    return value


def _surrogate_tangent(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    return _straight_through(*primals), tangents[1]


_straight_through = jax.custom_jvp(_value)
_straight_through.defjvp(_surrogate_tangent)


def _of_dtype(grad: Array | None, value: Array | None) -> Array | None:
    """A gradient in the dtype of its input; None for integers, which have none."""
    known = grad is not None and value is not None and jnp.issubdtype(value.dtype, jnp.inexact)
    return grad.astype(value.dtype) if known else None  # type: ignore[union-attr]


def _digest(value: Array) -> Array:
    """Sums of the bits of every element, mixed with its position in two ways; 64-bit integers may be switched off."""
    if value.dtype == bool:
        value = value.astype(jnp.uint8)
    width = 8 * min(value.dtype.itemsize, 4)
    words = jax.lax.bitcast_convert_type(value, jnp.dtype(f"uint{width}")).reshape(-1).astype(jnp.uint32)
    place = jax.lax.iota(jnp.uint32, words.size)
    sums = [
        jnp.sum(_mix(words + _mix(place + jnp.uint32(start))), dtype=jnp.uint32) for start in (0x9E3779B9, 0x7F4A7C15)
    ]
    return jnp.stack(sums)


def _mix(words: Array) -> Array:
    """Other integers that look random, one for each; different ones stay different."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words = (words ^ (words >> shift)) * jnp.uint32(factor)
    return words ^ (words >> 16)


BACKEND = JaxBackend()
