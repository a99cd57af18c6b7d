"""Time of Flax layers on simulated arrays over the plain layers, in compiled functions.

Usage: ``python benchmarks/flax_layers.py [--rounds N] [--seconds S]``

A linear layer of 64x64 for one vector and for 64, and a small convolutional network (5,258 parameters, images of 28x28)
for 64 images; on ideal arrays and on ``rram-8bit``; the answer, and the gradient of its squares by all parameters. Both
sides are functions of JAX that get the state of the model and the inputs; arrays hold the parameters already, as in
inference, and look whether they still do. Each round runs both sides in turn for so many seconds each; a row reports
the shortest call of each side, which a busy machine disturbs least.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from crossohm import CrossSimParameters
from crossohm.flax import from_flax

HARDWARE = {"ideal": CrossSimParameters, "rram-8bit": lambda: CrossSimParameters.from_json("rram-8bit")}


def linear() -> nnx.Module:
    """64 inputs, 64 outputs."""
    return nnx.Sequential(nnx.Linear(64, 64, rngs=nnx.Rngs(0)))


def small_network() -> nnx.Module:
    """Two convolutions and a linear layer."""
    rngs, pool = nnx.Rngs(0), partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
    return nnx.Sequential(
        nnx.Conv(1, 8, (3, 3), padding="VALID", rngs=rngs), nnx.relu, pool,
        nnx.Conv(8, 16, (3, 3), padding="VALID", rngs=rngs), nnx.relu, pool,
        lambda x: x.reshape(len(x), -1), nnx.Linear(400, 10, rngs=rngs),
    )  # fmt: skip


CASES: dict[str, tuple[Callable[[], nnx.Module], tuple[int, ...]]] = {
    "Linear 64x64, 1 vector": (linear, (1, 64)),
    "Linear 64x64, 64 vectors": (linear, (64, 64)),
    "small CNN, 64 images": (small_network, (64, 28, 28, 1)),
}


def forward(model: nnx.Module, x: jax.Array) -> Callable[[], Any]:
    """One compiled call."""
    graph, state = nnx.split(model)
    answer = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    return lambda: answer(state, x)


def gradient(model: nnx.Module, x: jax.Array) -> Callable[[], Any]:
    """One compiled call."""
    graph, parameters, others = nnx.split(model, nnx.Param, ...)
    found = jax.jit(jax.grad(lambda own, others, x: jnp.sum(nnx.merge(graph, own, others, copy=True)(x) ** 2)))
    return lambda: found(parameters, others, x)


def shortest(call: Callable[[], Any], seconds: float) -> float:
    """Shortest of the calls in so many seconds."""
    found, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        jax.block_until_ready(call())
        found = min(found, time.perf_counter() - start)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each side of a round")
    options = parser.parse_args()
    print("| case | hardware | | nnx | crossohm | ratio |\n|---|---|---|---|---|---|")
    for case, (made, shape) in CASES.items():
        model, x = made(), jax.random.uniform(jax.random.key(1), shape)
        for name, hardware in HARDWARE.items():
            analog = from_flax(model, hardware(), seed=1, rngs=nnx.Rngs(noise=0))
            for task in (forward, gradient):
                sides = task(model, x), task(analog, x)
                for side in sides:
                    jax.block_until_ready(side())
                pairs = [[shortest(side, options.seconds) for side in sides] for _ in range(options.rounds)]
                plain, ours = (min(times) * 1e6 for times in zip(*pairs, strict=True))
                row = f"{case} | {name} | {task.__name__} | {plain:.0f} us | {ours:.0f} us | {ours / plain:.2f}"
                print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
