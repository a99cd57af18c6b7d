"""The only non-linearity of the chip: a noisy comparator on every column."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx

from crossohm._names import unknown
from crossohm.chip.network import Encoding
from crossohm.errors import ParameterError
from crossohm.flax.chip import Programmed
from crossohm.flax.eic.execution import Execution

#: Stand-ins for the derivative of a step.
Surrogate = Literal["clip", "gauss", "triangle", "expected"]


class Gain(nnx.Variable):
    """A full-scale setting: calibrated, not trained."""


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def compare(surrogate: Surrogate, width: float, u: jax.Array, noise: Any, sd: Any) -> jax.Array:
    """1 where ``u + noise >= 0`` (so 1 at equality), else 0.

    Args:
        surrogate: What takes the place of the derivative, a function of ``u``: ``"clip"``, 1 up to ``width``;
            ``"gauss"``, exp(-u^2 / 2 width^2); ``"triangle"``, falling to 0 at ``width``; ``"expected"``, that of the
            mean bit, a normal density of deviation ``sd``.
        width: Of the surrogate, in units of u.
        u: What is compared, any shape.
        noise: Added to it; gets no gradient.
        sd: Standard deviation of the noise; gets no gradient.

    Returns:
        Bits, shape and dtype of u.
    """
    return (u + noise >= 0).astype(u.dtype)


def _forward(surrogate: Surrogate, width: float, u: jax.Array, noise: Any, sd: Any) -> tuple[jax.Array, Any]:
    return compare(surrogate, width, u, noise, sd), (u, noise, sd)


def _backward(surrogate: Surrogate, width: float, kept: Any, gradient: jax.Array) -> tuple[jax.Array, Any, Any]:
    u, noise, sd = kept
    return gradient * _slope(surrogate, width, u, sd), jnp.zeros_like(noise), jnp.zeros_like(sd)


compare.defvjp(_forward, _backward)


def _slope(surrogate: Surrogate, width: float, u: jax.Array, sd: Any) -> jax.Array:
    if surrogate == "clip":
        return (jnp.abs(u) <= width).astype(u.dtype)
    if surrogate == "gauss":
        return jnp.exp(-jnp.square(u / width) / 2)
    if surrogate == "triangle":
        return jnp.maximum(1 - jnp.abs(u) / width, 0)
    return jnp.exp(-jnp.square(u / sd) / 2) / (sd * math.sqrt(2 * math.pi))


class NoisyComparator(nnx.Module):
    """Bits of ``gain * z - theta`` plus noise; 1 at equality.

    Args:
        shape: Of the thresholds, a bank of columns for each core.
        number: Which stage's noise it draws.
        bias: Columns have thresholds that are learned.
        surrogate: What takes the place of the step's derivative, see `compare`.
        width: Of the surrogate.
        encoding: ``"unipolar"``, bits 0 and 1, or ``"bipolar"``, -1 and 1.

    Raises:
        UnknownNameError: no such surrogate or encoding.
        ParameterError: a width that is not positive.
    """

    def __init__(
        self, shape: tuple[int, ...], *, number: int = 0, bias: bool = True, surrogate: Surrogate = "clip",
        width: float = 1.0, encoding: Encoding = "unipolar",
    ) -> None:  # fmt: skip
        for name, value, known in (("surrogate", surrogate, Surrogate), ("encoding", encoding, Encoding)):
            if value not in get_args(known):
                raise unknown(f"comparator.{name}", value, get_args(known), name)
        if not width > 0:
            raise ParameterError("comparator.width", width, "is out of range", allowed="> 0")
        self.number, self.surrogate, self.width, self.encoding = number, surrogate, width, encoding
        self.gain = Gain(jnp.ones((), jnp.float32))
        self.theta = nnx.Param(jnp.zeros(shape, jnp.float32)) if bias else nnx.data(None)
        self.offsets: Programmed | None = nnx.data(None)

    def level(self, z: jax.Array, execution: Execution) -> jax.Array:
        """What is compared with 0, before noise: ``gain * z - theta``, on a chip with its offsets."""
        u = self.gain[...] * z
        if self.theta is not None:
            u = u - self.theta[...]
        return u + self.offsets[...] if execution.mode == "device" and self.offsets is not None else u

    def __call__(self, z: jax.Array, execution: Execution) -> jax.Array:
        """Bits of ``z (B, *shape)``, of the same shape.

        Raises:
            ParameterError: surrogate ``"expected"`` without noise, an infinite derivative; a traced sd is not seen.
        """
        if self.surrogate == "expected" and not isinstance(execution.sd, jax.core.Tracer) and not execution.sd > 0:
            raise ParameterError(
                "execution.sd", execution.sd, "leaves surrogate 'expected' without a derivative", allowed="> 0",
                remedy="Take another surrogate, or some noise",
            )  # fmt: skip
        u = self.level(z, execution)
        sd = jnp.asarray(execution.sd, u.dtype)
        noise = jnp.zeros((), u.dtype) if execution.mode == "ideal" else sd * execution.normal(self.number, u.shape)
        bits = compare(self.surrogate, self.width, u, noise, sd)
        return 2 * bits - 1 if self.encoding == "bipolar" else bits

    def calibrate(self, z: jax.Array) -> None:
        """Set the gain to 1 / sd(z), and thresholds to the columns' means."""
        self.gain[...] = 1 / jnp.maximum(jnp.std(z), jnp.finfo(z.dtype).tiny)
        if self.theta is not None:
            self.theta[...] = jnp.mean(self.gain[...] * z, axis=0)
