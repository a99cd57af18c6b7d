"""Train a Keras network with the hardware's errors in the loop, on any backend. Two to five minutes.

    KERAS_BACKEND=jax python examples/keras_mnist_noise_training.py --data-dir FOLDER

FOLDER holds MNIST's IDX files. The experiment of `mnist_noise_training.py` with ``model.fit``: a small convolutional
network is trained as usual and put on arrays whose cells miss their conductance by 30 %; then it is fine-tuned on the
arrays for one epoch, in which every step sees new programming errors. A constraint keeps weights within one and a half
standard deviations. Both networks are measured on all test images on the same chips, which training has not seen; what
is recovered is the share of the mean accuracy that usual training loses on them. Chips differ much before: few of them
do not tell that mean.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import keras
import numpy as np

from crossohm import CrossSimParameters
from crossohm.datasets import Dataset, load_dataset
from crossohm.keras import from_keras, reinitialize, to_keras


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


@keras.saving.register_keras_serializable("examples")
class WithinDeviations(keras.constraints.Constraint):
    """Weights of a layer clipped to some standard deviations of them."""

    def __init__(self, deviations: float) -> None:
        self.deviations = deviations

    def __call__(self, w):
        limit = self.deviations * keras.ops.std(w)
        return keras.ops.clip(w, -limit, limit)

    def get_config(self):
        return {"deviations": self.deviations}


def small_network(deviations: float | None = None) -> keras.Model:
    """5,258 parameters in three layers."""
    constraint = None if deviations is None else WithinDeviations(deviations)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(8, 3, activation="relu", kernel_constraint=constraint),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(16, 3, activation="relu", kernel_constraint=constraint),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(10, kernel_constraint=constraint),
        ]
    )


def train(model: keras.Model, data: Dataset, epochs: int, batch: int, rate: float = 5e-3) -> None:
    """Adam whose rate rises to ``rate`` and falls to zero along a cosine."""
    steps = epochs * -(-len(data) // batch)
    rising = steps // 4
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 25, steps - rising, warmup_target=rate, warmup_steps=rising
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(schedule), loss)
    start = time.perf_counter()
    history = model.fit(images_of(data), data.labels, batch_size=batch, epochs=epochs, verbose=0)
    seconds = (time.perf_counter() - start) / epochs
    print(f"  {epochs} epochs: last loss {history.history['loss'][-1]:.4f}, {seconds:.0f} s each", flush=True)


def images_of(data: Dataset) -> np.ndarray:
    """Channels last."""
    return np.moveaxis(data.images, 1, -1)


def accuracy(model: keras.Model, data: Dataset) -> float:
    """Share of the images whose largest logit is the right one."""
    return float(np.mean(model.predict(images_of(data), batch_size=500, verbose=0).argmax(1) == data.labels))


def on_chips(model: keras.Model, params: CrossSimParameters, data: Dataset, chips: int) -> np.ndarray:
    """Accuracy of a digital network on several chips."""
    analog = from_keras(model, params, seed=0)
    found = []
    for chip in range(chips):
        reinitialize(analog, seed=1000 + chip)
        found.append(accuracy(analog, data))
    return np.array(found)


def main() -> None:
    """Train, tune, measure."""
    parser = argparse.ArgumentParser(description="Recover accuracy by training with programming errors in the loop.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with MNIST's IDX files")
    parser.add_argument("--error", type=float, default=0.3, help="relative standard deviation of conductances")
    parser.add_argument("--chips", type=int, default=30, help="simulated chips to measure on")
    parser.add_argument("--epochs", type=int, default=3, help="of usual training")
    parser.add_argument("--tuning", type=int, default=1, help="epochs on the arrays")
    parser.add_argument("--seed", type=int, default=1, help="of initialisation, shuffling and the training chip")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    data, test = (load_dataset("mnist", data_dir=options.data_dir, split=split) for split in ("train", "test"))
    params = hardware(options.error)
    print(f"usual training, Keras on {keras.backend.backend()}")
    usual = small_network()
    train(usual, data, options.epochs, batch=128)
    digital, before = accuracy(usual, test), on_chips(usual, params, test, options.chips)

    print("fine-tuning on the arrays")
    constrained = small_network(deviations=1.5)
    constrained.set_weights(usual.get_weights())
    analog = from_keras(constrained, params, seed=options.seed)
    train(analog, data, options.tuning, batch=32, rate=1e-2)
    tuned = to_keras(analog)
    after = on_chips(tuned, params, test, options.chips)

    print(f"digital, usual training           {digital:8.2%}")
    print(f"on {options.chips} chips, usual training        {before.mean():8.2%}  (spread {before.std(ddof=1):.2%})")
    print(f"on {options.chips} chips, errors in the loop    {after.mean():8.2%}  (spread {after.std(ddof=1):.2%})")
    print(f"recovered: {(after.mean() - before.mean()) / (digital - before.mean()):.0%} of the loss")


if __name__ == "__main__":
    main()
