"""``crossohm run --model eic_mnist``: a trained network of fixed-size cores without noise, with noise, and on chips."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import typer

from crossohm._files import write_whole
from crossohm.cli.progress import progress_bar
from crossohm.cli.sheet import Kind, Sheet

#: Options of ``crossohm run`` that apply.
OPTIONS = {
    "model", "dataset", "data_dir", "hardware", "overrides", "draws", "images", "seed", "output", "quiet", "as_json",
}  # fmt: skip
#: The only data set that such networks come with, and what its images are padded by to 32x32.
DATASET, MARGIN = "mnist", 2
#: Hardware of their cores, unless another one is given.
HARDWARE = "rram-cores"
#: Training images that thresholds of a chip are calibrated on.
CALIBRATION = 500
#: Noise of comparators and the spread of their offsets, in units of what the network was calibrated to.
NOISE = OFFSETS = 0.1
#: Reads of every image in mode ``noisy``, and on every chip.
READS, READS_ON_CHIP = 8, 4


@final
@dataclass(frozen=True)
class Mode:
    """Accuracies of one mode, parts of 1: of single reads of one network, or of every chip."""

    name: str
    accuracies: tuple[float, ...]
    averaged: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values; the standard deviation is that of the sample, None of a single value."""
        values = np.asarray(self.accuracies)
        return {
            "mode": self.name, "mean": float(values.mean()), "worst": float(values.min()),
            "sd": float(values.std(ddof=1)) if len(values) > 1 else None, "accuracies": list(self.accuracies),
            "averaged": self.averaged,
        }  # fmt: skip


def run_cores(
    *, model: str, dataset: str, data_dir: Path | None, hardware: str | None, overrides: Iterable[str],
    draws: int, images: int | None, seed: int, output: Path | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Evaluate a network of `crossohm.chip.TRAINED` in its three modes and print, or write, what was found.

    Raises:
        CrossOhmError: an option is not possible, or data or hardware cannot be read; names it.
        MissingDependencyError: Flax is not installed.
    """
    from crossohm.errors import ParameterError

    if dataset != DATASET:
        raise ParameterError("--dataset", dataset, f"is not what {model} was trained on", allowed=DATASET)
    for option, value in (("--draws", draws), ("--images", 1 if images is None else images)):
        if value < 1:
            raise ParameterError(option, value, "is out of range", allowed="1, 2, 3, ...")
    hardware = hardware or HARDWARE
    with progress_bar(hidden=quiet or as_json) as progress:
        modes = _modes(model, data_dir, hardware, tuple(overrides), draws, images, seed, progress)
    found = {"model": model, "dataset": dataset, "hardware": hardware, "set": list(overrides),
             "seed": seed, "images": images, "modes": [mode.as_dict() for mode in modes]}  # fmt: skip
    if output is not None:
        write_whole(output, json.dumps(found, indent=1, allow_nan=False).encode())
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))
    elif quiet:
        typer.echo(", ".join(f"{mode.name} {np.mean(mode.accuracies):.2%}" for mode in modes))
    else:
        _table(model, hardware, modes).write()


def _modes(
    model: str, data_dir: Path | None, hardware: str, overrides: tuple[str, ...], draws: int, images: int | None,
    seed: int, progress: Callable[[str, int, int], None],
) -> list[Mode]:  # fmt: skip
    from crossohm.layers.network import networks_of_cores
    from crossohm.studies.file.hardware import load_hardware

    cores = networks_of_cores()
    params, net = load_hardware(hardware, overrides), cores.shipped_network(model)
    inputs, labels = _images(data_dir, "test", images)
    seen = cores.encoded(_images(data_dir, "train", CALIBRATION)[0], net.shape.input_bits)
    plain: list[Any] = []
    moved: list[Any] = []
    for number in range(draws):
        progress("chips", number, draws)
        chip = cores.on_chip(net, params, seed + number, seen, comparator_offset=OFFSETS)
        for found in (plain, moved):
            if found is moved:
                cores.recalibrate(chip, seen, sd=NOISE, seed=seed)
            found.append(cores.evaluate(chip, inputs, labels, sd=NOISE, reads=READS_ON_CHIP, seed=seed, mode="device"))
    progress("chips", draws, draws)
    noisy = cores.evaluate(net, inputs, labels, sd=NOISE, reads=READS, seed=seed)
    return [
        Mode("ideal", (noisy.ideal,)),
        Mode("noisy", noisy.single, noisy.averaged[READS]),
        *(
            Mode(name, tuple(one.mean for one in found), float(np.mean([one.averaged[READS_ON_CHIP] for one in found])))
            for name, found in (("device", plain), ("device, calibrated", moved))
        ),
    ]


def _images(data_dir: Path | None, split: str, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    from crossohm.datasets import load_dataset

    data = load_dataset(DATASET, data_dir=data_dir, split=split)
    padding = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
    return np.pad(np.asarray(data.images)[:count, 0], padding), np.asarray(data.labels)[:count]


def _table(model: str, hardware: str, modes: list[Mode]) -> Sheet:
    caption = (
        f"single reads with comparator noise {NOISE} (noisy: {READS} reads; device: chips, the mean of {READS_ON_CHIP} "
        f"reads each, comparator offsets {OFFSETS}); averaged: log-probabilities of these reads; calibrated: "
        f"thresholds moved on {CALIBRATION} training images"
    )
    headings = [("mode", Kind.NAME), *((name, Kind.NUMBER) for name in ("mean", "sd", "worst", "averaged"))]
    rows = [
        (mode.name, *("" if one is None else f"{one:.2%}" for one in (
            found["mean"], found["sd"], found["worst"], found["averaged"])))
        for mode in modes for found in [mode.as_dict()]
    ]  # fmt: skip
    return Sheet(f"{model} on {hardware}", headings, caption, rows)
