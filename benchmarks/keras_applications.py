"""Networks of keras.applications on arrays: are they the digital ones, and do they come back, on each backend?

Usage: ``python benchmarks/keras_applications.py [--network NAME] [--backend NAME]``

Random weights, small inputs, ten classes; BatchNorm has the statistics of a batch, so that signals reach the outputs.
A row says how many layers are on arrays, the largest difference from the digital network on ideal hardware (over the
largest output) beside the digital network's own rounding (float32 against float64), whether ``rram-8bit`` gives finite
outputs, whether the way back and a file are exact, and the seconds to convert. Every row is made in a process of its
own: all together need more than 24 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from crossohm import CrossSimParameters

#: Name in `keras.applications`, and the side of its input in pixels.
NETWORKS = {
    "ResNet50": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "InceptionV3": 75,
    "DenseNet121": 32,
    "EfficientNetB0": 32,
    "Xception": 71,
    "ConvNeXtTiny": 32,
}


def network(name: str, side: int):
    """The network with random weights, and BatchNorm statistics of a random batch."""
    import keras

    keras.utils.set_random_seed(1)
    model = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classes=10)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    x = images(side, 8)
    for layer in norms:
        layer.momentum = 0.0
    model(x, training=True)
    return model


def in_double(name: str, side: int, weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Outputs of the same network computed in float64."""
    import keras

    keras.config.set_dtype_policy("float64")
    with double_in_jax():
        model = getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3), classes=10)
        keras.config.set_dtype_policy("float32")
        model.set_weights(weights)
        return model.predict(x.astype("float64"), verbose=0)


def double_in_jax() -> AbstractContextManager[object]:
    """A context in which JAX, which has only float32 by default, has float64 as well."""
    import keras

    if keras.backend.backend() != "jax":
        return nullcontext()
    import jax

    return jax.enable_x64(True)


def images(side: int, count: int) -> np.ndarray:
    """Random images."""
    return np.random.default_rng(0).uniform(0, 255, (count, side, side, 3)).astype("float32")


def row(name: str, side: int) -> str:
    """One network's row of the table."""
    import keras

    warnings.simplefilter("ignore", UserWarning)  # ranges are not calibrated here: inputs are clipped
    from crossohm.keras import AnalogLayer, from_keras, load_model, to_keras

    digital, x = network(name, side), images(side, 2)
    expected = digital.predict(x, verbose=0)
    start = time.perf_counter()
    analog = from_keras(digital, CrossSimParameters(), seed=1)
    seconds = time.perf_counter() - start
    on_arrays = sum(isinstance(layer, AnalogLayer) for layer in analog._flatten_layers(include_self=False))
    precise = in_double(name, side, digital.get_weights(), x)
    rounding, difference = (
        np.abs(found - expected).max() / np.abs(expected).max() for found in (precise, analog.predict(x, verbose=0))
    )
    back = to_keras(analog)
    exact = np.array_equal(back.predict(x, verbose=0), expected) and all(
        np.array_equal(a, b) for a, b in zip(back.get_weights(), digital.get_weights(), strict=True)
    )
    hardware = CrossSimParameters.from_json("rram-8bit")
    hardware.xbar.device.read_noise.enable = False  # drawn anew in every pass: two passes of one chip would differ
    rram = from_keras(digital, hardware, seed=1)
    outputs = rram.predict(x, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.keras")
        rram.save(path)
        same = same_chip(rram, load_model(path))
    backend = keras.backend.backend()
    cells = (name, backend, on_arrays, f"{difference:.1e}", f"{rounding:.1e}", np.isfinite(outputs).all(), exact, same)
    return f"| {' | '.join(map(str, cells))} | {seconds:.1f} |"


def same_chip(one, other) -> bool:
    """True if all arrays of two networks hold the same weights, errors included.

    Answers are not compared: TensorFlow may round the same product otherwise in another graph, and an ADC turns that
    into another level.
    """
    from crossohm.keras import AnalogLayer

    pairs = zip(*(net._flatten_layers(include_self=False) for net in (one, other)), strict=True)
    return all(
        a is b is None or np.array_equal(a, b)
        for mine, others in pairs
        if isinstance(mine, AnalogLayer)
        for a, b in zip(mine.get_core_weights(), others.get_core_weights(), strict=True)
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default=None)
    parser.add_argument("--backend", choices=("tensorflow", "jax", "torch"), default=None)
    parser.add_argument("--here", action="store_true", help="one network, on the backend of this process")
    options = parser.parse_args()
    if options.here:
        print(row(options.network, NETWORKS[options.network]), flush=True)
        return
    print("| network | backend | on arrays | ideal | rounding | rram-8bit | back | file | convert, s |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for backend in (options.backend,) if options.backend else ("tensorflow", "jax", "torch"):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        for name in (options.network,) if options.network else NETWORKS:
            command = [sys.executable, __file__, "--here", "--network", name]
            subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
