"""Stages of cores: dense ones, whose products stay apart, and the accumulators that merge their bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from crossohm._names import unknown
from crossohm.chip import ChipSpec, SlotPattern
from crossohm.errors import ShapeError, UnsupportedError
from crossohm.flax.chip import Programmed
from crossohm.flax.eic.execution import CORES, Execution
from crossohm.flax.eic.permute import PermuteBlock

#: What an accumulator does with its matrix: multiply, or scale by sums of its columns as the notebook did.
AccumulatorKind = Literal["product", "column_sum"]


class Cores(nnx.Module):
    """The weights of a stage, ``(..., core_out, core_in)``, within what conductances can hold.

    Args:
        chip: The chip.
        blocks: Leading axes of the weights.
        rngs: Its stream ``params`` draws them, uniform over the middle half of their range.
        pattern: How slots are wired to the cores; None: as they come.
        w_max: Of the weights' magnitude.
        number: Which stage's read noise it draws.

    Attributes:
        effective: What the arrays multiply with, as the weights; None before they are programmed.
        read_variance: Of every element of it from read to read; None without read noise.
    """

    def __init__(
        self, chip: ChipSpec, blocks: tuple[int, ...], rngs: nnx.Rngs, pattern: SlotPattern | None, w_max: float,
        number: int,
    ) -> None:  # fmt: skip
        self.chip, self.w_max, self.number = chip, w_max, number
        self.effective: Programmed | None = nnx.data(None)
        self.read_variance: Programmed | None = nnx.data(None)
        self.permute = None if pattern is None else PermuteBlock(pattern)
        shape = (*blocks, chip.core_out, chip.core_in)
        low, high = (-w_max, w_max) if chip.sign == "pair" else (0.0, w_max)
        quarter = (high - low) / 4
        self.weights = nnx.Param(jax.random.uniform(rngs.params(), shape, minval=low + quarter, maxval=high - quarter))

    def clip(self) -> None:
        """Bring weights back into their range, after an update."""
        self.weights[...] = jnp.clip(self.weights[...], -self.w_max if self.chip.sign == "pair" else 0.0, self.w_max)

    def held(self, execution: Execution) -> jax.Array:
        """Weights that multiply.

        Raises:
            UnsupportedError: mode ``"device"``, and nothing was programmed.
        """
        if execution.mode != "device":
            return self.weights[...]
        if self.effective is None:
            raise UnsupportedError("mode 'device': these cores are not programmed; take what on_chip() returns")
        return self.effective[...]

    def scattered(self, z: jax.Array, squares: Callable[[jax.Array], jax.Array], execution: Execution) -> jax.Array:
        """Products with the read noise of programmed cores.

        Independent noise of many cells is one normal number per column.

        Args:
            z: The products.
            squares: The same product with another matrix, of squared lines: what it makes of ``read_variance``.
            execution: Of its key the noise is drawn.
        """
        if execution.mode != "device" or self.read_variance is None:
            return z
        return z + jnp.sqrt(squares(self.read_variance[...])) * execution.normal(CORES + self.number, z.shape)

    def wired(self, x: jax.Array) -> jax.Array:
        """Lines of the cores, from ``x (B, blocks, core_in)``."""
        return x if self.permute is None else self.permute(x)


class EICDense(Cores):
    """A core for each pair of an input and an output block; their products are not added.

    Args:
        chip: The chip.
        n_in: Inputs; what is missing to whole cores is filled up with zeros.
        n_out: Outputs.
        rngs: Its stream ``params`` draws the weights ``(ob, ib, core_out, core_in)``.
        pattern: How slots are wired to the cores; None: as they come.
        w_max: Of the weights' magnitude.
        number: Which stage's read noise it draws.
    """

    def __init__(
        self, chip: ChipSpec, n_in: int, n_out: int, *, rngs: nnx.Rngs, pattern: SlotPattern | None = None,
        w_max: float = 1.0, number: int = 0,
    ) -> None:  # fmt: skip
        self.n_in = n_in
        self.blocks_in, self.blocks_out = -(-n_in // chip.core_in), -(-n_out // chip.core_out)
        super().__init__(chip, (self.blocks_out, self.blocks_in), rngs, pattern, w_max, number)

    def product(self, x: jax.Array, execution: Execution) -> jax.Array:
        """``x (B, n_in)`` -> ``(B, ib, ob, core_out)``.

        Raises:
            ShapeError: x has another number of columns.
        """
        if x.shape[-1] != self.n_in:
            raise ShapeError(f"inputs of shape {x.shape} for dense cores of {self.n_in} inputs")
        lines = self.blocks_in * self.chip.core_in
        blocks = jnp.pad(x, ((0, 0), (0, lines - self.n_in))).reshape(len(x), self.blocks_in, self.chip.core_in)
        blocks = self.wired(blocks)
        z = self._apart(blocks, self.held(execution))
        return self.scattered(z, lambda variance: self._apart(jnp.square(blocks), variance), execution)

    def _apart(self, blocks: jax.Array, matrices: jax.Array) -> jax.Array:
        products = [blocks[:, j] @ matrices[:, j].reshape(-1, self.chip.core_in).T for j in range(self.blocks_in)]
        return jnp.stack(products, 1).reshape(len(blocks), self.blocks_in, self.blocks_out, self.chip.core_out)


class Accumulator(Cores):
    """A core for each output block, which multiplies the sum of the bits of that block's dense cores.

    Args:
        chip: The chip.
        n_out: Outputs that are used.
        rngs: Its stream ``params`` draws the weights ``(ob, core_out, core_in)``.
        pattern: How slots are wired to the cores; None: as they come.
        w_max: Of the weights' magnitude.
        kind: ``"product"``, or ``"column_sum"``: every output is its own input times the sum of a column, the defect
            of the notebook, to compare with.
        number: Which stage's read noise it draws.

    Raises:
        UnknownNameError: no such kind.
    """

    def __init__(
        self, chip: ChipSpec, n_out: int, *, rngs: nnx.Rngs, pattern: SlotPattern | None = None, w_max: float = 1.0,
        kind: AccumulatorKind = "product", number: int = 0,
    ) -> None:  # fmt: skip
        if kind not in get_args(AccumulatorKind):
            raise unknown("accumulator.kind", kind, get_args(AccumulatorKind), "kind")
        self.n_out, self.kind, self.blocks_out = n_out, kind, -(-n_out // chip.core_out)
        super().__init__(chip, (self.blocks_out,), rngs, pattern, w_max, number)

    def product(self, bits: jax.Array, execution: Execution) -> jax.Array:
        """``bits (B, ib, ob, core_out)`` -> ``(B, ob, core_out)``.

        Raises:
            UnsupportedError: mode ``"device"``, and nothing was programmed, or the kind is ``"column_sum"``.
        """
        counts, weights = self.wired(bits.sum(1)), self.held(execution)
        if self.kind == "column_sum":
            if execution.mode == "device":
                raise UnsupportedError("mode 'device': no core computes a column sum; take accumulators of 'product'")
            return counts * weights.sum(1)

        def squares(variance: jax.Array) -> jax.Array:  # every phase is a read: their variances add
            return self._each(jnp.square(self.wired(bits)).sum(1), variance)

        return self.scattered(self._each(counts, weights), squares, execution)

    def _each(self, lines: jax.Array, matrices: jax.Array) -> jax.Array:
        return jnp.stack([lines[:, i] @ matrices[i].T for i in range(self.blocks_out)], 1)
