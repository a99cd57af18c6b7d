"""The NumPy-like face: everything a core and its views have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol, cast, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain.indexing import Region, is_whole
from crossohm.chain.intake import as_array
from crossohm.chain.numpy_operand import NumpyOperand
from crossohm.chain.operation import Operation
from crossohm.errors import InputError, ShapeError


class Owner(Protocol):
    """The core that a view is a part of."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its matrix."""

    @property
    def dtype(self) -> Any:
        """Of its matrix."""

    def get_matrix(self) -> np.ndarray:
        """The matrix the conductances represent."""

    def write(self, region: Region, values: np.ndarray) -> None:
        """Write ``values`` at ``region``."""

    def multiply(self, operation: Operation, x: Array, rng: Any) -> Array:
        """Outputs ``(count, outputs)`` for vectors ``(count, length)``."""


class MatrixFace(NumpyOperand):
    """A matrix, transposed matrix, sub-matrix or row of an `AnalogCore`, with NumPy's multiplication rules.

    A view multiplies by driving the whole core: inputs it does not cover are driven with zero, outputs it does not
    cover are dropped. All rows and columns of the arrays are therefore simulated, as in hardware.
    """

    _core: Owner
    _region: Region
    _transposed: bool = False

    # --- shape --------------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape as NumPy would give it."""
        return self._region.shape[::-1] if self._transposed else self._region.shape

    @property
    def ndim(self) -> int:  # type: ignore[override]
        """Number of dimensions: 2, or less for views with integer keys."""
        return len(self._region.kept)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    @property
    @abstractmethod
    def dtype(self) -> Any:
        """Dtype of the matrix, as NumPy knows it (``"bfloat16"`` as a string)."""

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a zero-dimensional view")
        return self.shape[0]

    @property
    def T(self) -> MatrixFace:
        """The transpose, without copying; of a vector, the vector itself."""
        if self.ndim < 2:
            return self
        return _face(self._core, self._region, not self._transposed)

    def transpose(self) -> MatrixFace:
        """The transpose; same as ``T``."""
        return self.T

    # --- parts --------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> MatrixFace:
        return _face(self._core, self._select(key), self._transposed)

    def __setitem__(self, key: Any, value: Any) -> None:
        region = self._select(key)
        shape = region.shape[::-1] if self._transposed else region.shape
        given = as_array(value)
        host = backend_of(given).to_numpy(given)
        if host.dtype.kind not in "fiubc":
            raise InputError(f"value has dtype {host.dtype}; a core holds numbers")
        try:
            spread = np.broadcast_to(host, shape)
        except ValueError:
            raise ShapeError(f"value of shape {host.shape} does not fit the region of shape {shape}") from None
        matrix = spread.T if self._transposed else spread
        self._core.write(region, matrix.reshape(len(region.rows), len(region.columns)))

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def _select(self, key: Any) -> Region:
        if not self._transposed:
            return self._region.select(key)
        mirrored = Region(self._region.columns, self._region.rows, _mirror(self._region.kept)).select(key)
        return Region(mirrored.columns, mirrored.rows, _mirror(mirrored.kept))

    # --- reading ------------------------------------------------------------------------------------------------------

    def __float__(self) -> float:
        return float(self._scalar())

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def _scalar(self) -> Any:
        if self.size != 1:
            raise TypeError(f"only a single element converts to a number; this view has shape {self.shape}")
        return self.get_matrix().reshape(())[()]

    def __str__(self) -> str:
        return str(self.get_matrix())

    # --- multiplying --------------------------------------------------------------------------------------------------

    def matvec(self, vector: Any, *, rng: Any = None) -> Array:
        """``A @ v`` for ``v`` of shape ``(N,)`` or ``(N, 1)``; result ``(M,)`` or ``(M, 1)``.

        Args:
            vector: The inputs.
            rng: Generator of the input's library, for noise drawn per operation: ``numpy.random.Generator``,
                ``torch.Generator``, ``tf.random.Generator`` or a JAX key. By default the core's own stream, or the
                global one of PyTorch and TensorFlow.

        Raises:
            ShapeError: sizes do not fit.
            InputError: not numbers, or complex numbers on real hardware.
        """
        x = _as_array(vector)
        columns = self._sizes("matvec")[1]
        if tuple(x.shape) not in ((columns,), (columns, 1)):
            raise ShapeError(
                f"matvec: vector of shape {tuple(x.shape)} does not fit {self.shape}; expected ({columns},)"
            )
        return self._right(x, rng)

    def vecmat(self, vector: Any, *, rng: Any = None) -> Array:
        """``v @ A`` for ``v`` of shape ``(M,)`` or ``(1, M)``; result ``(N,)`` or ``(1, N)``. See `matvec`."""
        x = _as_array(vector)
        rows = self._sizes("vecmat")[0]
        if tuple(x.shape) not in ((rows,), (1, rows)):
            raise ShapeError(f"vecmat: vector {tuple(x.shape)} does not fit {self.shape}; expected ({rows},)")
        return self._left(x, rng)

    def matmat(self, matrix: Any, *, rng: Any = None) -> Array:
        """``A @ X`` for ``X`` of shape ``(..., N, K)``; result ``(..., M, K)``. See `matvec`."""
        self._sizes("matmat")
        return self._right(_at_least_2d(_as_array(matrix), "matmat"), rng)

    def rmatmat(self, matrix: Any, *, rng: Any = None) -> Array:
        """``X @ A`` for ``X`` of shape ``(..., K, M)``; result ``(..., K, N)``. See `matvec`."""
        self._sizes("rmatmat")
        return self._left(_at_least_2d(_as_array(matrix), "rmatmat"), rng)

    def matmul(self, x: Any, *, rng: Any = None) -> Array:
        """``np.matmul(A, x)`` in analog. See `matvec`."""
        return self._right(_as_array(x), rng)

    def rmatmul(self, x: Any, *, rng: Any = None) -> Array:
        """``np.matmul(x, A)`` in analog. See `matvec`."""
        return self._left(_as_array(x), rng)

    def dot(self, x: Any, *, rng: Any = None) -> Array:
        """``np.dot(A, x)`` in analog: for stacks, the matrix's row axis comes first. See `matvec`."""
        given = _as_array(x)
        y = self._right(given, rng)
        if given.ndim <= 2 or self.ndim == 1:
            return y
        return backend_of(y).xp.moveaxis(y, -2, 0)

    def rdot(self, x: Any, *, rng: Any = None) -> Array:
        """``np.dot(x, A)`` in analog. See `matvec`."""
        return self._left(_as_array(x), rng)

    def __matmul__(self, x: Any) -> Array:
        return self.matmul(x)

    def __rmatmul__(self, x: Any) -> Array:
        return self.rmatmul(x)

    def _sizes(self, operation: str) -> tuple[int, int]:
        if self.ndim != 2:
            raise ShapeError(f"{operation} needs a two-dimensional core or view; this one has shape {self.shape}")
        return self.shape[0], self.shape[1]

    def _right(self, x: Array, rng: Any) -> Array:
        """``A @ x`` by NumPy's rules."""
        shape = self.shape
        if not shape or x.ndim == 0:
            raise ShapeError(f"@ needs at least one dimension on both sides; got {shape} and {tuple(x.shape)}")
        length = shape[-1]
        if x.shape[0 if x.ndim == 1 else -2] != length:
            raise ShapeError(f"shapes {shape} and {tuple(x.shape)} do not fit for @: {length} inputs expected")
        if x.ndim == 1:
            return self._product(x[None], self._last_axis, rng)[0]
        backend = backend_of(x)
        xp = backend.xp
        vectors = backend.transposed(x) if x.ndim == 2 else xp.moveaxis(x, -2, -1)
        y = self._product(_as_vectors(vectors), self._last_axis, rng)
        if len(shape) == 1:
            return xp.reshape(y, vectors.shape[:-1])
        if x.ndim == 2:
            return backend.transposed(y)
        return xp.moveaxis(xp.reshape(y, (*vectors.shape[:-1], y.shape[1])), -1, -2)

    def _left(self, x: Array, rng: Any) -> Array:
        """``x @ A`` by NumPy's rules: the last axis of ``x`` meets the first of A."""
        if self.ndim == 0 or x.ndim == 0:
            raise ShapeError(f"@ needs at least one dimension on both sides; got {tuple(x.shape)} and {self.shape}")
        if x.shape[-1] != self.shape[0]:
            raise ShapeError(
                f"shapes {tuple(x.shape)} and {self.shape} do not fit for @: {self.shape[0]} inputs expected"
            )
        xp = backend_of(x).xp
        y = self._product(_as_vectors(x), self._first_axis, rng)
        if self.ndim == 1:
            return xp.reshape(y, x.shape[:-1]) if x.ndim > 1 else y[0]
        return xp.reshape(y, (*x.shape[:-1], y.shape[1]))

    @cached_property
    def _last_axis(self) -> _Lines:
        """The lines in use where inputs meet this view's last axis."""
        if self.ndim == 1:
            operation = Operation.MVM if self._region.kept == (1,) else Operation.VMM
        else:
            operation = Operation.VMM if self._transposed else Operation.MVM
        return _lines(self._region, self._core.shape, operation)

    @cached_property
    def _first_axis(self) -> _Lines:
        """The lines in use where inputs meet this view's first axis; a vector has but one."""
        if self.ndim == 1:
            return self._last_axis
        return _lines(self._region, self._core.shape, Operation.MVM if self._transposed else Operation.VMM)

    def _product(self, vectors: Array, lines: _Lines, rng: Any) -> Array:
        """Outputs ``(count, outputs)`` of this view for inputs ``(count, length)``; ``(count,)`` of a vector."""
        if lines.driven is not None:
            vectors = _embed(vectors, lines.driven)
        y = self._core.multiply(lines.operation, vectors, rng)
        if lines.read is None:
            return y
        if isinstance(lines.read, int):
            return y[:, lines.read]
        backend = backend_of(y)
        return backend.xp.take(y, backend.indices(lines.read, y), axis=1)


@final
@dataclass(frozen=True)
class _Lines:
    """The lines of a core that a view drives and reads.

    Attributes:
        operation: Which product of the core.
        driven: For every input line of the core, the input of the view that drives it, or their number for those that
            none does; None: the view's inputs are the core's.
        read: Output lines of the core that are the view's outputs; one line of a vector; None: all.
    """

    operation: Operation
    driven: np.ndarray | None
    read: np.ndarray | int | None


def _lines(region: Region, shape: tuple[int, ...], operation: Operation) -> _Lines:
    """How ``operation`` uses a core of ``shape`` for the part ``region``."""
    outputs, inputs = operation.order(0, 1)
    axes = (region.rows, region.columns)
    driven: np.ndarray | None = None
    if not is_whole(axes[inputs], shape[inputs]):
        driven = np.full(shape[inputs], len(axes[inputs]))
        driven[axes[inputs]] = np.arange(len(axes[inputs]))
    read: np.ndarray | int | None = None if is_whole(axes[outputs], shape[outputs]) else axes[outputs]
    return _Lines(operation, driven, int(axes[outputs][0]) if len(region.kept) == 1 else read)


@final
class View(MatrixFace):
    """Part of a core, or its transpose; shares the core's arrays."""

    def __init__(self, core: Owner, region: Region, transposed: bool) -> None:
        self._core = core
        self._region = region
        self._transposed = transposed

    @property
    def dtype(self) -> Any:
        return self._core.dtype

    def get_matrix(self) -> np.ndarray:
        """The values the programmed conductances represent; see `AnalogCore.get_matrix`."""
        part = self._region.matrix(self._core.get_matrix())
        return part.T if self._transposed else part

    def set_matrix(self, matrix: Any) -> None:
        """Write all values of this view."""
        self[...] = matrix

    def __repr__(self) -> str:
        return f"<view of {self._core!r} with shape {self.shape}>"


def _face(core: Owner, region: Region, transposed: bool) -> MatrixFace:
    """A view, or the core itself where the view would be all of it."""
    if not transposed and region.covers(core.shape):
        return cast("MatrixFace", core)
    return View(core, region, transposed)


def _mirror(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(1 - axis for axis in axes))


def _as_array(value: Any) -> Array:
    """Inputs as an array of a supported library; numbers only."""
    if isinstance(value, MatrixFace):
        raise InputError("both operands are analog cores; read one with get_matrix() first")
    array = as_array(value)
    name = backend_of(array).dtype_name(array)
    if not _is_number(name):
        raise InputError(f"input has dtype {name}; expected real, integer or complex numbers up to 64 bits per part")
    return array


@cache  # asked for in every product
def _is_number(dtype: str) -> bool:
    kinds = ("float", "int", "uint", "bool", "complex", "bfloat")
    return dtype.startswith(kinds) and dtype not in ("float128", "complex256")


def _as_vectors(x: Array) -> Array:
    """All leading axes as one, ``(count, length)``; also where one of them is empty."""
    return backend_of(x).xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _at_least_2d(x: Array, operation: str) -> Array:
    if x.ndim < 2:
        raise ShapeError(f"{operation}: input of shape {tuple(x.shape)} is no matrix; use matvec or vecmat for vectors")
    return x


def _embed(vectors: Array, driven: np.ndarray) -> Array:
    """Inputs placed at the lines they drive; zero at the others."""
    backend = backend_of(vectors)
    return backend.xp.take(backend.padded(vectors), backend.indices(driven, vectors), axis=1)
