"""What a study measures: which metrics, of which outputs, against which targets."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.datasets.columns import arrays_of
from crossohm.errors import ParameterError
from crossohm.metrics import TASKS, Metric, Words, find_metric
from crossohm.metrics.known import ranks
from crossohm.studies.file.pairing import placed
from crossohm.studies.file.sections import MetricSection, NamedMetric, Study

_LOGIT, _PROBABILITY = 0.0, 0.5

#: Values for classes or outputs that are kept of every chip; where there are more, none are.
_MOST_PARTS = 100


@final
@dataclass(frozen=True)
class Measured:
    """One thing that is measured.

    Attributes:
        metric: The metric, with its options and the words for this output.
        output: Of the network; ``""``: the main one.
        target: Of the data; ``""``: the only one.
    """

    metric: Metric
    output: str = ""
    target: str = ""

    @property
    def words(self) -> Words:
        """How people write it."""
        return self.metric.words

    def targets(self, labels: Any) -> NDArray[Any]:
        """Its targets.

        Raises:
            ParameterError: the data have no such targets.
        """
        known = dict(arrays_of(labels))
        name = self.target or (self.output if self.output in known else next(iter(known)) if len(known) == 1 else "")
        if name not in known:
            several = ", ".join(filter(None, known))
            raise ParameterError(
                "metrics.target", name, "there are no such targets" if name else "the data have several targets",
                allowed=several or "nothing: the data have one array of targets",
                remedy="Name metrics with the output and the target of each" if several else "Leave it out",
            )  # fmt: skip
        return np.asarray(known[name])


def measured_by(study: Study, labels: Any, folder: Path) -> tuple[Measured, ...]:
    """What a study measures: the metrics that it names, or those that suit its task.

    Args:
        study: The study.
        labels: Of its data.
        folder: Where the paths of metrics start.

    Raises:
        CrossOhmError: a metric cannot be had, or does not suit the labels.
    """
    if study.metrics:
        return tuple(_named(entry, folder) for entry in study.metrics)
    return by_task(study.metric, labels)


def by_task(asked: MetricSection, labels: Any) -> tuple[Measured, ...]:
    """What suits the task, or the labels.

    Raises:
        ParameterError: the labels do not say what the task is, or are not what it needs.
    """
    own = Measured(find_metric("rmse")).targets(labels)
    if asked.task not in ("auto", "classification", "regression"):
        return tuple(Measured(find_metric(name)) for name in TASKS[asked.task])
    if classifies(own, asked):
        return tuple(Measured(find_metric(f"top{k}")) for k in asked.top_k)
    constant = float(np.std(own.astype(np.float64))) == 0  # nothing to be relative to
    return tuple(Measured(find_metric(name)) for name in TASKS["regression"] if not (constant and name == "nrmse"))


def _named(entry: NamedMetric, folder: Path) -> Measured:
    found = find_metric(placed(entry.name, folder), entry.options)
    if entry.output is None:
        return Measured(found, "", entry.target or "")
    own = found.words
    words = dataclasses.replace(own, name=f"{entry.output}.{own.name}", label=f"{own.label}, {entry.output}")
    return Measured(dataclasses.replace(found, words=words), entry.output, entry.target or "")


def outputs_of(measured: Sequence[Measured]) -> tuple[str, ...]:
    """The outputs of the network that are asked for; that of the first metric comes first."""
    return tuple(dict.fromkeys(one.output for one in measured))


def with_threshold(measured: Sequence[Measured], threshold: float | None) -> tuple[Measured, ...]:
    """The same with the threshold above which a single output means class 1."""
    if threshold is None:
        return tuple(measured)
    return tuple(
        dataclasses.replace(one, metric=one.metric.with_options({"threshold": threshold})) if ranks(one.metric) else one
        for one in measured
    )


@final
class Tallies:
    """Everything that is measured of one network, fed batch by batch.

    Args:
        measured: What.
        labels: Of all samples.
    """

    def __init__(self, measured: Sequence[Measured], labels: Any) -> None:
        self._measured = measured
        self._targets = [one.targets(labels) for one in measured]
        self._tallies = [one.metric.start() for one in measured]
        self._done = 0

    def add(self, answers: Mapping[str, NDArray[Any]], digital: Mapping[str, NDArray[Any]]) -> None:
        """Count the answers to the next samples, by output; those of the digital network beside them.

        Raises:
            CrossOhmError: answers and targets do not fit together.
        """
        count = len(next(iter(answers.values())))
        batch = slice(self._done, self._done + count)
        for one, targets, tally in zip(self._measured, self._targets, self._tallies, strict=True):
            others = (digital[one.output],) if one.metric.against_digital else ()
            tally.add(answers[one.output], targets[batch], *others)
        self._done += count

    def values(self) -> dict[str, float]:
        """What was measured, by name."""
        found = zip(self._measured, self._tallies, strict=True)
        return {one.words.name: float(tally.value()) for one, tally in found}

    def parts(self, classes: Sequence[str], outputs: Sequence[str]) -> dict[str, dict[str, float]]:
        """The same by class or output, of metrics that have such parts.

        Args:
            classes: Their names; what has none is called by its number.
            outputs: The same.
        """
        found = {}
        for one, tally in zip(self._measured, self._tallies, strict=True):
            if one.metric.per is not None:
                names = classes if one.metric.per == "class" else outputs
                parts = {
                    names[number] if number < len(names) else str(number): value
                    for number, value in tally.parts().items()
                    if math.isfinite(value)
                }
                if 1 < len(parts) <= _MOST_PARTS:
                    found[one.words.name] = parts
        return found

    def right(self) -> dict[str, NDArray[np.bool_]]:
        """True for every sample with a right answer, of metrics that count them."""
        found = zip(self._measured, self._tallies, strict=True)
        return {one.words.name: tally.right for one, tally in found if one.words.counted}


def threshold_of(digital: NDArray[np.floating], labels: NDArray[np.generic], metric: MetricSection) -> float | None:
    """The value above which a single output means class 1; None where nothing is decided by a threshold.

    By default 0.5 if all outputs lie within 0..1, as probabilities do, and 0 otherwise, as for logits. Both are guesses
    where a user has not said it: a warning if the other one would make more answers of the digital network right.

    Args:
        digital: Outputs of the digital network, ``(images, ...)``.
        labels: Classes ``(images,)``.
        metric: Says what to do.

    Raises:
        ParameterError: a threshold is given and the network has several outputs, or does not classify.
    """
    classifying, count = classifies(labels, metric), math.prod(digital.shape[1:])
    if not classifying or count != 1:
        if metric.threshold is not None:
            problem = f"the network has {count} outputs" if classifying else "this is a regression"
            raise ParameterError(
                "metric.threshold", metric.threshold, f"{problem}; a threshold is for classes told by a single output",
                remedy="Leave it out",
            )  # fmt: skip
        return None
    if metric.threshold is not None:
        return metric.threshold
    inside = bool(np.all((digital >= 0) & (digital <= 1)))
    chosen, other = (_PROBABILITY, _LOGIT) if inside else (_LOGIT, _PROBABILITY)
    here, there = (float(np.mean((digital.reshape(-1) > limit) == labels.reshape(-1))) for limit in (chosen, other))
    if there > here:
        kind = "probabilities (all lie within 0..1)" if inside else "logits (not all lie within 0..1)"
        warnings.warn(
            f"metric.threshold: the single output of the network is taken for {kind}; above {chosen:g} is class 1, and "
            f"the digital network is right on {100 * here:.4g} %. Above {other:g} it would be {100 * there:.4g} %. Set "
            f"metric.threshold: {other:g} if that is meant, or {chosen:g} to keep it",
            UserWarning, stacklevel=2,
        )  # fmt: skip
    return chosen


def classifies(labels: NDArray[np.generic], metric: MetricSection) -> bool:
    """True if labels are classes of samples, and are to be taken as such.

    Raises:
        ParameterError: they are not what the task needs, or do not say what it is.
    """
    is_classes = np.issubdtype(labels.dtype, np.integer)
    if metric.task == "classification" and not is_classes:
        raise ParameterError(
            "metric.task", metric.task, f"the labels are numbers of type {labels.dtype}, not classes",
            allowed="regression, or auto",
        )  # fmt: skip
    if metric.task == "auto" and is_classes and labels.ndim > 1:
        raise ParameterError(
            "metric.task", metric.task, f"the labels {labels.shape} are a class for each pixel or token",
            allowed="segmentation, labelling, language", remedy="Say which, or name the metrics",
        )  # fmt: skip
    return metric.task in ("auto", "classification") and is_classes
