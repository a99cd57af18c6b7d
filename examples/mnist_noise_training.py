"""Train with the hardware's errors in the loop, and see how much of the lost accuracy comes back. About three minutes.

    python examples/mnist_noise_training.py --data-dir FOLDER

FOLDER holds MNIST's IDX files. A small convolutional network is trained as usual and put on arrays whose cells miss
their conductance by 30 % (Gaussian, proportional to the conductance; Rmax = 10 Rmin). Then it is fine-tuned on the
arrays: every optimizer step rewrites them, so that every step sees new programming errors, and clips the weights to two
standard deviations, so that the largest weight, which sets the conductance scale, is not far above the typical one
(V. Joshi et al., Nature Communications 11, 2473 (2020), https://doi.org/10.1038/s41467-020-16108-9). Both networks are
measured on the same chips, which training has not seen.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from _training import accuracy, batches, clip
from torch import nn
from torch.nn import functional as F

from crossohm import CrossSimParameters
from crossohm.datasets import Dataset, load_dataset
from crossohm.torch import from_torch, reinitialize, to_torch


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


def small_network() -> nn.Sequential:
    """5,258 parameters in three layers."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 10),
    )


def train(network: nn.Module, data: Dataset, epochs: int, rate: float, deviations: float = math.inf) -> None:
    """Adam with a one-cycle schedule; an analog network is rewritten by its own layers after every step.

    Weights are clipped to ``deviations`` of the weights of their layer.
    """
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    optimizer = torch.optim.Adam(network.parameters())
    steps = epochs * (len(data) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    network.train()
    for epoch in range(epochs):
        start, total = time.perf_counter(), 0.0
        for chosen in batches(len(data), 128):
            loss = F.cross_entropy(network(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            clip(network, deviations)
            schedule.step()
            total += loss.item() * 128
        seconds = time.perf_counter() - start
        print(f"  epoch {epoch + 1}/{epochs}: loss {total / len(data):.4f}, {seconds:.0f} s", flush=True)
    network.eval()


def on_chips(network: nn.Module, params: CrossSimParameters, data: Dataset, chips: int) -> np.ndarray:
    """Accuracy of a digital network on several chips."""
    analog = from_torch(network, params, seed=0).eval()
    found = []
    for chip in range(chips):
        reinitialize(analog, seed=1000 + chip)
        found.append(accuracy(analog, data))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description="Recover accuracy by training with programming errors in the loop.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with MNIST's IDX files")
    parser.add_argument("--error", type=float, default=0.3, help="relative standard deviation of conductances")
    parser.add_argument("--chips", type=int, default=5, help="simulated chips to measure on")
    parser.add_argument("--epochs", type=int, default=3, help="of usual training, and again of fine-tuning")
    parser.add_argument("--seed", type=int, default=1, help="of initialisation, shuffling and the training chip")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    data, test = (load_dataset("mnist", data_dir=options.data_dir, split=split) for split in ("train", "test"))
    params = hardware(options.error)

    print("usual training")
    network = small_network()
    train(network, data, options.epochs, rate=5e-3)
    digital, before = accuracy(network, test), on_chips(network, params, test, options.chips)

    print("fine-tuning on the arrays")
    analog = from_torch(network, params, seed=options.seed)
    train(analog, data, options.epochs, rate=5e-3, deviations=2.0)
    tuned = to_torch(analog)
    after = on_chips(tuned, params, test, options.chips)

    print(f"digital, usual training           {digital:8.2%}")
    print(f"on {options.chips} chips, usual training        {before.mean():8.2%}  (spread {before.std(ddof=1):.2%})")
    print(f"on {options.chips} chips, errors in the loop    {after.mean():8.2%}  (spread {after.std(ddof=1):.2%})")
    print(f"digital, errors in the loop       {accuracy(tuned, test):8.2%}")
    print(f"recovered: {(after.mean() - before.mean()) / (digital - before.mean()):.0%} of the loss")


if __name__ == "__main__":
    main()
