"""Train a network of fixed-size cores on MNIST, and its accuracy in each mode.

Usage: ``python benchmarks/eic_mnist.py [--epochs N] [--input grey|binary] [--start FILE] [--rate R]
[--checkpoint FILE] [--evaluate FILE [--split validation|test]] [--data FOLDER] [--rules chip|notebook] [--time]``

1024-2048-256 on 49 logical cores: images padded to 32x32, binary activations everywhere on chip. An epoch per line;
with a checkpoint, which is written after every epoch, a training that was cut goes on; ``--start`` takes the weights of
another training's checkpoint. The last 5,000 training images
are for choices only; test images are used once, at the end. ``--evaluate`` trains nothing: the network of a checkpoint
is programmed into chips of several kinds, three each, and read once per image. ``--rules notebook``: the modules and
the training that such networks come from, defects included. ``--time``: seconds of epochs on all 60,000 images, by the
clock and of the processor, which other work on the machine disturbs less; nothing is judged.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from crossohm.chip import ChipSpec, NetworkShape
from crossohm.datasets import load_dataset
from crossohm.flax import EICNet, Recipe, Trainer, evaluate, on_chip, recalibrate
from crossohm.flax.eic.augment import encoded
from crossohm.flax.eic.notebook import notebook_network, notebook_recipe
from crossohm.params import CrossSimParameters

HELD_OUT, CHIPS, CALIBRATION = 5000, 3, 500


def noise(effect: str, model: str, magnitude: float = 0.0) -> dict[str, Any]:
    """Settings of an effect of devices."""
    path = f"xbar.device.{effect}"
    return {f"{path}.enable": True, f"{path}.model": model, f"{path}.magnitude": magnitude}


#: Errors of the generic chips, parts of the highest conductance; offsets of comparators are in units of their levels.
ERRORS = noise("programming_error", "NormalIndependentDevice", 0.05) | noise(
    "read_noise", "NormalIndependentDevice", 0.02
)
OFFSET = 0.1
HARDWARE: dict[str, dict[str, Any]] = {
    "cells of 4 bits, 5 % programming error, 2 % read noise": {"xbar.device.cell_bits": 4, **ERRORS},
    "cells of 8 bits, 5 % programming error, 2 % read noise": {"xbar.device.cell_bits": 8, **ERRORS},
    "resistive memory of Wan et al., 1 to 39 uS": {
        "xbar.device.Rmin": 1e6 / 39, "xbar.device.Rmax": 1e6, **noise("programming_error", "RRAMWan"),
    },
    "resistive memory of Milo et al., 50 to 225 uS": {
        "xbar.device.Rmin": 1e6 / 225, "xbar.device.Rmax": 1e6 / 50, **noise("programming_error", "RRAMMilo"),
    },
}  # fmt: skip


def images_of(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Padded images and labels."""
    data = load_dataset("mnist", data_dir=folder, split=split)
    return np.pad(np.asarray(data.images)[:, 0], ((0, 0), (2, 2), (2, 2))), np.asarray(data.labels, np.int32)


def main() -> None:
    """Train, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--input", choices=("grey", "binary"), default="grey")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--rules", choices=("chip", "notebook"), default="chip")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--start", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--evaluate", type=Path)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "mnist")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    images, labels = images_of(options.data, "train")
    net, recipe = _start(options)
    if options.time:
        _print_times(Trainer(net, images, labels, recipe))
        return
    if options.evaluate is not None:
        Trainer(net, images[:-HELD_OUT], labels[:-HELD_OUT], Recipe()).start_from(options.evaluate)
        held_out = images[-HELD_OUT:], labels[-HELD_OUT:]
        chosen = held_out if options.split == "validation" else images_of(options.data, "test")
        _print_chips(net, images[:CALIBRATION], *chosen, options.split)
        return
    trainer = Trainer(net, images[:-HELD_OUT], labels[:-HELD_OUT], recipe)
    if options.checkpoint is not None and options.checkpoint.exists():
        trainer.load(options.checkpoint)
    elif options.start is not None:
        trainer.start_from(options.start)
    while trainer.epoch < recipe.epochs:
        start = time.perf_counter()
        loss = trainer.run_epoch()
        seconds = time.perf_counter() - start
        found = evaluate(net, images[-HELD_OUT:], labels[-HELD_OUT:], sd=recipe.sd, reads=1)
        print(f"epoch {trainer.epoch}: {seconds:.1f} s, loss {loss:.4f}, validation {found.mean:.2%}", flush=True)
        if options.checkpoint is not None:
            trainer.save(options.checkpoint)
    _print_table(net, recipe, options)


def _start(options: argparse.Namespace) -> tuple[EICNet, Recipe]:
    """The network before training, and how it is trained."""
    bits = 1 if options.input == "binary" else 8
    if options.rules == "notebook":
        net = notebook_network(input_bits=bits, seed=options.seed)
        recipe = notebook_recipe(options.epochs, seed=options.seed)
    else:
        net = EICNet(NetworkShape(ChipSpec(input_bits=bits), input_bits=bits), rngs=nnx.Rngs(options.seed))
        recipe = Recipe(epochs=options.epochs, seed=options.seed)
    return net, recipe if options.rate is None else replace(recipe, rate=options.rate)


def _print_times(trainer: Trainer) -> None:
    while trainer.epoch < trainer.recipe.epochs:
        start, busy = time.perf_counter(), time.process_time()
        trainer.run_epoch()
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        print(
            f"epoch {trainer.epoch}, {len(trainer.images)} images: {seconds:.1f} s, {busy:.1f} s of the processor; "
            f"compiled {trainer.traces} times so far", flush=True,
        )  # fmt: skip


def _print_chips(net: EICNet, calibration: np.ndarray, images: np.ndarray, labels: np.ndarray, split: str) -> None:
    """Accuracy of single reads for each kind of chip, with thresholds as trained and calibrated again."""
    inputs = encoded(calibration, net.shape.input_bits)
    found = evaluate(net, images, labels, reads=1)
    print(f"{split} images, single reads, {CHIPS} chips of a kind; without a chip {found.mean:.2%}\n")
    print("| chip | recalibrated | mean | sd | worst |\n|---|---|---|---|---|")
    for name, settings in HARDWARE.items():
        params = CrossSimParameters()
        params.update(settings)
        chips = [on_chip(net, params, seed, inputs, comparator_offset=OFFSET) for seed in range(CHIPS)]
        for recalibrated in ("no", "yes"):
            if recalibrated == "yes":
                for chip in chips:
                    recalibrate(chip, inputs)
            right = [
                evaluate(chip, images, labels, reads=1, seed=seed, mode="device").mean
                for seed, chip in enumerate(chips)
            ]
            spread = np.std(right, ddof=1)
            print(f"| {name} | {recalibrated} | {np.mean(right):.2%} | {spread:.2%} | {min(right):.2%} |", flush=True)


def _print_table(net: EICNet, recipe: Recipe, options: argparse.Namespace) -> None:
    found = evaluate(net, *images_of(options.data, "test"), sd=recipe.sd, reads=8)
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
