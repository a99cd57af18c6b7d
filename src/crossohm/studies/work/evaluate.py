"""One chip at one point: programmed, asked, measured, kept."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.costs.occupancy import HardwareReport, hardware_report
from crossohm.datasets.columns import Columns, arrays_of
from crossohm.errors import DataError
from crossohm.layers.hardware import LayerHardware, hardware_as_data
from crossohm.layers.network import Deviation, Network
from crossohm.metrics.known import ranks
from crossohm.studies.nonidealities import without
from crossohm.studies.results.provenance import provenance
from crossohm.studies.results.sampling import discordant
from crossohm.studies.results.sealed import digest
from crossohm.studies.results.store import ResultStore
from crossohm.studies.work.failures import Answers, require_finite
from crossohm.studies.work.measures import Measured, Tallies, outputs_of, threshold_of, with_threshold
from crossohm.studies.work.session import DigitalAnswers, Session
from crossohm.studies.work.taps import Taps
from crossohm.studies.work.units import Unit, stand_ins, unpacked


def compute(unit: Unit, store: ResultStore, session: Session) -> bool:
    """Compute a unit and keep its result, unless it is there already.

    Returns:
        True if it was computed.

    Raises:
        CrossOhmError: the point is not possible.
    """
    if store.read(unit.key, thorough=True) is not None:
        return False
    started = time.perf_counter()
    point = MeasuredPoint(unit, session)
    record, arrays = point.measured()
    if not store.has_hardware(point.hardware_key):
        store.write_hardware(point.hardware_key, point.hardware())
    made = {**provenance(), "node": platform.node(), "process": os.getpid()}
    store.write(unit.key, {**record, "provenance": {**made, "seconds": time.perf_counter() - started}}, arrays)
    return True


@final
class MeasuredPoint:
    """A network on the simulated chip of one unit of a study.

    Args:
        unit: What to put on which chip.
        session: Has network and data.

    Attributes:
        hardware_key: Name of the layer descriptions, which chips of a point have in common.

    Raises:
        DataError: network or data are not those the unit was planned for.
    """

    def __init__(self, unit: Unit, session: Session) -> None:
        self.study = unit.study
        self.session = session
        self.unit = unit
        self._layers: dict[str, LayerHardware | None] | None = None
        self._network: Network | None = None
        session.start(self.study.plugins)
        self._check_same()
        self.hardware_key = digest([unit.facts, unit.cures])

    def _check_same(self) -> None:
        if self._changed():  # this process may have read them for an earlier study
            self.session.forget()
        for what in self._changed():
            raise DataError(f"{what}: changed since the study was planned; start it again")

    def _changed(self) -> list[str]:
        """What the unit was not planned for: network, its code, or images."""
        session, study, planned = self.session, self.study, self.unit.facts
        found = {
            "model": session.model_digest(study),
            "source": session.source_digest(study),
            "test": session.test_images(study).digest,
            "train": session.training_images(study).digest if planned["train"] else None,
        }
        return [what for what, seen in found.items() if seen != planned[what]]

    @property
    def layers(self) -> dict[str, LayerHardware | None]:
        """Calibrated descriptions by layer name, with the causes of errors taken away that the unit names."""
        if self._layers is None:
            self._layers = self._calibrated()
        return self._layers

    def _calibrated(self) -> dict[str, LayerHardware | None]:
        described = unpacked(self.unit.described)
        depends = {name: value for name, value in self.unit.facts.items() if name != "test"}
        ranged = self.session.calibrated(self.study, stand_ins(described), digest(depends))
        return {
            name: None if described[name] is None else without(params, self._cures(name))
            for name, params in ranged.items()
        }

    def _cures(self, name: str) -> list[str]:
        return [cause for layer, cause in self.unit.cures if layer in ("*", name)]

    @property
    def network(self) -> Network:
        """The network on calibrated and programmed hardware; made when it is first asked for."""
        if self._network is None:
            self._network = self._on_hardware()
        return self._network

    def _on_hardware(self) -> Network:
        network, bits = self.session.shown(self.study), self.study.model.bias_bits
        written = network.with_bias_bits(bits) if isinstance(bits, int) and bits else network
        analog = written.on_hardware(list(self.layers.values()), self.unit.seed, self.unit.facts["bias_rows"])
        return analog.with_biases_in_adc_steps() if bits == "adc" else analog

    def measured(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The record of the unit, and the arrays to keep."""
        study, data, session = self.study, self.session.test_images(self.study), self.session
        digital, chip = session.digital(study), f"chip {self.unit.seed}"
        # What is impossible for the digital network must not wait for the chip.
        threshold = self._threshold(session.measured(study), digital)
        measured = with_threshold(session.measured(study), threshold)
        wanted = session.digital_measures(study, measured, threshold)
        found = Tallies(measured, data.labels)
        asked = _Asked(found, digital, len(data.labels), chip, keep=study.save.outputs)
        with Taps(study.save, self.network, session.shown(study)) as taps:
            self.network.each_answer(data.images, asked.look, chip, session.progress, outputs_of(measured))
        asked.answers.require()
        record = {
            "facts": dict(self.unit.facts),
            "seed": self.unit.seed,
            "cures": [list(cure) for cure in self.unit.cures],
            "images": len(data.labels),
            "samples": samples_of(data.images),
            "words": [asdict(one.words) for one in measured],
            "analog": require_finite(found.values(), chip),
            "digital": wanted.values(),
            "parts": {
                name: tallies.parts(data.classes, data.outputs)
                for name, tallies in (("analog", found), ("digital", wanted))
            },
            "threshold": threshold,
            "discordant": {name: discordant(wanted.right()[name], right) for name, right in found.right().items()},
            "output": asdict(asked.deviation),
            "hardware": self.hardware_key,
            **taps.record(),
        }
        for name, powers in record["layers"].items():
            require_finite(powers, f"{chip}, layer {name}")
        return record, {**asked.kept(data.labels), **taps.arrays()}

    def _threshold(self, measured: Sequence[Measured], digital: DigitalAnswers) -> float | None:
        """Above it a single output means class 1, where answers of samples are ranked."""
        labels, asked = self.session.test_images(self.study).labels, self.study.metric
        ranked = [one for one in measured if ranks(one.metric)]
        if ranked or not self.study.metrics:
            one = (ranked or measured)[0]
            answers = digital.look(one.output)
            return threshold_of(answers, one.targets(labels)[: len(answers)], asked)
        return None

    @property
    def report(self) -> HardwareReport:
        """What the layers occupy."""
        return hardware_report(self.network, self.session.test_images(self.study).images[0])

    def hardware(self) -> dict[str, Any]:
        """Calibrated description of every layer, and the report of what they occupy."""
        return {
            "layers": {name: None if found is None else hardware_as_data(found) for name, found in self.layers.items()},
            "report": self.report.as_dict(),
        }


@final
class _Asked:
    """What a chip answers, looked at batch by batch.

    Args:
        tallies: Of what is measured.
        digital: What the digital network answers.
        count: Samples that it is asked.
        chip: In words.
        keep: Keep the answers.
    """

    def __init__(self, tallies: Tallies, digital: DigitalAnswers, count: int, chip: str, *, keep: bool) -> None:
        self.answers = Answers(count, chip)
        self.deviation = Deviation()
        self._tallies = tallies
        self._digital = digital
        self._keep = keep
        self._kept: list[tuple[NDArray[Any], NDArray[Any]]] = []
        self._done = 0

    def look(self, batch: Mapping[str, NDArray[Any]]) -> None:
        """Count the answers to the next samples; the first output is the main one."""
        analog = next(iter(batch.values()))
        others = self._digital.batch(self._done, len(analog))
        if self.answers.add(batch):
            self._tallies.add(batch, others)
        digital = next(iter(others.values()))
        wanted = digital.astype(np.float64)
        self.deviation.signal += float(np.sum(wanted**2))
        self.deviation.noise += float(np.sum((analog.astype(np.float64) - wanted) ** 2))
        self._done += len(analog)
        if self._keep:
            self._kept.append((analog, digital))

    def kept(self, labels: Any) -> dict[str, NDArray[Any]]:
        """Answers to keep, of the main output, beside the digital ones and what was expected."""
        if not self._keep:
            return {}
        analog, digital = (np.concatenate(one) for one in zip(*self._kept, strict=True))
        expected = {f"labels/{name}" if name else "labels": array for name, array in arrays_of(labels)}
        return {"outputs": analog, "digital": digital, **expected}


def samples_of(images: Any) -> str:
    """What people call the data: images where they are."""
    is_images = not isinstance(images, Columns) and images.ndim == 4 and images.dtype.kind == "f"
    return "images" if is_images else "samples"
