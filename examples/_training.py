"""Supervised training as both `train_digits.py` and `train_mnist.py` do it.

To survive inaccurate conductances, every step sees weights with fresh Gaussian noise and afterwards clips them to a few
standard deviations, so that the largest weight, which sets the conductance scale, is not far above the typical one
(V. Joshi et al., Nature Communications 11, 2473 (2020), https://doi.org/10.1038/s41467-020-16108-9, Methods).

There is no validation and no early stop: the weights after the last epoch are kept, and the test split is read once,
after that, to write the accuracy on the card.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from crossohm.datasets import Dataset, load_dataset
from crossohm.models import ModelCard
from crossohm.models._registry import build_model, weight_file


@dataclass(frozen=True)
class Recipe:
    """What the training depends on besides data and architecture."""

    epochs: int
    batch: int
    rate: float  # peak of the one-cycle schedule
    weight_decay: float
    degrees: float  # augmentation: largest rotation,
    stretch: float  # largest relative change of each side,
    shift: float  # and largest shift, as a fraction of the image side
    noise: float  # standard deviation of the weight noise, as a fraction of the layer's largest weight
    clip: float  # largest weight, in standard deviations of the layer's weights
    seed: int


def arguments(description: str, *, model: str, epochs: int) -> argparse.ArgumentParser:
    """The options both scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of initialisation, shuffling, dropout and augmentation")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; another number rounds differently")
    parser.add_argument("--output", type=Path, default=weight_file(model), help="safetensors file to write")
    return parser


def produce(model: str, dataset: str, data_dir: Path | None, recipe: Recipe, output: Path, command: str) -> ModelCard:
    """Train ``model``, measure it on the test split, write weights and card to ``output``."""
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True)
    network = build_model(model)
    train(network, load_dataset(dataset, data_dir=data_dir, split="train"), recipe)
    test = load_dataset(dataset, data_dir=data_dir, split="test")
    card = ModelCard(
        name=model,
        dataset=dataset,
        accuracy=accuracy(network, test),
        test_images=len(test),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        command=command,
        seed=recipe.seed,
        torch_version=torch.__version__,
    )
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, output, metadata=card.to_metadata())
    print(f"{card}\n{output}: {output.stat().st_size:,} bytes (made on {platform.machine()})")
    return card


def train(network: nn.Module, data: Dataset, recipe: Recipe) -> None:
    """AdamW with a one-cycle schedule on augmented images."""
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (len(data) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps)
    network.train()
    for epoch in range(recipe.epochs):
        start, total = time.perf_counter(), 0.0
        for chosen in batches(len(data), recipe.batch):
            logits = functional_call(network, noisy(network, recipe.noise), (augment(images[chosen], recipe),))
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            clip(network, recipe.clip)
            schedule.step()
            total += loss.item() * recipe.batch
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1}/{recipe.epochs}: loss {total / len(data):.4f}, {seconds:.1f} s", flush=True)
    network.eval()


def noisy(network: nn.Module, noise: float) -> dict[str, Tensor]:
    """The parameters with fresh noise on the weights of convolutions and linear layers; gradients pass straight."""
    return {
        name: value + noise * value.detach().abs().max() * torch.randn_like(value) if value.ndim > 1 else value
        for name, value in network.named_parameters()
    }


@torch.no_grad()
def clip(network: nn.Module, deviations: float) -> None:
    """Clip the same weights, layer by layer."""
    for value in network.parameters():
        if value.ndim > 1:
            limit = deviations * value.std().item()
            value.clamp_(-limit, limit)


def batches(count: int, size: int) -> Iterator[Tensor]:
    """Random full batches; the remainder waits for another epoch, so that BatchNorm never sees a tiny batch."""
    order = torch.randperm(count)
    return iter(order[: count - count % size].split(size))


def augment(images: Tensor, recipe: Recipe) -> Tensor:
    """Each image rotated, stretched and shifted at random, bilinear, zeros coming in from outside."""
    turn = math.radians(recipe.degrees) * symmetric(images)
    width, height = 1 + recipe.stretch * symmetric(images), 1 + recipe.stretch * symmetric(images)
    right, down = 2 * recipe.shift * symmetric(images), 2 * recipe.shift * symmetric(images)  # the image spans -1..1
    rows = (width * turn.cos(), -width * turn.sin(), right, height * turn.sin(), height * turn.cos(), down)
    grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def symmetric(images: Tensor) -> Tensor:
    """One number per image, uniform in -1..1."""
    return 2 * torch.rand(len(images)) - 1


@torch.no_grad()
def accuracy(network: nn.Module, data: Dataset) -> float:
    """Share of the images whose largest logit is the right one."""
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    right = sum(
        int((network(batch).argmax(1) == truth).sum())
        for batch, truth in zip(images.split(1000), labels.split(1000), strict=True)
    )
    return right / len(data)
