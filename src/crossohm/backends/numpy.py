"""NumPy arrays (and the pattern that CuPy follows)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, final

import array_api_compat.numpy as xp
import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from crossohm.backends import Array, Work, convolution
from crossohm.backends.convolution import Steps
from crossohm.backends.fingerprint import fingerprint, halves
from crossohm.backends.quantile import Indexed


@final
class NumpyStream:
    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator

    def normal(self, like: Array) -> Array:
        return np.asarray(self._generator.standard_normal(like.shape, dtype=_drawn(like)), dtype=like.dtype)

    def uniform(self, like: Array) -> Array:
        return np.asarray(self._generator.random(like.shape, dtype=_drawn(like)), dtype=like.dtype)


def _drawn(like: Array) -> type[np.float32] | type[np.float64]:
    """Dtype in which numbers for ``like`` are drawn."""
    return np.float32 if like.dtype == np.float32 else np.float64


@cache  # NumPy puts the name together anew each time
def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name


def _inverse(matrix: np.ndarray) -> Any:
    """By Cholesky factorisation: half the work of a general inverse."""
    factor, failed = dpotrf(matrix, lower=1, clean=1)
    if failed:
        return np.nan
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    symmetric = inverse + inverse.T  # the upper triangle was empty
    symmetric[np.diag_indices_from(symmetric)] /= 2
    return symmetric


@final
class NumpyBackend(Indexed):
    name = "numpy"
    xp = xp

    def asarray(self, value: Any, like: Array) -> Array:
        return np.asarray(value, dtype=like.dtype)

    def indices(self, value: Any, like: Array) -> Array:
        return np.asarray(value, dtype=np.int64)

    def to_numpy(self, value: Array) -> np.ndarray:
        return np.asarray(value)

    def dtype_name(self, value: Array) -> str:
        return _name(value.dtype)

    def astype(self, value: Array, dtype: str) -> Array:
        return value.astype(dtype, copy=False)

    def eager(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def concrete(self, value: Array) -> Array:
        return value

    def fingerprint(self, value: Array) -> int:
        return fingerprint(value, self.dtype_name(value))

    def digest(self, value: Array) -> Array:
        return halves(self.fingerprint(value))

    def is_traced(self, value: Array) -> bool:
        return False

    def round_within(self, x: Array, first: int, last: int) -> Array:
        whole = np.asarray(x)
        np.rint(whole, out=whole)
        return whole.clip(first, last, out=whole)

    def convert(self, x: Array, low: float, high: float, decide: Callable[[Array], Array]) -> Array:
        return decide(np.clip(x, low, high))

    def add_scaled(self, total: Array, x: Array, factor: Any) -> Array:
        total += factor * x
        return total

    def transposed(self, matrix: Array) -> Array:
        return matrix.T

    def padded(self, vectors: Array) -> Array:
        found = np.zeros((vectors.shape[0], vectors.shape[1] + 1), dtype=vectors.dtype)
        found[:, :-1] = vectors
        return found

    def complex_of(self, real: Array, imag: Array) -> Array:
        return real + 1j * imag

    def assigned(self, array: Array, index: tuple[Array, ...], values: Array) -> Array:
        found = np.array(array, order="K")
        found[index] = values
        return found

    def assembled(self, shape: tuple[int, int], blocks: Sequence[tuple[slice, slice, Array]]) -> Array:
        found = np.zeros(shape, dtype=np.result_type(*(block for _, _, block in blocks)))
        for rows, columns, block in blocks:
            found[rows, columns] = block
        return found

    def parted(self, x: Array, count: int, axis: int = -1) -> Sequence[Array]:
        size, before = x.shape[axis] // count, (slice(None),) * (axis % x.ndim)
        return [x[(*before, slice(part * size, (part + 1) * size))] for part in range(count)]

    def root(self, x: Array) -> Array:
        return np.sqrt(np.maximum(x, 0))

    def clip(self, x: Array, low: float, high: float) -> Array:
        return np.asarray(x).clip(low, high)

    def straight_through(self, value: Array, surrogate: Array) -> Array:
        return value

    def differentiates(self, value: Array) -> bool:
        return False

    def with_gradient(
        self,
        forward: Callable[..., Array],
        backward: Callable[..., Sequence[Array | None]],
        inputs: Sequence[Array | None],
        kept: Sequence[Array | None],
        batched: bool = False,
    ) -> Array:
        return forward(*inputs)

    def pulled_back(self, function: Callable[[Array], Array], value: np.ndarray, grad: np.ndarray, like: Array) -> Any:
        return None

    def on_accelerator(self, value: Array) -> bool:
        return False

    def detached(self, value: Array) -> Array:
        return value

    def inverse_of_positive(self, matrices: Array) -> Array:
        found = np.empty_like(matrices)
        for index in np.ndindex(matrices.shape[:-2]):
            found[index] = _inverse(matrices[index])
        return found

    def writable(self, value: Array) -> Array:
        return np.array(value, order="C")

    def share_outside(self, value: Array, low: float, high: float) -> float | None:
        driven = int(np.count_nonzero(value))
        return int(np.count_nonzero(((value < low) | (value > high)) & (value != 0))) / driven if driven else None

    def key(self, like: Array) -> tuple[Any, ...]:
        return ("numpy", like.dtype)

    def move(self, value: Array, like: Array) -> Array:
        return value

    def operation_rng(self, rng: Any, host: np.random.Generator, x: Array) -> Any:
        return host if rng is None else rng

    def convolve(self, x: Array, kernel: Array, steps: Steps, bias: Array | None = None) -> Array:
        found = convolution.convolve(xp, x, kernel, steps)
        return found if bias is None else found + bias.reshape(-1, *(1,) * (x.ndim - 2))

    def convolution_input_gradient(self, grad: Array, kernel: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        return convolution.input_gradient(xp, grad, kernel, shape, steps)

    def convolution_kernel_gradient(self, grad: Array, x: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        return convolution.kernel_gradient(xp, grad, x, shape, steps)

    def taps_of(self, x: Array, taps: tuple[int, ...], steps: Steps) -> Array:
        return convolution.taps_of(xp, x, taps, steps)

    def renewed(self, stale: Array, kept: tuple[Array, ...], work: Work, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return tuple(map(np.asarray, work(*inputs))) if stale else kept

    def stream(self, rng: Any) -> NumpyStream:
        return NumpyStream(np.random.default_rng(rng))


BACKEND = NumpyBackend()
