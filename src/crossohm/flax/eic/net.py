"""Blocks and networks of cores."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from crossohm.chip import ChipSpec, NetworkShape, check
from crossohm.chip.network import Stage
from crossohm.flax.eic.comparator import NoisyComparator, Surrogate
from crossohm.flax.eic.cores import Accumulator, AccumulatorKind, EICDense
from crossohm.flax.eic.execution import Execution


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
        self.dense = EICDense(chip, dense.inputs, accumulator.outputs, rngs=rngs, pattern=dense.pattern)
        self.comparator = NoisyComparator(blocks, number=2 * number, **comparator)
        self.accumulator = Accumulator(chip, accumulator.outputs, rngs=rngs, pattern=accumulator.pattern, kind=kind)
        last = accumulator.ends_in == "readout"
        self.decide = None if last else NoisyComparator(blocks[1:], number=2 * number + 1, **comparator)

    def __call__(self, x: jax.Array, execution: Execution) -> jax.Array:
        """``x (B, n_in)`` -> bits, or what the readout gets, ``(B, n_out)``."""
        return self._run(x, execution, calibrating=False)

    def calibrate(self, x: jax.Array, execution: Execution) -> jax.Array:
        """Set gains and thresholds for these inputs, front to back; the outputs."""
        return self._run(x, execution, calibrating=True)

    def _run(self, x: jax.Array, execution: Execution, calibrating: bool) -> jax.Array:
        z = self.dense.product(x, execution)
        if calibrating:
            self.comparator.calibrate(z)
        z = self.accumulator.product(self.comparator(z, execution), execution)
        if self.decide is not None:
            if calibrating:
                self.decide.calibrate(z)
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

    def __call__(self, x: jax.Array, execution: Execution) -> jax.Array:
        """Class scores ``(B, classes)`` of ``x (B, inputs)``."""
        for layer in self.layers:
            x = layer(x, execution)
        return self.scale[...] * self._scores(x)

    def calibrate(self, x: jax.Array, execution: Execution) -> None:
        """Set gains, thresholds and the scale of the scores from some inputs ``(B, inputs)``, stage by stage."""
        for layer in self.layers:
            x = layer.calibrate(x, execution)
        self.scale[...] = 1 / jnp.maximum(jnp.std(self._scores(x)), jnp.finfo(x.dtype).tiny)

    def clip(self) -> None:
        """Bring all weights back into the range of the chip, after an update."""
        for layer in self.layers:
            layer.dense.clip()
            layer.accumulator.clip()

    def _scores(self, outputs: jax.Array) -> jax.Array:
        classes, columns = self.shape.classes, self.shape.columns_per_class
        return outputs[:, : classes * columns].reshape(len(outputs), classes, columns).mean(2)
