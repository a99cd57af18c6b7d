"""Time of a ResNet-14 on simulated arrays over the digital Keras model, compiled, on each backend, in one run each.

Usage: ``python benchmarks/keras_resnet14.py [--rounds N]``

A ResNet-14 for CIFAR-10 (random weights, BatchNorm folded away, float32), ``model.predict`` on
256 images in batches of 64. Each round runs the digital and the analog model in turn; a row reports the median of the
rounds' ratios. The last rows are the PyTorch front end on the network of the same shapes: Keras should be within 1.5
times its ratio. Every backend runs in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from crossohm import CrossSimParameters

BATCH, IMAGES = 64, 256
HARDWARE: dict[str, dict[str, object]] = {
    "ideal": {},
    "8-bit ADC": {
        "core.mapping.inputs.mvm.min": -4.0,
        "core.mapping.inputs.mvm.max": 4.0,
        "core.mapping.inputs.mvm.clipping": True,
        "xbar.dac.mvm.model": "SignMagnitudeDAC",
        "xbar.dac.mvm.bits": 8,
        "xbar.adc.mvm.model": "QuantizerADC",
        "xbar.adc.mvm.bits": 8,
        "xbar.adc.mvm.adc_range_option": "MAX",
        "xbar.device.cell_bits": 8,
    },
}


def hardware(name: str) -> CrossSimParameters:
    """One row's."""
    params = CrossSimParameters()
    params.update(HARDWARE[name])
    return params


def keras_network():
    """ResNet-14 with its BatchNorm folded: a stem, two blocks in each of three stages, a classifier."""
    from keras import Input, Model, layers

    def convolved(x, filters: int, stride: int = 1, taps: int = 3):
        return layers.Conv2D(filters, taps, strides=stride, padding="same")(x)

    inputs = Input((32, 32, 3))
    x = layers.ReLU()(convolved(inputs, 16))
    for filters, first in ((16, 1), (32, 2), (64, 2)):
        for stride in (first, 1):
            y = convolved(layers.ReLU()(convolved(x, filters, stride)), filters)
            x = convolved(x, filters, stride, 1) if stride > 1 else x
            x = layers.ReLU()(layers.Add()([x, y]))
    return Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def ratios(digital: Callable[[], object], analog: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of the digital model, and median ratio."""
    digital()
    analog()
    found = []
    for _ in range(rounds):
        times = []
        for run in (digital, analog):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        found.append(times)
    return statistics.median(d for d, _ in found), statistics.median(a / d for d, a in found)


def measure_keras(rounds: int) -> None:
    """Rows of the backend of this process."""
    import keras

    from crossohm.keras import from_keras

    keras.utils.set_random_seed(1)
    digital = keras_network()
    digital.compile()
    x = np.random.default_rng(0).standard_normal((IMAGES, 32, 32, 3)).astype("float32")
    for name in HARDWARE:
        analog = from_keras(digital, hardware(name), seed=1)
        analog.compile()
        runs = [lambda model=model: model.predict(x, batch_size=BATCH, verbose=0) for model in (digital, analog)]
        seconds, ratio = ratios(*runs, rounds)
        print(f"| Keras on {keras.backend.backend()} | {name} | {seconds * 1e3:.0f} ms | {ratio:.2f} |", flush=True)


def measure_torch(rounds: int) -> None:
    """Rows of the PyTorch front end."""
    import torch

    from crossohm.models.torch.resnet_cifar10 import ResNetCifar10
    from crossohm.torch import from_torch
    from crossohm.torch.conversion.batchnorm import fold_batchnorm

    torch.manual_seed(1)
    digital = ResNetCifar10(14).eval()
    fold_batchnorm(digital)
    batches = torch.randn(IMAGES, 3, 32, 32).split(BATCH)

    def run(model):
        with torch.no_grad():
            return [model(batch) for batch in batches]

    for name in HARDWARE:
        analog = from_torch(digital, hardware(name), seed=1)
        seconds, ratio = ratios(lambda: run(digital), lambda model=analog: run(model), rounds)
        print(f"| PyTorch | {name} | {seconds * 1e3:.0f} ms | {ratio:.2f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--of", default="", help="measure this one here: keras (on KERAS_BACKEND) or torch")
    options = parser.parse_args()
    if options.of:
        {"keras": measure_keras, "torch": measure_torch}[options.of](options.rounds)
        return
    print("| network | hardware | digital | ratio |\n|---|---|---|---|", flush=True)
    command = [sys.executable, __file__, "--rounds", str(options.rounds), "--of"]
    for backend in ("tensorflow", "jax", "torch"):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run([*command, "keras"], env=environment, check=True, stderr=subprocess.DEVNULL)
    subprocess.run([*command, "torch"], check=True)


if __name__ == "__main__":
    main()
