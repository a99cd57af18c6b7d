"""Training on devices: time per addressed device and per sample, over plain PyTorch, and what networks reach.

Usage: ``OMP_NUM_THREADS=1 python benchmarks/training.py --lut FOLDER [--only cells|epochs|accuracy] [--mnist FOLDER]``
       ``... --only rates --mnist FOLDER [--row TEXT] [--rates RATE ...]``
       ``... --only mnist --mnist FOLDER --results FOLDER [--row TEXT]``

FOLDER holds measured devices (``ENODe``, ``TaOx_1``). Times are processor seconds of one thread, the shortest of the
rounds. Accuracies are means over three seeds, with their standard deviation, on scikit-learn's 8 x 8 digits (1,201 for
training, 596 for test; the recipe's own 3,823 training digits are not shipped with it), or with ``--mnist`` on MNIST.
``mnist`` compares rules on the same MNIST images, row by row: a run that was cut goes on after its last whole pass.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from crossohm.datasets import load_dataset
from crossohm.studies.training.run import run_training
from crossohm.studies.training.study import load_training
from crossohm.training.arrays.cells import Cells
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.described import rule_of, update_model_of
from crossohm.training.perceptron import Perceptron
from crossohm.training.recipes import recipe
from crossohm.training.rules.parallel import Parallel
from crossohm.training.tables import read_table
from crossohm.training.updates.lookup import LookupUpdate
from crossohm.training.updates.model import UpdateModel

ROWS, COLUMNS = 300, 785
#: Learning rate of the digits at which rules are compared, beside the recipe's own. On a quarter of the training set,
#: not learned, 0.02 was as good as 0.006 (mixed precision) or better, and as 0.06 and 0.2 (Tiki-Taka v2, AGAD).
CHOSEN_RATE = 0.02
#: The comparison of rules on MNIST: training images (the first of the file) and passes over them, in every row.
MNIST_IMAGES, MNIST_PASSES = 2000, 2
#: Training images at the end of the file, never learned, on which rates of rules with a buffer are chosen.
HELD_BACK = 2000
BUFFERED: dict[str, Any] = {
    "mixed precision": "mixed_precision",
    "Tiki-Taka v2": "tiki_taka_v2",
    "AGAD (period 10)": {"model": "agad", "period": 10},
}
#: On MNIST a sweep over the columns of the first layer takes 785 images, and AGAD sends nothing in its first period:
#: with the digits' ten sweeps nothing would be learned before image 7,850.
MNIST_BUFFERED = {
    "mixed precision": BUFFERED["mixed precision"],
    "Tiki-Taka v2": BUFFERED["Tiki-Taka v2"],
    "AGAD (period 1)": {"model": "agad", "period": 1},
}
PLAIN: dict[str, Any] = {"parallel": "parallel", "carry (2 cores, base 5)": {"model": "carry", "cores": 2, "base": 5.0}}
RATES = [0.0025, 0.01, 0.04, 0.16]
#: What ``--only rates`` found best, by device and rule; ``--only mnist`` has no row of rules it was not found for.
MNIST_RATES: dict[tuple[str, str], float] = {
    ("ENODe", "mixed precision"): 0.01,
    ("TaOx", "mixed precision"): 0.01,
    ("ENODe", "Tiki-Taka v2"): 2.56,
    ("TaOx", "Tiki-Taka v2"): 0.64,
    ("ENODe", "AGAD (period 1)"): 0.64,
    ("TaOx", "AGAD (period 1)"): 0.16,
}


def shortest(run: Callable[[], object], rounds: int) -> float:
    """Processor seconds of the shortest of some runs."""
    run()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def devices(lut: Path) -> dict[str, UpdateModel]:
    """What is measured."""
    taox = read_table(lut / "TaOx_1")
    return {
        "ideal": update_model_of("ideal"),
        "analytic, write noise": update_model_of({"model": "analytic", "nonlinearity": 2.0, "write_noise": 0.05}),
        "soft bounds": update_model_of({"model": "reram_sb", "visible_noise": 0.0}),
        "ENODe (own grid, 48 x 122)": LookupUpdate(read_table(lut / "ENODe")),
        "TaOx (own grid, 501 x 501)": LookupUpdate(taox),
        "TaOx (256 x 64)": LookupUpdate(taox, grid=(256, 64)),
        "40 tables (256 x 64)": LookupUpdate([taox] * 40),
    }


def cells(lut: Path) -> None:
    """Nanoseconds per addressed device of one outer product."""
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(1, 1, ROWS)), rng.normal(size=(1, 1, COLUMNS))
    print("| device | ns per addressed device |\n|---|---|")
    for name, model in devices(lut).items():
        array = Cells(model, (ROWS, COLUMNS), [1], "benchmark")
        seconds = shortest(lambda of=array: of.write_outer(rows, columns, 1e-3), 20)
        print(f"| {name} | {seconds / ROWS / COLUMNS * 1e9:.1f} |", flush=True)


def plain(x: np.ndarray, labels: np.ndarray, sizes: tuple[int, ...], batch: int) -> Callable[[], None]:
    """One epoch of PyTorch's own descent."""
    torch.set_num_threads(1)
    layers: list[nn.Module] = [nn.Linear(sizes[0], sizes[1]), nn.Sigmoid(), nn.Linear(sizes[1], sizes[2])]
    network = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    samples, targets = torch.from_numpy(x), torch.from_numpy(labels)

    def epoch() -> None:
        for start in range(0, len(samples), batch):
            optimizer.zero_grad()
            part = slice(start, start + batch)
            nn.functional.cross_entropy(network(samples[part]), targets[part], reduction="sum").backward()
            optimizer.step()

    return epoch


def epochs(lut: Path) -> None:
    """Time per sample of the digits' recipe over PyTorch at the same batch size."""
    chosen = recipe("digits")
    train = load_dataset("digits", split="train")
    x, _ = chosen.scaled(*[train.images.reshape(len(train), -1).astype(np.float32)] * 2)
    print("| digits, 64-36-10 | batch | semantics | us per sample | ratio |\n|---|---|---|---|---|")
    for batch, semantics in ((1, "per_sample"), (10, "minibatch_sequential"), (10, "burst")):
        digital = shortest(plain(x, train.labels, chosen.sizes, batch), 3) / len(x)
        print(f"| PyTorch | {batch} | | {digital * 1e6:.0f} | 1 |", flush=True)
        for name, model in devices(lut).items():
            network = Perceptron(chosen.sizes, chosen.limits, ArraySettings(model=model), Parallel(), [0])
            seconds = shortest(
                lambda of=network, how=semantics, size=batch: of.train(
                    x, train.labels, 1e-3, semantics=how, batch=size
                ),
                3,
            )
            seconds /= len(x)
            print(f"| {name} | {batch} | {semantics} | {seconds * 1e6:.0f} | {seconds / digital:.2f} |", flush=True)


def _measured(lut: Path) -> dict[str, dict[str, str]]:
    """Measured devices as studies describe them."""
    named = {"ENODe": "ENODe", "TaOx": "TaOx_1"}
    return {name: {"model": "lookup", "path": str((lut / folder).resolve())} for name, folder in named.items()}


def rates(lut: Path, mnist: Path, only: str, tried: list[float]) -> None:
    """Accuracy on held-back training images after one pass of the comparison on MNIST, one seed, at several rates."""
    chosen = recipe("mnist")
    data = load_dataset("mnist", split="train", data_dir=mnist)
    images = data.images.reshape(len(data), -1).astype(np.float32)
    x, held = chosen.scaled(images[:MNIST_IMAGES], images[-HELD_BACK:])
    print(f"| device | rule | {' | '.join(map(str, tried))} |\n|---|---|{'---|' * len(tried)}")
    for device, described in _measured(lut).items():
        settings = ArraySettings(model=update_model_of(described))
        for name, rule in MNIST_BUFFERED.items():
            if only not in f"{device}, {name}":
                continue
            print(f"| {device} | {name} |", end="", flush=True)
            for rate in tried:
                network = Perceptron(chosen.sizes, chosen.limits, settings, rule_of(rule), [0])
                network.train(x, data.labels[:MNIST_IMAGES], rate, semantics="per_sample", batch=1)
                found = network.accuracy(held, data.labels[-HELD_BACK:])
                print(f" {100 * found.mean():.1f} |", end="", flush=True)
            print(flush=True)


def mnist_rows(lut: Path, mnist: Path, results: Path, only: str) -> None:
    """Rules on the same MNIST images; rows whose name has ``only`` in it, each with a folder of its own."""
    table = _measured(lut)
    rows = [(device, name, rule) for device in ("numeric", *table) for name, rule in PLAIN.items()]
    rows += [(device, name, MNIST_BUFFERED[name]) for device, name in MNIST_RATES]
    print("| device | rule | rate | pass | accuracy | s per pass, three seeds |\n|---|---|---|---|---|---|", flush=True)
    for device, name, rule in rows:
        label = f"{device}, {name}"
        if only not in label:
            continue
        rate = MNIST_RATES.get((device, name))
        study = {
            "recipe": "mnist",
            "data_dir": str(mnist.resolve()),
            "epochs": MNIST_PASSES,
            "train_samples": MNIST_IMAGES,
            "seeds": 3,
            "device": table.get(device, "ideal"),
            "rule": rule,
            "learning_rate": rate,
        }
        (found,) = run_training(load_training(study), results / label.replace(" ", "_"))
        for epoch, reached in enumerate(100 * np.array(found.accuracy)):
            seconds = f"{found.seconds[epoch - 1]:.0f}" if epoch else ""
            mean = f"{reached.mean():.1f} ± {reached.std(ddof=1):.1f}"
            print(f"| {device} | {name} | {rate or 'recipe'} | {epoch} | {mean} | {seconds} |", flush=True)


def accuracy(lut: Path, mnist: Path | None, number: int, samples: int | None) -> None:
    """What networks reach on each device with each rule."""
    measured = _measured(lut)
    study: dict[str, Any] = {
        "recipe": "mnist" if mnist else "digits",
        "data_dir": None if mnist is None else str(mnist.resolve()),
        "epochs": number,
        "train_samples": samples,
        "seeds": 3,
    }
    parallel = {"parallel": PLAIN["parallel"]}
    sweeps: list[dict[str, Any]] = [{"sweep": {"device": {"numeric": "ideal", **measured}, "rule": PLAIN}}]
    if not mnist:
        sweeps.append({"learning_rate": CHOSEN_RATE, "sweep": {"device": measured, "rule": parallel | BUFFERED}})
    print(
        "| network | device | rule | rate | epoch 1 | 3 | last | best mean | s per epoch |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    for sweep in sweeps:
        _trained({**study, **sweep}, number)


def _trained(study: dict[str, Any], number: int) -> None:
    """Rows of a study of ``number`` epochs."""

    def show(_: int, epoch: int, found: Any) -> None:
        if epoch == number:
            means = 100 * np.array(found.accuracy).mean(axis=1)
            mean, spread = found.final
            at = [f"{means[min(e, number)]:.1f}" for e in (1, 3)]
            rate = study.get("learning_rate", "recipe's")
            cells = [
                study["recipe"],
                *found.settings.values(),
                str(rate),
                *at,
                f"{100 * mean:.1f} ± {100 * spread:.1f}",
            ]
            print(f"| {' | '.join(cells)} | {means.max():.1f} | {np.mean(found.seconds):.1f} |", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        run_training(load_training(study), Path(folder), progress=show)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lut", type=Path, required=True, help="folder with measured devices")
    parser.add_argument("--only", choices=("cells", "epochs", "accuracy", "rates", "mnist"), default=None)
    parser.add_argument("--mnist", type=Path, default=None, help="folder with MNIST's files: accuracies on it")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=None, help="training samples; by default all")
    parser.add_argument("--results", type=Path, default=None, help="where rows of --only mnist are kept")
    parser.add_argument("--row", default="", help="text in the names of the rows of --only mnist, rates")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="what --only rates compares")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # of resampled tables
    if options.only in (None, "cells"):
        cells(options.lut)
    if options.only in (None, "epochs"):
        epochs(options.lut)
    if options.only in (None, "accuracy"):
        accuracy(options.lut, options.mnist, options.epochs, options.samples)
    if options.only in ("rates", "mnist") and options.mnist is None:
        parser.error("--only rates and --only mnist need --mnist FOLDER")
    if options.only == "rates":
        rates(options.lut, options.mnist, options.row, options.rates)
    if options.only == "mnist":
        if options.results is None:
            parser.error("--only mnist needs --results FOLDER")
        mnist_rows(options.lut, options.mnist, options.results, options.row)


if __name__ == "__main__":
    main()
