"""Networks, data and calibrated hardware that a process has at hand, so that sweep points share them."""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from crossohm.calibration import Calibration, calibrate
from crossohm.datasets import Dataset, load_dataset
from crossohm.datasets.arrays import Arrays
from crossohm.datasets.columns import Columns, arrays_of, part_of
from crossohm.errors import DataError
from crossohm.layers.hardware import LayerHardware
from crossohm.layers.network import Network, Progress, front_end_of, silent
from crossohm.models import load_model
from crossohm.params import CrossSimParameters
from crossohm.studies.file.pairing import file_of, network_name, placed, preprocessing_of
from crossohm.studies.file.sections import DatasetSection, Study
from crossohm.studies.results.sealed import digest, file_digest
from crossohm.studies.work.failures import Answers, require_finite
from crossohm.studies.work.measures import Measured, Tallies, measured_by, outputs_of
from crossohm.studies.work.plugins import load_plugin

T = TypeVar("T")

#: Things of one kind that are kept; a sweep goes through its points in order, so few are needed at a time.
_KEPT = 4

#: Images read at a time for their digest.
_BLOCK = 256

#: Bytes of digital answers that are kept for all chips; classes of pixels and tokens may be many more.
_MOST_ANSWERS = 2**28


@final
@dataclass(frozen=True, eq=False)
class Images:
    """Test or training data as a study uses them.

    Attributes:
        images: As the network takes them; several arrays as `Columns`.
        labels: Classes, or target values; of several outputs as `Columns`.
        digest: SHA-256 of both.
        classes: Names of the classes.
        outputs: Names of the target values.
    """

    images: Any
    labels: Any
    digest: str
    classes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@final
class DigitalAnswers:
    """What the digital network answers: kept if that is little, else computed again where it is looked at.

    Args:
        network: The network.
        images: What it is asked.
        names: Of the outputs that are looked at; the first is the main one.
        who: The network, for messages.
        progress: Told how far it is.

    Raises:
        DataError: it answers NaN.
    """

    def __init__(self, network: Network, images: Any, names: Sequence[str], who: str, progress: Progress) -> None:
        self._network = network
        self._images = images
        self._names = names
        self._kept: list[Mapping[str, NDArray[Any]]] = []
        size, seen = 0, Answers(len(images), who)

        def use(batch: Mapping[str, NDArray[Any]]) -> None:
            nonlocal size
            seen.add(batch)
            size += sum(answers.nbytes for answers in batch.values())
            if not self._kept or size <= _MOST_ANSWERS:
                self._kept.append(batch)

        network.each_answer(images, use, "digital", progress, names)
        seen.require()
        whole = size <= _MOST_ANSWERS
        self._whole = {name: np.concatenate([batch[name] for batch in self._kept]) for name in names} if whole else None
        self._kept = [] if whole else self._kept[:1]

    def each(self, use: Callable[[Mapping[str, NDArray[Any]]], object], progress: Progress) -> None:
        """Tell ``use`` all answers, in one batch if they are kept."""
        if self._whole is None:
            self._network.each_answer(self._images, use, "digital", progress, self._names)
        else:
            use(self._whole)

    def batch(self, start: int, count: int) -> Mapping[str, NDArray[Any]]:
        """The answers to some of the images, by output."""
        chosen = slice(start, start + count)
        if self._whole is not None:
            return {name: answers[chosen] for name, answers in self._whole.items()}
        found: list[Mapping[str, NDArray[Any]]] = []
        self._network.each_answer(part_of(self._images, chosen), found.append, "", silent, self._names)
        return {name: np.concatenate([batch[name] for batch in found]) for name in self._names}

    def look(self, name: str) -> NDArray[Any]:
        """All answers of an output if they are kept, else those to the first images."""
        return (self._whole or self._kept[0])[name]


@final
@dataclass
class Session:
    """What sweep points have in common, loaded once per process.

    Args:
        folder: Folder of the study file: relative paths start there, and own modules are found there.
        progress: Told how far calibration and inference are.
        device: Where networks are, whatever studies say: ``"cpu"`` where nothing is computed. None: as they say.
    """

    folder: Path
    progress: Progress = silent
    device: str | None = None
    _kept: dict[str, OrderedDict[str, Any]] = field(default_factory=dict)

    def start(self, plugins: Sequence[str]) -> None:
        """Execute the user's plug-in files, and let his modules be found."""
        if str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))
        for name in plugins:
            path = (self.folder / name).resolve()
            self._once("plugin", digest([str(path), _stamp(path)]), lambda path=path: load_plugin(path))  # type: ignore[misc]

    def forget(self) -> None:
        """Read network and data anew when they are asked for: their files have changed."""
        for kind in self._kept.keys() - {"plugin"}:
            del self._kept[kind]

    def network(self, study: Study) -> Network:
        """The network of a study, digital.

        Raises:
            CrossOhmError: it cannot be loaded, or the device of the study is not there.
        """

        def load() -> Network:
            model, run = study.model, study.run
            device = self.device or run.device
            name = network_name(study, self.folder)
            loaded = load_model(name, checkpoint=self._checkpoint(study), options=model.options)
            framework = front_end_of(loaded)
            framework.require_device(device, "run.device")
            return framework.network(loaded, run.batch_size, fold_batchnorm=model.fold_batchnorm, device=device)

        return self._once("network", self._network_key(study), load)

    def _network_key(self, study: Study) -> str:
        """Stands for everything that decides what the digital network answers to an image."""
        stamps = [_stamp(path) for path in (self._source(study), self._checkpoint(study))]
        return digest([study.model.model_dump(), study.dataset.name, study.run.model_dump(), stamps])

    def source_digest(self, study: Study) -> str | None:
        """SHA-256 of the user's file that has the network's code; None if it is not in a file of his."""
        path = self._source(study)
        if path is None:
            return None
        return self._once("source", digest([str(path), _stamp(path)]), lambda: file_digest(path))

    def _source(self, study: Study) -> Path | None:
        return None if study.model.name is None else file_of(study.model.name, self.folder)

    def _checkpoint(self, study: Study) -> Path | None:
        name = study.model.checkpoint
        return None if name is None else self.folder / name

    def shown(self, study: Study) -> Network:
        """The same, told by some test images what its inputs look like: ready for hardware."""
        network, data = self.network(study), self.test_images(study)
        key = digest([self._network_key(study), data.digest])
        return self._once("shown", key, lambda: network.seeing(data.images[:2]))

    def model_digest(self, study: Study) -> str:
        """SHA-256 of the network's architecture and weights."""
        network = self.network(study)
        return self._once("model digest", str(id(network)), lambda: (network, network.digest))[1]

    def test_images(self, study: Study) -> Images:
        """The images a study answers.

        Raises:
            DataError: there are fewer than asked for.
        """
        asked = study.dataset

        def load() -> Images:
            end = None if asked.images is None or asked.sample == "random" else asked.first + asked.images
            data = self._split(study, "test", end)
            chosen = _chosen(asked, len(data.labels))
            return _images(data.take(chosen))

        return self._once("test", digest([asked.model_dump(), study.model.name]), load)

    def training_images(self, study: Study) -> Images:
        """The images a study calibrates with."""
        asked, count = study.dataset, study.calibration.images

        def load() -> Images:
            data = self._split(study, "train", count)
            return _images(data.loaded())

        files = [asked.inputs, asked.targets, asked.test_share]
        seen = [asked.name, asked.data_dir, asked.preprocessing, study.model.name, count, files]
        return self._once("train", digest(seen), load)

    def _split(self, study: Study, split: str, limit: int | None) -> Dataset:
        asked = study.dataset
        return load_dataset(
            placed(asked.name, self.folder),
            data_dir=None if asked.data_dir is None else self.folder / asked.data_dir,
            split=split,
            limit=limit,
            preprocessing=preprocessing_of(study, self.folder),
            arrays=Arrays(asked.inputs, asked.targets, asked.test_share),
        )

    def measured(self, study: Study) -> tuple[Measured, ...]:
        """What a study measures.

        Raises:
            CrossOhmError: a metric cannot be had, or does not suit the labels.
        """
        labels = self.test_images(study).labels
        files = [file_of(one.name, self.folder) for one in study.metrics]
        key = digest([study.metric.model_dump(), [one.model_dump() for one in study.metrics],
                      list(map(_stamp, files)), self.test_images(study).digest])  # fmt: skip
        return self._once("measured", key, lambda: measured_by(study, labels, self.folder))

    def digital(self, study: Study) -> DigitalAnswers:
        """What the digital network answers.

        Raises:
            DataError: it answers NaN.
        """
        network, data, names = self.network(study), self.test_images(study), outputs_of(self.measured(study))
        key = digest([self._network_key(study), data.digest, names])
        who = f"model {network_name(study, self.folder)!r}"
        return self._once("digital", key, lambda: DigitalAnswers(network, data.images, names, who, self.progress))

    def digital_measures(self, study: Study, measured: Sequence[Measured], threshold: float | None) -> Tallies:
        """What is measured of the digital network.

        Args:
            study: The study.
            measured: Its metrics, with the threshold.
            threshold: Above which a single output means class 1.

        Raises:
            DataError: a measure is no number.
        """
        data, digital = self.test_images(study), self.digital(study)
        asked = [study.metric.model_dump(), [one.model_dump() for one in study.metrics], threshold, data.digest]

        def count() -> Tallies:
            found = Tallies(measured, data.labels)
            digital.each(lambda batch: found.add(batch, batch), self.progress)
            require_finite(found.values(), "the digital network")
            return found

        return self._once("digital measures", digest([id(digital), asked]), count)

    def calibrated(
        self, study: Study, described: Mapping[str, CrossSimParameters], key: str
    ) -> dict[str, LayerHardware]:
        """Layer descriptions with ranges that fit the training images, or with those of a file.

        Args:
            study: Says how.
            described: By name.
            key: Stands for all that the ranges depend on.

        Raises:
            DataError: the file cannot be read.
            ParameterError: its ranges were found on other hardware.
            UnknownNameError: it has the ranges of another network.
        """
        asked = study.calibration
        if asked.file is not None:
            return Calibration.load(self.folder / asked.file).on(described)
        if not asked.inputs:
            return dict(described)
        return self._once("hardware", key, lambda: self.calibration(study, described).hardware)

    def calibration(self, study: Study, described: Mapping[str, CrossSimParameters]) -> Calibration:
        """Ranges that fit the training images."""
        asked = study.calibration
        return calibrate(
            self.network(study),
            _batches(self.training_images(study).images, study.run.batch_size),
            described,
            objective=asked.objective,
            percentile=asked.percentile or 99.99,
            input_percentile=asked.input_percentile or 100.0,
            keep_adc_ranges=not asked.adc,
            zero_level=asked.zero_level,
            relu_aware=asked.relu_aware,
            progress=self.progress,
        )

    def _once(self, kind: str, key: str, make: Callable[[], T]) -> T:
        """The thing of this kind and key, made if it is not at hand; the least recently used one goes."""
        kept = self._kept.setdefault(kind, OrderedDict())
        if key not in kept:
            kept[key] = make()
        kept.move_to_end(key)
        while len(kept) > _KEPT and kind != "plugin":
            kept.popitem(last=False)
        found: T = kept[key]
        return found


def _stamp(path: Path | None) -> list[int] | None:
    """Changes when a file does; None if there is none."""
    if path is None or not path.is_file():
        return None
    found = path.stat()
    return [found.st_mtime_ns, found.st_size]


def _chosen(asked: DatasetSection, available: int) -> NDArray[np.int64]:
    count = available - asked.first if asked.images is None else asked.images
    if count < 1 or asked.first + count > available:
        raise DataError(
            f"dataset: images {asked.first} to {asked.first + count - 1} of {asked.name} were asked for, "
            f"but the test split has {available}"
        )
    if asked.sample == "first":
        return np.arange(asked.first, asked.first + count)
    drawn = np.random.default_rng(asked.sample_seed).choice(available - asked.first, count, replace=False)
    return np.sort(asked.first + drawn)


def _images(data: Dataset) -> Images:
    """Images and labels with their digest; image files are read in blocks, and not kept.

    Raises:
        DataError: an image is not made of numbers.
    """
    held = [(name, array) for of in (data.images, data.labels) for name, array in arrays_of(of)]
    found = hashlib.sha256("".join(f"{name}{array.dtype}{array.shape}" for name, array in held).encode())
    for _, images in arrays_of(data.images):
        for start in range(0, len(images), _BLOCK):
            block = np.ascontiguousarray(images[start : start + _BLOCK])
            if not np.isfinite(block).all():
                where = tuple(int(index) for index in np.argwhere(~np.isfinite(block))[0])
                raise DataError(
                    f"{data.name}: image {start + where[0]} holds {block[where]}; images are made of numbers"
                )
            found.update(block.data)
    for _, labels in arrays_of(data.labels):
        found.update(np.ascontiguousarray(labels).data)
    return Images(data.images, data.labels, found.hexdigest(), data.classes, data.outputs)


def _batches(images: Any, size: int) -> Any:
    """One array, or the batches of several, as calibration takes them."""
    if not isinstance(images, Columns):
        return images
    return [images[start : start + size] for start in range(0, len(images), size)]
