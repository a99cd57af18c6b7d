"""Numbers that say how good answers are."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ParameterError, ShapeError
from crossohm.metrics.classes import top_k_right
from crossohm.studies.file.sections import MetricSection

_LOGIT, _PROBABILITY = 0.0, 0.5


def measures(
    outputs: NDArray[np.floating], labels: NDArray[np.generic], metric: MetricSection, threshold: float | None = None
) -> dict[str, float]:
    """Accuracies of a classification, errors of a regression.

    Args:
        outputs: Of the network, ``(images, ...)``. A single output classifies in two.
        labels: Classes ``(images,)``, or target values of the shape of the outputs.
        metric: What to measure.
        threshold: A single output above it is class 1; None: as `threshold_of` finds for these outputs.

    Returns:
        ``top1``, ... (0..1), or ``rmse``, ``mae`` (in units of the targets) and ``nrmse`` (relative to the standard
        deviation of the targets; 1 is no better than their mean).

    Raises:
        ShapeError: outputs and labels do not fit together.
        ParameterError: labels are no classes, or there are fewer classes than a rank needs.
    """
    if not _classifies(labels, metric):
        return _errors(outputs, labels)
    return {name: float(np.mean(right)) for name, right in right_answers(outputs, labels, metric, threshold).items()}


def right_answers(
    outputs: NDArray[np.floating], labels: NDArray[np.generic], metric: MetricSection, threshold: float | None = None
) -> dict[str, NDArray[np.bool_]]:
    """True for every image with a right answer, for ``top1`` ...; nothing for a regression. Arguments as `measures`."""
    if not _classifies(labels, metric):
        return {}
    if sum(size > 1 for size in outputs.shape[1:]) > 1:
        raise ShapeError(
            f"outputs {outputs.shape}: a classification needs one score per class for each image, (images, classes). "
            "Answers per pixel or token are not counted yet: let the network return one answer, or give target values "
            "and set metric.task to regression"
        )
    scores = outputs.reshape(len(outputs), -1)
    if scores.shape[1] == 1:
        limit = threshold_of(outputs, labels, metric) if threshold is None else threshold
        scores = np.concatenate([np.full_like(scores, limit), scores], axis=1)
    classes = labels.astype(np.int64)
    return {f"top{k}": top_k_right(scores, classes, k) for k in metric.top_k}


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
    classifies, count = _classifies(labels, metric), math.prod(digital.shape[1:])
    if not classifies or count != 1:
        if metric.threshold is not None:
            problem = f"the network has {count} outputs" if classifies else "this is a regression"
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


def _classifies(labels: NDArray[np.generic], metric: MetricSection) -> bool:
    is_classes = np.issubdtype(labels.dtype, np.integer)
    if metric.task == "classification" and not is_classes:
        raise ParameterError(
            "metric.task", metric.task, f"the labels are numbers of type {labels.dtype}, not classes",
            allowed="regression, or auto",
        )  # fmt: skip
    return metric.task != "regression" and is_classes


def _errors(outputs: NDArray[np.floating], targets: NDArray[np.generic]) -> dict[str, float]:
    if outputs.size != targets.size or len(outputs) != len(targets) or not len(targets):
        raise ShapeError(f"outputs {outputs.shape} and targets {targets.shape}: a regression needs one for each")
    wanted = targets.astype(np.float64).reshape(outputs.shape)
    off = outputs.astype(np.float64) - wanted
    rmse, spread = math.sqrt(np.mean(off**2)), float(np.std(wanted))
    found = {"rmse": rmse, "mae": float(np.mean(np.abs(off)))}
    return found | ({"nrmse": rmse / spread} if spread > 0 else {})
