"""Train a network of fixed-size cores on MNIST, and its accuracy in each mode.

Usage: ``python benchmarks/eic_mnist.py [--epochs N] [--input grey|binary] [--start FILE] [--rate R]
[--checkpoint FILE] [--data FOLDER]``

1024-2048-256 on 49 logical cores: images padded to 32x32, binary activations everywhere on chip. An epoch per line;
with a checkpoint, which is written after every epoch, a training that was cut goes on; ``--start`` takes the weights of
another training's checkpoint. The last 5,000 training images
are for choices only; test images are used once, at the end.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from flax import nnx

from crossohm.chip import ChipSpec, NetworkShape
from crossohm.datasets import load_dataset
from crossohm.flax import EICNet, Recipe, Trainer, evaluate

HELD_OUT = 5000


def images_of(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Padded images and labels."""
    data = load_dataset("mnist", data_dir=folder, split=split)
    return np.pad(np.asarray(data.images)[:, 0], ((0, 0), (2, 2), (2, 2))), np.asarray(data.labels, np.int32)


def main() -> None:
    """Train, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--input", choices=("grey", "binary"), default="grey")
    parser.add_argument("--rate", type=float, default=Recipe.rate)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "mnist")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    bits = 1 if options.input == "binary" else 8
    shape = NetworkShape(ChipSpec(input_bits=bits), input_bits=bits)
    images, labels = images_of(options.data, "train")
    net = EICNet(shape, rngs=nnx.Rngs(options.seed))
    recipe = Recipe(epochs=options.epochs, rate=options.rate, seed=options.seed)
    trainer = Trainer(net, images[:-HELD_OUT], labels[:-HELD_OUT], recipe)
    if options.checkpoint is not None and options.checkpoint.exists():
        trainer.load(options.checkpoint)
    elif options.start is not None:
        trainer.start_from(options.start)
    while trainer.epoch < recipe.epochs:
        start = time.perf_counter()
        loss = trainer.run_epoch()
        seconds = time.perf_counter() - start
        found = evaluate(net, images[-HELD_OUT:], labels[-HELD_OUT:], reads=1)
        print(f"epoch {trainer.epoch}: {seconds:.1f} s, loss {loss:.4f}, validation {found.mean:.2%}", flush=True)
        if options.checkpoint is not None:
            trainer.save(options.checkpoint)
    _print_table(net, options)


def _print_table(net: EICNet, options: argparse.Namespace) -> None:
    found = evaluate(net, *images_of(options.data, "test"), reads=8)
    cores = sum(stage.cores for stage in net.shape.stages)
    print(f"{options.input} inputs, {cores} logical cores, seed {options.seed}, {options.epochs} epochs, test images\n")
    print("| mode | accuracy |\n|---|---|")
    print(
        f"| ideal | {found.ideal:.2%} |\n| single read, {len(found.single)} seeds | {found.mean:.2%} ± {found.sd:.2%} |"
    )
    for count, accuracy in found.averaged.items():
        print(f"| mean of {count} reads | {accuracy:.2%} |")


if __name__ == "__main__":
    main()
