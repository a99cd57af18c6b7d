"""CuPy arrays: the NumPy way of working on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import array_api_compat.cupy as xp
import cupy
import numpy as np

from crossohm.backends import Array, Work, convolution
from crossohm.backends.convolution import Steps
from crossohm.backends.fingerprint import fingerprint, halves
from crossohm.backends.quantile import Indexed


@final
class CupyStream:
    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def normal(self, like: Array) -> Array:
        return self._generator.standard_normal(like.shape, dtype=like.dtype)

    def uniform(self, like: Array) -> Array:
        return self._generator.random(like.shape, dtype=like.dtype)


@final
class CupyBackend(Indexed):
    name = "cupy"
    xp = xp

    def asarray(self, value: Any, like: Array) -> Array:
        return cupy.asarray(value, dtype=like.dtype)

    def indices(self, value: Any, like: Array) -> Array:
        return cupy.asarray(value, dtype=cupy.int64)

    def to_numpy(self, value: Array) -> np.ndarray:
        return cupy.asnumpy(value)  # type: ignore[no-any-return]

    def dtype_name(self, value: Array) -> str:
        return value.dtype.name  # type: ignore[no-any-return]

    def astype(self, value: Array, dtype: str) -> Array:
        return value.astype(dtype, copy=False)

    def eager(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def concrete(self, value: Array) -> Array:
        return value

    def fingerprint(self, value: Array) -> int:
        return fingerprint(cupy.asnumpy(value), self.dtype_name(value))

    def digest(self, value: Array) -> Array:
        return cupy.asarray(halves(self.fingerprint(value)))

    def is_traced(self, value: Array) -> bool:
        return False

    def round_within(self, x: Array, first: int, last: int) -> Array:
        return cupy.clip(cupy.rint(x), first, last)

    def convert(self, x: Array, low: float, high: float, decide: Callable[[Array], Array]) -> Array:
        return decide(cupy.clip(x, low, high))

    def add_scaled(self, total: Array, x: Array, factor: Any) -> Array:
        total += factor * x
        return total

    def transposed(self, matrix: Array) -> Array:
        return matrix.T

    def padded(self, vectors: Array) -> Array:
        found = cupy.zeros((vectors.shape[0], vectors.shape[1] + 1), dtype=vectors.dtype)
        found[:, :-1] = vectors
        return found

    def complex_of(self, real: Array, imag: Array) -> Array:
        return real + 1j * imag

    def assigned(self, array: Array, index: tuple[Array, ...], values: Array) -> Array:
        found = cupy.array(array, order="K")
        found[index] = values
        return found

    def assembled(self, shape: tuple[int, int], blocks: Sequence[tuple[slice, slice, Array]]) -> Array:
        found = cupy.zeros(shape, dtype=cupy.result_type(*(block for _, _, block in blocks)))
        for rows, columns, block in blocks:
            found[rows, columns] = block
        return found

    def parted(self, x: Array, count: int, axis: int = -1) -> Sequence[Array]:
        return cupy.split(x, count, axis)  # type: ignore[no-any-return]

    def root(self, x: Array) -> Array:
        return cupy.sqrt(cupy.maximum(x, 0))

    def clip(self, x: Array, low: float, high: float) -> Array:
        return cupy.clip(x, low, high)

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
        return True

    def detached(self, value: Array) -> Array:
        return value

    def inverse_of_positive(self, matrices: Array) -> Array:
        return cupy.linalg.inv(matrices)

    def writable(self, value: Array) -> Array:
        return cupy.array(value, order="C")

    def share_outside(self, value: Array, low: float, high: float) -> float | None:
        driven = int(cupy.count_nonzero(value))
        return int(cupy.count_nonzero(((value < low) | (value > high)) & (value != 0))) / driven if driven else None

    def key(self, like: Array) -> tuple[Any, ...]:
        return ("cupy", like.dtype.name, like.device.id)

    def move(self, value: Array, like: Array) -> Array:
        with like.device:
            return cupy.array(value)

    def operation_rng(self, rng: Any, host: np.random.Generator, x: Array) -> Any:
        return int(host.integers(2**63)) if rng is None else rng

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
        if not stale:
            return kept
        found = work(*map(cupy.asnumpy, inputs))
        return tuple(self.asarray(value, like) for value, like in zip(found, kept, strict=True))

    def stream(self, rng: Any) -> CupyStream:
        return CupyStream(cupy.random.default_rng(rng))


BACKEND = CupyBackend()
