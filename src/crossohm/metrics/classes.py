"""Metrics of decisions: one class for each sample, pixel or token."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ParameterError, ShapeError

#: Where a single score divides two classes, of logits.
_LOGIT = 0.0


def top_k_right(outputs: NDArray[np.floating], labels: NDArray[np.integer], k: int) -> NDArray[np.bool_]:
    """True for samples whose label is among the ``k`` largest outputs, ``(samples,)``.

    Equal outputs, which coarse ADCs produce, are ranked in class order: the first wins, as in ``argmax``.

    Args:
        outputs: ``(samples, classes)``.
        labels: ``(samples,)``.
        k: How many answers count.

    Raises:
        ShapeError: the arrays do not fit together, or there are no samples.
        ParameterError: ``k`` is not between 1 and the number of classes.
    """
    if outputs.ndim != 2 or labels.shape != outputs.shape[:1] or not len(labels):
        raise ShapeError(f"outputs {outputs.shape} and labels {labels.shape}: expected (images, classes) and (images,)")
    classes = outputs.shape[1]
    if not 1 <= k <= classes:
        raise ParameterError("top_k", k, "no such rank", allowed=f"1 to {classes}, the number of classes")
    ranked = np.argsort(-outputs, axis=1, kind="stable")[:, :k]
    found: NDArray[np.bool_] = (ranked == labels[:, np.newaxis]).any(axis=1)
    return found


def one_score_per_class(outputs: NDArray[np.floating], threshold: float) -> NDArray[np.floating]:
    """Outputs of a classification, ``(samples, classes)``; a single one means class 1 above the threshold.

    Raises:
        ShapeError: they are one for each pixel or token.
    """
    if sum(size > 1 for size in outputs.shape[1:]) > 1:
        raise ShapeError(
            f"outputs {outputs.shape}: a classification needs one score per class for each image, (images, classes). "
            "For answers per pixel or token say metric.task: segmentation, labelling or language, or name the metrics"
        )
    scores = outputs.reshape(len(outputs), -1)
    return _two(scores, threshold) if scores.shape[1] == 1 else scores


def _two(scores: NDArray[np.floating], threshold: float) -> NDArray[np.floating]:
    return np.concatenate([np.full_like(scores, threshold), scores], axis=-1)


@final
class TopK:
    """Share of samples whose class is among the ``k`` largest outputs."""

    def __init__(self, k: int, threshold: float = _LOGIT) -> None:
        self._k = k
        self._threshold = threshold
        self._right: list[NDArray[np.bool_]] = []
        self._labels: list[NDArray[np.int64]] = []

    def add(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch, ``(samples, classes)`` and ``(samples,)``; see `top_k_right`."""
        labels = targets.astype(np.int64)
        self._right.append(top_k_right(one_score_per_class(answers, self._threshold), labels, self._k))
        self._labels.append(labels)

    @property
    def right(self) -> NDArray[np.bool_]:
        """True for every sample with a right answer."""
        return np.concatenate(self._right)

    def value(self) -> float:
        """Share of right answers, 0..1."""
        return float(np.mean(self.right))

    def parts(self) -> dict[int, float]:
        """The same of the samples of each class."""
        labels, right = np.concatenate(self._labels), self.right
        return {int(each): float(np.mean(right[labels == each])) for each in np.unique(labels)}


# --- a class for each position ----------------------------------------------------------------------------------------


def scores_of(answers: NDArray[Any], targets: NDArray[Any], axis: int | None = None) -> NDArray[np.floating]:
    """Scores with the classes along the last axis, ``(*shape of targets, classes)``.

    Args:
        answers: The same with the classes along any other axis, e.g. ``(images, classes, height, width)`` or
            ``(texts, tokens, classes)``.
        targets: A class for each position.
        axis: That of the classes; None: the one without which the answers have the shape of the targets.

    Raises:
        ShapeError: no axis does.
        ParameterError: several do.
    """
    shape = answers.shape
    fits = [one for one in range(1, answers.ndim) if shape[:one] + shape[one + 1 :] == targets.shape]
    if axis is not None:
        fits = [one for one in fits if one == axis % answers.ndim]
    if not fits:
        raise ShapeError(
            f"outputs {shape} and targets {targets.shape}: expected a score per class for each target, that is, the "
            "shape of the targets with one more axis"
        )
    if len(fits) > 1:
        raise ParameterError(
            "axis", None, f"the classes of outputs {shape} may lie along several axes",
            allowed=", ".join(map(str, fits)), remedy="Say which one in the options of the metric",
        )  # fmt: skip
    scores = np.moveaxis(answers, fits[0], -1)
    return _two(scores, _LOGIT) if scores.shape[-1] == 1 else scores


def decisions_of(answers: NDArray[Any], targets: NDArray[Any], axis: int | None = None) -> NDArray[np.int64]:
    """The class with the highest score for each position; answers that are classes already are taken as they are."""
    if answers.dtype.kind in "iub" and answers.shape == targets.shape:
        return answers.astype(np.int64)
    found: NDArray[np.int64] = np.argmax(scores_of(answers, targets, axis), axis=-1)
    return found


def _counted(targets: NDArray[Any], ignore: int | None) -> NDArray[np.bool_]:
    """Positions that count: padding is negative."""
    if targets.dtype.kind not in "iu":
        raise ShapeError(f"targets are {targets.dtype}; a decision for each position needs class numbers")
    found: NDArray[np.bool_] = (targets >= 0) & (targets != ignore) if ignore is not None else targets >= 0
    return found


@final
class ConfusionTally:
    """A metric that follows from how often each class is taken for each other.

    Args:
        each: The metric of every class, from the counts ``(true classes, decided classes)``; NaN for classes that do
            not occur.
        whole: The same of all classes together; None: the mean over classes that occur.
        axis: That of the classes, see `scores_of`.
        ignore: A class that does not count, as negative targets do not.
    """

    def __init__(
        self,
        each: Callable[[NDArray[np.int64]], NDArray[np.float64]],
        whole: Callable[[NDArray[np.int64]], float] | None = None,
        axis: int | None = None,
        ignore: int | None = None,
    ) -> None:
        self._each, self._whole, self._axis, self._ignore = each, whole, axis, ignore
        self._counts = np.zeros((0, 0), np.int64)

    def add(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch."""
        counted = _counted(targets, self._ignore)
        decided, true = decisions_of(answers, targets, self._axis)[counted], targets[counted].astype(np.int64)
        classes = 1 + max(len(self._counts) - 1, int(decided.max(initial=0)), int(true.max(initial=0)))
        found = np.bincount(true * classes + decided, minlength=classes**2).reshape(classes, classes)
        known = len(self._counts)
        found[:known, :known] += self._counts
        self._counts = found

    def value(self) -> float:
        """The metric over all positions counted; NaN if there are none."""
        parts = self.parts()
        if not parts:
            return math.nan
        return math.fsum(parts.values()) / len(parts) if self._whole is None else self._whole(self._counts)

    def parts(self) -> dict[int, float]:
        """By class, of those that occur."""
        found = enumerate(map(float, self._each(self._counts)))
        return {number: value for number, value in found if not math.isnan(value) and number != self._ignore}


def accuracy(axis: int | None = None, ignore: int | None = None) -> ConfusionTally:
    """Share of positions decided right."""
    return ConfusionTally(_recall, lambda counts: float(np.trace(counts) / counts.sum()), axis, ignore)


def miou(axis: int | None = None, ignore: int | None = None) -> ConfusionTally:
    """Intersection over union of what is and what was taken for a class; the mean over classes that occur."""
    return ConfusionTally(_iou, None, axis, ignore)


def macro_f1(axis: int | None = None, ignore: int | None = None) -> ConfusionTally:
    """Harmonic mean of precision and recall; the mean over classes that occur."""
    return ConfusionTally(_f1, None, axis, ignore)


def _recall(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return _share(np.diag(counts), counts.sum(axis=1))


def _iou(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    both = np.diag(counts)
    return _share(both, counts.sum(axis=0) + counts.sum(axis=1) - both)


def _f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    return _share(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1))


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return found


@final
class Perplexity:
    """Exponential of the mean surprise at the true token, given scores (logits) of all.

    Args:
        axis: That of the tokens to choose from, see `scores_of`.
        ignore: A target that does not count, as negative ones do not.
    """

    def __init__(self, axis: int | None = None, ignore: int | None = None) -> None:
        self._axis, self._ignore = axis, ignore
        self._surprise, self._count = 0.0, 0

    def add(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch."""
        counted = _counted(targets, self._ignore)
        scores = scores_of(answers, targets, self._axis)[counted].astype(np.float64)
        true = targets[counted].astype(np.int64)
        if true.size and true.max() >= scores.shape[-1]:
            raise ShapeError(f"token {true.max()} of the targets has no score; the network gives {scores.shape[-1]}")
        highest = scores.max(axis=-1, keepdims=True)
        total = np.log(np.exp(scores - highest).sum(axis=-1)) + highest[:, 0]
        self._surprise += float(np.sum(total - scores[np.arange(len(true)), true]))
        self._count += len(true)

    def value(self) -> float:
        """1 for a network that is always sure and right; NaN if no token counts."""
        return math.exp(self._surprise / self._count) if self._count else math.nan


@final
class ShareOfPositions:
    """Share of positions where the network decides as the digital one does.

    Args:
        axis: That of the classes, see `scores_of`.
        ignore: A target that does not count, as negative ones do not.
    """

    def __init__(self, axis: int | None = None, ignore: int | None = None) -> None:
        self._axis, self._ignore = axis, ignore
        self._same, self._count = 0, 0

    def add(self, answers: NDArray[Any], targets: NDArray[Any], digital: NDArray[Any]) -> None:
        """Count a batch."""
        mine, other = (decisions_of(found, targets, self._axis) for found in (answers, digital))
        counted = _counted(targets, self._ignore)
        self._same += int(np.sum((mine == other) & counted))
        self._count += int(np.sum(counted))

    def value(self) -> float:
        """0..1; NaN if no position counts."""
        return self._same / self._count if self._count else math.nan


@final
class WholeSequences:
    """Share of samples with all positions decided right.

    Args:
        axis: That of the classes, see `scores_of`.
        ignore: A target that does not count, as negative ones do not.
    """

    def __init__(self, axis: int | None = None, ignore: int | None = None) -> None:
        self._axis, self._ignore = axis, ignore
        self._right: list[NDArray[np.bool_]] = []

    def add(self, answers: NDArray[Any], targets: NDArray[Any]) -> None:
        """Count a batch."""
        fine = (decisions_of(answers, targets, self._axis) == targets) | ~_counted(targets, self._ignore)
        self._right.append(fine.reshape(len(fine), -1).all(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """True for every sample with a right answer."""
        return np.concatenate(self._right)

    def value(self) -> float:
        """Share of right answers, 0..1."""
        return float(np.mean(self.right))
