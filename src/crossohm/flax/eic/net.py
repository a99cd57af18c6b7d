"""Blocks and networks of cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from crossohm.chip import ChipSpec, NetworkShape, check
from crossohm.chip.network import Stage
from crossohm.flax.chip import Programmed
from crossohm.flax.eic.comparator import NoisyComparator, Surrogate
from crossohm.flax.eic.cores import Accumulator, AccumulatorKind, EICDense
from crossohm.flax.eic.execution import Execution

#: Gets a bank of comparators and what it is about to decide on.
Visit = Callable[[NoisyComparator, jax.Array], None]


class EICBlock(nnx.Module):
    """A layer: dense cores, comparators, accumulators, and comparators again unless it is the last.

    Args:
        chip: The chip.
        dense: What the shape says about the dense cores.
        accumulator: And about the accumulators.
        rngs: Its stream ``params`` draws the weights.
        number: Of the layer from 0; each bank of comparators draws noise of its own.
        kind: Of the accumulators.
        **comparator: Choices of `NoisyComparator`.
    """

    def __init__(
        self, chip: ChipSpec, dense: Stage, accumulator: Stage, *, rngs: nnx.Rngs, number: int = 0,
        kind: AccumulatorKind = "product", **comparator: Any,
    ) -> None:  # fmt: skip
        blocks = (dense.blocks_in, dense.blocks_out, chip.core_out)
        self.dense = EICDense(
            chip, dense.inputs, accumulator.outputs, rngs=rngs, pattern=dense.pattern, number=2 * number
        )
        self.comparator = NoisyComparator(blocks, number=2 * number, **comparator)
        self.accumulator = Accumulator(
            chip, accumulator.outputs, rngs=rngs, pattern=accumulator.pattern, kind=kind, number=2 * number + 1
        )
        last = accumulator.ends_in == "readout"
        self.decide = None if last else NoisyComparator(blocks[1:], number=2 * number + 1, **comparator)

    def __call__(self, x: jax.Array, execution: Execution) -> jax.Array:
        """``x (B, n_in)`` -> bits, or what the readout gets, ``(B, n_out)``."""
        return self.walk(x, execution, lambda comparator, z: None)

    def walk(self, x: jax.Array, execution: Execution, visit: Visit) -> jax.Array:
        """As a call; every bank of comparators and its inputs are shown to ``visit`` before the bank decides."""
        z = self.dense.product(x, execution)
        visit(self.comparator, z)
        z = self.accumulator.product(self.comparator(z, execution), execution)
        if self.decide is not None:
            visit(self.decide, z)
            z = self.decide(z, execution)
        return z.reshape(len(x), -1)[:, : self.accumulator.n_out]


class EICNet(nnx.Module):
    """A network of cores, from inputs to class scores.

    Args:
        shape: What it is for the chip, or its sizes: inputs, and outputs of each layer.
        chip: With sizes: the chip.
        rngs: Its stream ``params`` draws the weights.
        bias: Comparators have thresholds that are learned.
        surrogate: What takes the place of the derivative of comparators, see `compare`.
        width: Of the surrogate.
        kind: Of the accumulators, see `Accumulator`.
        strict: Refuse networks that the chip cannot hold.

    Raises:
        MappingError: the chip cannot hold the network.
    """

    def __init__(
        self, shape: NetworkShape | tuple[int, ...], chip: ChipSpec | None = None, *, rngs: nnx.Rngs, bias: bool = True,
        surrogate: Surrogate = "clip", width: float = 1.0, kind: AccumulatorKind = "product", strict: bool = True,
    ) -> None:  # fmt: skip
        self.shape = shape if isinstance(shape, NetworkShape) else NetworkShape(chip or ChipSpec(), tuple(shape))
        check(self.shape, strict=strict)
        stages = self.shape.stages
        self.layers = nnx.List([
            EICBlock(
                self.shape.chip, dense, accumulator, rngs=rngs, number=number, kind=kind, bias=bias,
                surrogate=surrogate, width=width, encoding=self.shape.encoding,
            )
            for number, (dense, accumulator) in enumerate(zip(stages[::2], stages[1::2], strict=True))
        ])  # fmt: skip
        self.scale = nnx.Param(jnp.ones((), jnp.float32))
        self.readout_range: Programmed | None = nnx.data(None)

    def __call__(self, x: jax.Array, execution: Execution) -> jax.Array:
        """Class scores ``(B, classes)`` of ``x (B, inputs)``."""
        outputs = self.walk(x, execution, lambda comparator, z: None)
        if execution.mode == "device" and self.readout_range is not None:
            outputs = _converted(outputs, self.readout_range[...], self.shape.chip.readout_bits)
        return self.scale[...] * self._scores(outputs)

    def walk(self, x: jax.Array, execution: Execution, visit: Visit) -> jax.Array:
        """What the readout gets, ``(B, outputs)``; banks of comparators are shown to ``visit``, front to back."""
        for layer in self.layers:
            x = layer.walk(x, execution, visit)
        return x

    def calibrate(self, x: jax.Array, execution: Execution) -> None:
        """Set gains, thresholds and the scale of the scores from some inputs ``(B, inputs)``, stage by stage."""
        x = self.walk(x, execution, lambda comparator, z: comparator.calibrate(z))
        self.scale[...] = 1 / jnp.maximum(jnp.std(self._scores(x)), jnp.finfo(x.dtype).tiny)

    def clip(self) -> None:
        """Bring all weights back into the range of the chip, after an update."""
        for layer in self.layers:
            layer.dense.clip()
            layer.accumulator.clip()

    def _scores(self, outputs: jax.Array) -> jax.Array:
        classes, columns = self.shape.classes, self.shape.columns_per_class
        return outputs[:, : classes * columns].reshape(len(outputs), classes, columns).mean(2)


def _converted(outputs: jax.Array, limits: jax.Array, bits: int) -> jax.Array:
    """Outputs after a converter of ``bits`` whose range is ``limits``, lowest and highest."""
    step = (limits[1] - limits[0]) / (2**bits - 1)
    return limits[0] + step * jnp.round((jnp.clip(outputs, limits[0], limits[1]) - limits[0]) / step)
