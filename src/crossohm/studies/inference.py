"""The main job: how accurate is a trained network on analog hardware?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from crossohm.calibration.model import Progress, calibrate_network, silent
from crossohm.chain.inspection.slow import slow_path
from crossohm.datasets import Dataset, load_dataset
from crossohm.errors import warn_user
from crossohm.layers.hardware import LayerHardware
from crossohm.models import load_model
from crossohm.params import CrossSimParameters
from crossohm.studies.report import HardwareReport, hardware_report
from crossohm.studies.results.sampling import Paired, discordant, paired
from crossohm.studies.results.statistics import Spread, spread, top_k_accuracy, top_k_right
from crossohm.studies.settings import RunSettings
from crossohm.studies.work.failures import require_answers
from crossohm.torch import TorchNetwork


@final
@dataclass(frozen=True)
class Prepared:
    """A trained network, its test images, and hardware with ranges that fit them.

    Attributes:
        network: The network, digital.
        test: The images to classify.
        hardware: One description per layer, with calibrated ranges.
    """

    network: TorchNetwork
    test: Dataset
    hardware: tuple[LayerHardware, ...]


@final
@dataclass(frozen=True, eq=False)
class RunResult:
    """What an inference run found.

    Attributes:
        settings: What was asked for.
        hardware: The description of every core's hardware, by layer name (and matrix), with the ranges used.
        report: What that hardware occupies.
        labels: Right answers, ``(images,)``.
        digital: Outputs of the digital network, ``(images, classes)``.
        analog: Outputs of every chip, ``(chips, images, classes)``.
        seconds: Time taken by each part.
    """

    settings: RunSettings
    hardware: dict[str, CrossSimParameters]
    report: HardwareReport
    labels: NDArray[np.int64]
    digital: NDArray[np.float32]
    analog: NDArray[np.float32]
    seconds: dict[str, float]

    def digital_accuracy(self, k: int = 1) -> float:
        """Top-k accuracy of the digital network, 0..1."""
        return top_k_accuracy(self.digital, self.labels, k)

    def analog_accuracy(self, k: int = 1) -> Spread:
        """Top-k accuracy of the chips, 0..1."""
        return spread(top_k_accuracy(outputs, self.labels, k) for outputs in self.analog)

    def paired(self, k: int = 1) -> Paired:
        """The answers of the chips beside those of the digital network."""
        wanted = top_k_right(self.digital, self.labels, k)
        return paired([discordant(wanted, top_k_right(outputs, self.labels, k)) for outputs in self.analog])


@final
@dataclass
class Stopwatch:
    """Seconds by name; a name used again adds up."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Time a ``with`` block."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def prepare(settings: RunSettings, progress: Progress = silent) -> Prepared:
    """Load network and data, and calibrate the hardware on the first images of the training split.

    Raises:
        CrossOhmError: data, model or hardware are not as they must be; the message says what and where.
    """
    test = load_dataset(settings.dataset, data_dir=settings.data_dir, split="test", limit=settings.images)
    network = TorchNetwork(load_model(str(settings.model)), settings.batch_size).seeing(test.images[:2])
    described = [settings.hardware.copy() for _ in network.convertible]
    hardware: list[LayerHardware] = [*described]
    if settings.calibrate:
        train = load_dataset(
            settings.dataset, data_dir=settings.data_dir, split="train", limit=settings.calibration_images
        )
        hardware = calibrate_network(
            network,
            described,
            train.images,
            objective=settings.objective,
            percentile=settings.percentile,
            progress=progress,
        )
    return Prepared(network, test, tuple(hardware))


def run_inference(settings: RunSettings, progress: Progress = silent) -> RunResult:
    """Classify test images digitally and on several simulated chips.

    Args:
        settings: What to run.
        progress: Told after every batch what is being done, and how many images of how many are done.

    Raises:
        CrossOhmError: data, model or hardware are not as they must be; the message says what and where.
    """
    slow = slow_path(settings.hardware)
    if slow is not None:
        warn_user(f"this hardware takes long: {slow}")
    watch = Stopwatch()
    with watch.measure("prepare"):
        ready = prepare(settings, progress)
    images = ready.test.images
    with watch.measure("digital"):
        digital = ready.network.outputs(images, "digital", progress)
        require_answers(digital, len(images), f"model {settings.model!r}")
    top_k_accuracy(digital, ready.test.labels, settings.top_k)  # a bad top_k must not wait for the last chip
    chips = []
    for seed in settings.seeds:
        with watch.measure("program"):
            chip = ready.network.on_hardware(ready.hardware, seed)
        with watch.measure("analog"):
            answers = chip.outputs(images, f"chip {seed}", progress)
            chips.append(require_answers(answers, len(images), f"chip {seed}"))
    return RunResult(
        settings=settings,
        hardware={name: core.params for name, core in chip.cores.items()},
        report=hardware_report(chip, images[0]),
        labels=ready.test.labels,
        digital=digital,
        analog=np.stack(chips),
        seconds=watch.seconds,
    )
