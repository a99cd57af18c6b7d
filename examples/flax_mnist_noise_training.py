"""Train a Flax network with the hardware's errors in the loop. A few minutes.

    python examples/flax_mnist_noise_training.py --data-dir FOLDER

FOLDER holds MNIST's IDX files. The experiment of `mnist_noise_training.py` with `nnx.Optimizer`: a small convolutional
network is trained as usual and put on arrays whose cells miss their conductance by 30 %; then it is fine-tuned on the
arrays, where every step sees new programming errors and clips weights to one and a half standard deviations. Both
networks are measured on all test images on the same chips, which training has not seen; what is recovered is the share
of the mean accuracy that usual training loses on them.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from crossohm import CrossSimParameters
from crossohm.datasets import Dataset, load_dataset
from crossohm.flax import FlaxNetwork, from_flax, to_flax


def hardware(error: float) -> CrossSimParameters:
    """Balanced pairs of continuous cells with a small on/off ratio."""
    params = CrossSimParameters()
    params.update(
        {
            "xbar.device.Rmin": 1e3,
            "xbar.device.Rmax": 1e4,
            "xbar.device.infinite_on_off_ratio": False,
            "xbar.device.programming_error.enable": True,
            "xbar.device.programming_error.model": "NormalProportionalDevice",
            "xbar.device.programming_error.magnitude": error,
        }
    )
    return params


def small_network(seed: int) -> nnx.Sequential:
    """5,258 parameters in three layers."""
    rngs = nnx.Rngs(seed)
    pool = partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))
    return nnx.Sequential(
        nnx.Conv(1, 8, (3, 3), padding="VALID", rngs=rngs), nnx.relu, pool,
        nnx.Conv(8, 16, (3, 3), padding="VALID", rngs=rngs), nnx.relu, pool,
        lambda x: x.reshape(len(x), -1), nnx.Linear(400, 10, rngs=rngs),
    )  # fmt: skip


def train(model: Any, data: Dataset, epochs: int, batch: int, rate: float, seed: int, deviations: float = 0) -> None:
    """Adam whose rate rises to ``rate`` and falls to zero along a cosine; clips kernels after each step on request."""
    steps = epochs * (len(data) // batch)
    schedule = optax.warmup_cosine_decay_schedule(rate / 25, rate, steps // 4, steps)
    optimizer = nnx.Optimizer(model, optax.adam(schedule), wrt=nnx.Param)

    def clipped(kernel: jax.Array) -> jax.Array:
        limit = deviations * kernel.std()
        return jnp.clip(kernel, -limit, limit) if kernel.ndim > 1 else kernel

    @nnx.jit
    def step(model: Any, optimizer: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        def loss_of(model: Any) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(model(x), labels).mean()

        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimizer.update(model, gradients)
        if deviations:
            nnx.update(model, jax.tree.map(clipped, nnx.state(model, nnx.Param)))
        return loss

    rng, images, start = np.random.default_rng(seed), np.moveaxis(data.images, 1, -1), time.perf_counter()
    for _ in range(epochs):
        for chosen in rng.permutation(len(data))[: len(data) // batch * batch].reshape(-1, batch):
            loss = step(model, optimizer, images[chosen], data.labels[chosen])
    seconds = (time.perf_counter() - start) / epochs
    print(f"  {epochs} epochs: last loss {loss:.4f}, {seconds:.0f} s each", flush=True)


def accuracy(network: FlaxNetwork, data: Dataset) -> float:
    """Share of the images whose largest logit is the right one."""
    return float(np.mean(network.outputs(data.images).argmax(1) == data.labels))


def on_chips(model: Any, params: CrossSimParameters, data: Dataset, chips: int) -> np.ndarray:
    """Accuracy of a digital network on several chips, with one compiled function."""
    network = FlaxNetwork(model, batch_size=500)
    hardware = [params] * len(network.convertible)
    return np.array([accuracy(network.on_hardware(hardware, 1000 + chip), data) for chip in range(chips)])


def main() -> None:
    """Train, tune, measure."""
    parser = argparse.ArgumentParser(description="Recover accuracy by training with programming errors in the loop.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with MNIST's IDX files")
    parser.add_argument("--error", type=float, default=0.3, help="relative standard deviation of conductances")
    parser.add_argument("--chips", type=int, default=30, help="simulated chips to measure on")
    parser.add_argument("--epochs", type=int, default=3, help="of usual training")
    parser.add_argument("--tuning", type=int, default=1, help="epochs on the arrays")
    parser.add_argument("--images", type=int, help="training images used, the first ones; all by default")
    parser.add_argument("--seed", type=int, default=1, help="of initialisation, shuffling and the training chip")
    options = parser.parse_args()
    data = load_dataset("mnist", data_dir=options.data_dir, split="train", limit=options.images)
    test = load_dataset("mnist", data_dir=options.data_dir, split="test")
    params = hardware(options.error)
    print("usual training")
    usual = small_network(options.seed)
    train(usual, data, options.epochs, 128, 5e-3, options.seed)
    digital, before = accuracy(FlaxNetwork(usual), test), on_chips(usual, params, test, options.chips)

    print("fine-tuning on the arrays")
    analog = from_flax(usual, params, seed=options.seed, rngs=nnx.Rngs(noise=options.seed))
    train(analog, data, options.tuning, 32, 1e-2, options.seed, deviations=1.5)
    after = on_chips(to_flax(analog), params, test, options.chips)

    print(f"digital, usual training           {digital:8.2%}")
    print(f"on {options.chips} chips, usual training        {before.mean():8.2%}  (spread {before.std(ddof=1):.2%})")
    print(f"on {options.chips} chips, errors in the loop    {after.mean():8.2%}  (spread {after.std(ddof=1):.2%})")
    print(f"recovered: {(after.mean() - before.mean()) / (digital - before.mean()):.0%} of the loss")


if __name__ == "__main__":
    main()
