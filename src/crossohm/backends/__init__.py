"""One small adapter per array library, found by looking at the arrays that are passed in.

The physics is written against the array API standard: ``backend_of(x).xp`` is the namespace to compute in. An adapter
adds the few things the standard lacks: random draws, rounding with a useful gradient, and the way to and
from the host. No array library is imported unless one of its arrays arrives.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Protocol

import numpy as np

from crossohm.backends.convolution import Steps
from crossohm.errors import InputError

Array = Any  # an array of any supported library; the array API standard has no nominal type


#: What the host does with the values of arrays.
Work = Callable[..., tuple[np.ndarray, ...]]


class Stream(Protocol):
    """Random draws made by the array library itself."""

    def normal(self, like: Array) -> Array: ...

    def uniform(self, like: Array) -> Array: ...


class Backend(Protocol):
    """What the physics needs beyond the array API standard."""

    name: str
    xp: Any

    def asarray(self, value: Any, like: Array) -> Array:
        """Host numbers as an array with the dtype and device of ``like``."""

    def indices(self, value: Any, like: Array) -> Array:
        """Host integers as an index array on the device of ``like``."""

    def to_numpy(self, value: Array) -> np.ndarray:
        """A host copy or view, detached from any gradient tape."""

    def dtype_name(self, value: Array) -> str:
        """The dtype as NumPy spells it, e.g. ``"float32"``."""

    def astype(self, value: Array, dtype: str) -> Array:
        """``value`` with the named dtype; no copy when it has it already."""

    def eager(self) -> AbstractContextManager[Any]:
        """Context for constants that are kept: made at once, whatever traces or transforms the present call."""

    def concrete(self, value: Array) -> Array:
        """The array with actual values behind what a transform of the library has wrapped, without gradient.

        Raises:
            UnsupportedError: there is no one such array.
        """

    def fingerprint(self, value: Array) -> int:
        """A number that tells whether values changed, see `crossohm.backends.fingerprint`."""

    def digest(self, value: Array) -> Array:
        """A hash of the bits of an array, computed where it lives, also while it is traced: two 32-bit integers.

        A change of one element always changes it; other changes leave it as it was with a probability below 2^-30.
        Libraries need not agree on it.
        """

    def is_traced(self, value: Array) -> bool:
        """True where values are not known yet (JAX under jit, grad or vmap, TensorFlow under `tf.function`)."""

    def round_within(self, x: Array, first: int, last: int) -> Array:
        """Nearest whole numbers from ``first`` to ``last``, ties to even ones.

        The gradient is that of `convert`. ``x`` is consumed: its memory may hold the result.
        """

    def convert(self, x: Array, low: float, high: float, decide: Callable[[Array], Array]) -> Array:
        """``decide`` of ``x`` limited to ``[low, high]``: what any converter does.

        The gradient passes straight through inside the range and is zero where the input clips; an input that only
        rounding puts beyond a limit is inside (`beyond`). ``decide`` gets numbers of its own, without gradient.
        """

    def add_scaled(self, total: Array, x: Array, factor: Any) -> Array:
        """``total + factor * x``, the factor a float or an array, ``()`` or of the same shape.

        ``total`` is consumed: its memory may hold the result.
        """

    def transposed(self, matrix: Array) -> Array:
        """Rows as columns; a view where the library has views."""

    def padded(self, vectors: Array) -> Array:
        """Vectors ``(count, length)`` with a zero behind each."""

    def complex_of(self, real: Array, imag: Array) -> Array:
        """Complex numbers of real ones of one dtype."""

    def looked_up(self, table: Array, index: Array) -> Array:
        """The entries of ``table`` ``(n,)`` at integers of any shape."""

    def between(self, ordered: Array, fraction: float) -> Array:
        """What lies at ``fraction`` of the way from the first to the last entry of rows ``(rows, n)``, ``(rows,)``.

        Linearly interpolated.
        """

    def assigned(self, array: Array, index: tuple[Array, ...], values: Array) -> Array:
        """A copy of ``array`` with ``values`` at ``index``."""

    def assembled(self, shape: tuple[int, int], blocks: Sequence[tuple[slice, slice, Array]]) -> Array:
        """A matrix of zeros with blocks in it, each given by its rows and columns; differentiable by the blocks."""

    def parted(self, x: Array, count: int, axis: int = -1) -> Sequence[Array]:
        """``x`` cut along one axis into equal parts, maybe views."""

    def root(self, x: Array) -> Array:
        """Square root, zero where rounding left ``x`` below zero; finite gradient everywhere. ``x`` is consumed."""

    def clip(self, x: Array, low: float, high: float) -> Array:
        """``x`` limited to ``[low, high]``; the gradient passes inside, limits included."""

    def straight_through(self, value: Array, surrogate: Array) -> Array:
        """``value`` itself, with the gradient of ``surrogate`` (finite, same shape and dtype)."""

    def differentiates(self, value: Array) -> bool:
        """True if what is computed of ``value`` may be asked for its derivative by ``value``."""

    def with_gradient(
        self,
        forward: Callable[..., Array],
        backward: Callable[..., Sequence[Array | None]],
        inputs: Sequence[Array | None],
        kept: Sequence[Array | None],
        batched: bool = False,
    ) -> Array:
        """``forward(*inputs)``, one array, whose derivative is what ``backward`` says; no second derivative.

        Args:
            forward: Free of gradients of its own.
            backward: Gets the gradient of the result, then ``kept``; returns the gradient of each input, None where
                there is none. It may be called often, or never.
            inputs: Of floats or integers; None where an input is left out.
            kept: What ``backward`` uses of inputs and other arrays. Name all of it here: a function that is traced or
                transformed hands over other arrays than those that a closure would find.
            batched: Samples lie along the first axis of the last input, of what is kept of it, and of the result, and
                know nothing of each other: PyTorch's vmap then passes all its samples at once, not one by one.

        Raises:
            UnsupportedError: PyTorch's vmap over another input than the last.
        """

    def pulled_back(self, function: Callable[[Array], Array], value: np.ndarray, grad: np.ndarray, like: Array) -> Any:
        """Gradient of ``value`` for ``grad``, that of ``function(value)``, computed on the device of ``like``.

        A host array, or None where the library differentiates compiled functions only, not one operation after another.
        """

    def on_accelerator(self, value: Array) -> bool:
        """True if ``value`` lives on a device of its own that long float64 computations should use."""

    def detached(self, value: Array) -> Array:
        """``value`` without gradient."""

    def inverse_of_positive(self, matrices: Array) -> Array:
        """Inverses of symmetric positive definite matrices ``(..., n, n)``; NaN in place of one that is not."""

    def writable(self, value: Array) -> Array:
        """``value`` in memory of its own, for code that may write on it; itself where arrays cannot be changed."""

    def share_outside(self, value: Array, low: float, high: float) -> float | None:
        """Share of the elements other than zero that lie outside ``[low, high]``.

        None where there are none, or where they are not known yet (while a function is traced or transformed).
        """

    def key(self, like: Array) -> tuple[Any, ...]:
        """What a plan's numbers depend on: library, dtype and, where libraries tell them apart, device of ``like``."""

    def move(self, value: Array, like: Array) -> Array:
        """``value``, in its own dtype, on the device of ``like``."""

    def operation_rng(self, rng: Any, host: np.random.Generator, x: Array) -> Any:
        """The generator for one operation on ``x``: ``rng``, or the default where none is given.

        NumPy and CuPy default to the core's own stream ``host``, PyTorch and TensorFlow to their global generators, JAX
        to a fresh key from ``host`` outside of tracing.
        """

    def convolve(self, x: Array, kernel: Array, steps: Steps, bias: Array | None = None) -> Array:
        """A convolution: ``(batch, channels, *size)`` with ``(outputs, channels of a group, *taps)``; plus ``bias``."""

    def convolution_input_gradient(self, grad: Array, kernel: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        """Gradient of the inputs, of ``shape``, of `convolve` for that of its outputs."""

    def convolution_kernel_gradient(self, grad: Array, x: Array, shape: tuple[int, ...], steps: Steps) -> Array:
        """Gradient of the kernel, of ``shape``, of `convolve` for that of its outputs."""

    def taps_of(self, x: Array, taps: tuple[int, ...], steps: Steps) -> Array:
        """What each tap of a kernel meets at each position, ``(batch, *positions, channels, *taps)``; maybe a view."""

    def renewed(self, stale: Array, kept: tuple[Array, ...], work: Work, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """``kept``, or, where ``stale`` is true, what ``work`` makes on the host of the values of ``inputs``.

        Also in functions that are compiled: the host is called while they run, and only then.

        Args:
            stale: A truth value ``()``.
            kept: Arrays; ``work`` returns as many of the same shapes.
            work: Gets and returns NumPy arrays.
            inputs: Arrays, without gradient.
        """

    def stream(self, rng: Any) -> Stream:
        """Random draws from the library's own generator ``rng``.

        A ``numpy.random.Generator``, ``cupy.random.Generator``, ``torch.Generator`` or ``tf.random.Generator``, a JAX
        key, or in any library two integers as an array ``(2,)``, from which all draws of the operation follow: what
        ``keras.random.SeedGenerator`` gives.

        Raises:
            InputError: it is none of these.
        """


#: Rounding errors, in units of the last place of the larger limit, by which a number at a limit may exceed it.
_ROUNDING = 16


def beyond(low: float, high: float, resolution: float) -> tuple[float, float]:
    """Limits just far enough outside of ``low`` and ``high`` that rounding puts no number at a limit beyond them.

    Args:
        low: Lower limit.
        high: Upper limit.
        resolution: Distance of one to the next number of the dtype.
    """
    slack = _ROUNDING * resolution * max(abs(low), abs(high))
    return low - slack, high + slack


_LIBRARIES = ("numpy", "torch", "jax", "jaxlib", "tensorflow", "cupy")
_MODULES = {"jaxlib": "jax"}


@cache
def _backend(library: str) -> Backend:
    module = importlib.import_module(f"crossohm.backends.{_MODULES.get(library, library)}")
    return module.BACKEND  # type: ignore[no-any-return]


@cache
def _backend_of_type(kind: type) -> Backend | None:
    for base in kind.__mro__:
        library = base.__module__.partition(".")[0]
        if library in _LIBRARIES:
            return _backend(library)
    return None


def backend_of(value: Array) -> Backend:
    """The adapter for the library ``value`` belongs to.

    Raises:
        InputError: ``value`` is not an array of a supported library.
    """
    backend = _backend_of_type(type(value))  # type: ignore[arg-type] # types are hashable
    if backend is None:
        raise InputError(
            f"expected an array of NumPy, PyTorch, JAX, TensorFlow or CuPy, got {type(value).__name__}; "
            "wrap it with numpy.asarray() or the library's own constructor"
        )
    return backend


def is_array(value: Any) -> bool:
    """True if ``value`` is an array of a supported library."""
    return _backend_of_type(type(value)) is not None  # type: ignore[arg-type] # types are hashable
