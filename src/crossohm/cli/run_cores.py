"""``crossohm run --model eic_mnist``: a trained network of fixed-size cores without noise, with noise, and on chips."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import typer

from crossohm._files import write_whole
from crossohm.cli.progress import progress_bar
from crossohm.cli.sheet import Kind, Sheet
from crossohm.studies.file.hardware import load_hardware
from crossohm.studies.results.records import RecordFolder

if TYPE_CHECKING:
    from crossohm.params import CrossSimParameters

#: Options of ``crossohm run`` that apply.
OPTIONS = {
    "model", "dataset", "data_dir", "hardware", "overrides", "draws", "images", "seed", "output", "quiet", "as_json",
}  # fmt: skip
#: What files of its folder are called in their own heading.
RUN_FORM, READ_FORM = "crossohm run of cores 1", "crossohm reads of cores 1"
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
    draws: int, images: int | None, seed: int, folder: Path, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Evaluate a network of `crossohm.chip.TRAINED` in its three modes; print what was found, and keep it in a folder.

    A chip that the folder has already is not simulated again, and it may be asked for more of them.

    Raises:
        CrossOhmError: an option is not possible, or data or hardware cannot be read; names it.
        MissingDependencyError: Flax is not installed.
    """
    from crossohm.chip.cores import check_hardware
    from crossohm.errors import ParameterError
    from crossohm.layers.network import networks_of_cores

    if dataset != DATASET:
        raise ParameterError("--dataset", dataset, f"is not what {model} was trained on", allowed=DATASET)
    for option, value in (("--draws", draws), ("--images", 1 if images is None else images)):
        if value < 1:
            raise ParameterError(option, value, "is out of range", allowed="1, 2, 3, ...")
    asked = _Asked(model, data_dir, hardware or HARDWARE, tuple(overrides), images, seed)
    net = networks_of_cores().shipped_network(model)
    check_hardware(asked.params, net.shape.chip.sign)
    records = RecordFolder(folder, "run", RUN_FORM)
    records.open_for(asked.as_dict())
    with progress_bar(hidden=quiet or as_json) as progress:
        modes = _modes(net, asked, draws, records, progress)
    found = {**asked.as_dict(), "modes": [mode.as_dict() for mode in modes]}
    write_whole(folder / "results.json", json.dumps(found, indent=1, allow_nan=False).encode())
    if as_json:
        typer.echo(json.dumps(found, allow_nan=False))
    elif quiet:
        means = ", ".join(f"{mode.name} {np.mean(mode.accuracies):.2%}" for mode in modes)
        typer.echo(f"{means}; results in {folder}")
    else:
        _table(model, asked.hardware, modes).write()
        typer.echo(f"Results in {folder}")


@final
@dataclass(frozen=True)
class _Asked:
    """What decides about every number but how many chips there are."""

    model: str
    data_dir: Path | None
    hardware: str
    overrides: tuple[str, ...]
    images: int | None
    seed: int

    @cached_property
    def params(self) -> CrossSimParameters:
        """The hardware.

        Raises:
            ParameterError: the description or an override is not valid.
            DataError: the file cannot be read.
        """
        return load_hardware(self.hardware, self.overrides)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; hardware that is a file may change, so its content is among them."""
        return {
            "model": self.model, "dataset": DATASET, "hardware": self.hardware, "set": list(self.overrides),
            "seed": self.seed, "images": self.images, "parameters": json.loads(self.params.to_json()),
        }  # fmt: skip


def _modes(
    net: Any, asked: _Asked, draws: int, records: RecordFolder, progress: Callable[[str, int, int], None]
) -> list[Mode]:
    from crossohm.layers.network import networks_of_cores

    cores, seed = networks_of_cores(), asked.seed
    inputs, labels = _images(asked.data_dir, "test", asked.images)
    seen = cores.encoded(_images(asked.data_dir, "train", CALIBRATION)[0], net.shape.input_bits)

    def read(chip: Any) -> dict[str, float]:
        found = cores.evaluate(chip, inputs, labels, sd=NOISE, reads=READS_ON_CHIP, seed=seed, mode="device")
        return {"single": found.mean, "averaged": found.averaged[READS_ON_CHIP]}

    def on_chip(number: int) -> dict[str, Any]:
        chip = cores.on_chip(net, asked.params, seed + number, seen, comparator_offset=OFFSETS)
        found = {"device": read(chip)}
        cores.recalibrate(chip, seen, sd=NOISE, seed=seed)
        return {**found, "device, calibrated": read(chip)}

    def without_chip() -> dict[str, Any]:
        found = cores.evaluate(net, inputs, labels, sd=NOISE, reads=READS, seed=seed)
        return {"ideal": found.ideal, "single": list(found.single), "averaged": found.averaged[READS]}

    chips = []
    for number in range(draws):
        progress("chips", number, draws)
        chips.append(_kept(records, f"chip-{number:03d}", partial(on_chip, number)))
    progress("chips", draws, draws)
    noisy = _kept(records, "without-chip", without_chip)
    return [
        Mode("ideal", (noisy["ideal"],)),
        Mode("noisy", tuple(noisy["single"]), noisy["averaged"]),
        *(
            Mode(
                name, tuple(chip[name]["single"] for chip in chips),
                float(np.mean([chip[name]["averaged"] for chip in chips])),
            )
            for name in chips[0]
        ),
    ]  # fmt: skip


def _kept(records: RecordFolder, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The record of this name; computed, and kept, if there is none."""
    found: dict[str, Any] | None = records.read(name, READ_FORM)
    if found is None:
        found = compute()
        records.write(name, READ_FORM, found)
    return found


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
