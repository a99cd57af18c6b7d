"""Time of one training step with programming errors in the loop over the same step of plain PyTorch.

Usage: ``python benchmarks/training_in_the_loop.py [--rounds N]``

A small convolutional network for MNIST (28 x 28 inputs, 5,258 weights, batch 64, Adam) on cells with 30 % programming
error, written anew after each step; one thread, shortest of the rounds. CrossSim's tutorial (ISCA 2024) takes 25.0 s
an epoch against 7.65 s of plain PyTorch, 3.3 times as long.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from mnist_noise_training import hardware, small_network

from crossohm.torch import from_torch, synchronize

BATCH, STEPS = 64, 20


def seconds(network: nn.Module, synchronized: bool) -> float:
    """Of the shortest step."""
    images, labels = torch.rand(BATCH, 1, 28, 28), torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    found = []
    for _ in range(STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()
        if synchronized:
            synchronize(network)
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plain, analog = small_network(), from_torch(small_network(), hardware(0.3), seed=0)
    times = [(seconds(plain, False), seconds(analog, True), seconds(analog, False)) for _ in range(options.rounds)]
    digital, synchronized, automatic = (min(of) * 1e3 for of in zip(*times, strict=True))
    print("| step | ms | ratio |\n|---|---|---|")
    for name, found in (("plain", digital), ("synchronize()", synchronized), ('sync = "auto"', automatic)):
        print(f"| {name} | {found:.2f} | {found / digital:.2f} |")


if __name__ == "__main__":
    main()
