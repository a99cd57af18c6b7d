"""The linear map a core performs, as the front end sees it: a matrix product, a convolution, any batched map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol, final

from crossohm.backends import Array, backend_of

Kernel = Any


class Contraction(Protocol):
    """How inputs meet a piece of the matrix.

    Inputs have shape ``(batch, features, *positions)``, outputs ``(batch, outputs, *positions)``. A piece covers the
    matrix columns ``start .. start + n`` and all its outputs; results of pieces are added by the caller.

    Matrix rows may come in equal runs, one for each group of features: every row then multiplies the features of its
    own group, with its own arrays. Rows of a piece lie group by group.
    """

    @property
    def row_groups(self) -> int:
        """Number of these runs; 1: all rows see all features."""

    def row_group(self, index: int) -> Contraction:
        """How the same inputs meet the rows of one group."""

    @property
    def constants(self) -> int:
        """How many of the last features are not data but a constant one, for bias columns."""

    def prepare(self, weights: Array, start: int) -> Kernel:
        """Bring a piece ``(outputs, n)`` into the form `contract` takes; done once per programming."""

    def contract(self, x: Array, kernel: Kernel) -> Array:
        """Outputs of one piece, ``(batch, outputs, *positions)``."""

    def windows(self, x: Array) -> Array:
        """Every input vector the matrix multiplies, ``(vectors, columns)``; of a single row group only."""

    def fold(self, y: Array, x: Array) -> Array:
        """Outputs ``(vectors, outputs)`` of the vectors of `windows` back as ``(batch, outputs, *positions)``."""


@final
@dataclass(frozen=True)
class DensePiece:
    """A piece of a dense matrix: its transpose and the features it reads (None: all)."""

    weights: Array
    features: slice | None

    def times(self, x: Array) -> Array:
        """Outputs ``(batch, outputs)`` of the piece for inputs ``(batch, features)``."""
        return (x if self.features is None else x[:, self.features]) @ self.weights

    @cached_property
    def rows(self) -> Array:
        """The piece as it was, ``(outputs, n)``."""
        return backend_of(self.weights).transposed(self.weights)


@final
@dataclass(frozen=True)
class Dense:
    """Plain matrix product on inputs ``(batch, features)``.

    Attributes:
        columns: Number of matrix columns.
        constants: How many of the last ones are driven with a constant one.
    """

    columns: int
    constants: int = 0

    @property
    def row_groups(self) -> int:
        return 1

    def row_group(self, index: int) -> Dense:
        return self

    def prepare(self, weights: Array, start: int) -> DensePiece:
        count = weights.shape[1]
        return DensePiece(
            backend_of(weights).transposed(weights), None if count == self.columns else slice(start, start + count)
        )

    def contract(self, x: Array, kernel: DensePiece) -> Array:
        return kernel.times(x)

    def windows(self, x: Array) -> Array:
        return x

    def fold(self, y: Array, x: Array) -> Array:
        return y

    def input_gradient(self, grad: Array, matrix: Array, shape: tuple[int, ...]) -> Array:
        """Gradient of the inputs for that of the outputs, ``(batch, outputs)``, of the ideal product."""
        return grad @ matrix

    def matrix_gradient(self, grad: Array, x: Array) -> Array:
        """Gradient of the matrix for that of the outputs, ``(batch, outputs)``, of the ideal product."""
        return backend_of(grad).transposed(grad) @ x


#: The same object for the same map: what is found by it is found at once.
dense_map = cache(Dense)
