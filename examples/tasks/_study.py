"""What the examples share: train a network in seconds, and ask a study what arrays make of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossohm.cli import app
from crossohm.datasets import Dataset

Data = Callable[..., Dataset]
Loss = Callable[[Tensor, Tensor], Tensor]


def main(script: str, network: Callable[[], nn.Module], data: Data, loss: Loss, epochs: int, rate: float) -> None:
    """Train, save, and sweep the study file of the same name.

    Args:
        script: ``__file__`` of the example.
        network: Makes the network.
        data: The data set, as the study finds it.
        loss: Of answers and targets of a batch.
        epochs: Passes over the training data.
        rate: Highest learning rate of Adam.
    """
    name = Path(script).stem
    parser = argparse.ArgumentParser(description=f"Train {name} and measure it on simulated arrays.")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("crossohm-results") / name,
        help="Folder for the results; the weights lie beside it.",
    )
    parser.add_argument("--epochs", type=int, default=epochs, help="Passes over the training data.")
    options = parser.parse_args()
    weights = options.output.with_suffix(".pt").resolve()
    weights.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = network()
    train(model, data(split="train"), loss, options.epochs, rate)
    torch.save(model.state_dict(), weights)
    study = Path(script).with_suffix(".yaml")
    app(["sweep", str(study), "--output", str(options.output), "--set", f"model.checkpoint={weights}"])


def train(model: nn.Module, data: Dataset, loss: Loss, epochs: int, rate: float, batch: int = 32) -> None:
    """Adam with one cycle of the learning rate."""
    inputs, targets = (torch.as_tensor(np.asarray(held)) for held in (data.images, data.labels))
    steps = epochs * -(-len(inputs) // batch)
    optimizer: Any = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(inputs)).split(batch):
            optimizer.zero_grad()
            loss(model(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
            schedule.step()
