"""Numbers that say how good answers are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ParameterError, ShapeError
from crossohm.studies.sections import MetricSection
from crossohm.studies.statistics import top_k_accuracy


def measures(outputs: NDArray[np.floating], labels: NDArray[np.generic], metric: MetricSection) -> dict[str, float]:
    """Accuracies of a classification, errors of a regression.

    Args:
        outputs: Of the network, ``(images, ...)``. A single output classifies in two: above 0.5 is class 1.
        labels: Classes ``(images,)``, or target values of the shape of the outputs.
        metric: What to measure.

    Returns:
        ``top1``, ... (0..1), or ``rmse``, ``mae`` (in units of the targets) and ``nrmse`` (relative to the standard
        deviation of the targets; 1 is no better than their mean).

    Raises:
        ShapeError: outputs and labels do not fit together.
        ParameterError: labels are no classes, or there are fewer classes than a rank needs.
    """
    is_classes = np.issubdtype(labels.dtype, np.integer)
    if metric.task == "regression" or (metric.task == "auto" and not is_classes):
        return _errors(outputs, labels)
    if not is_classes:
        raise ParameterError(
            "metric.task", metric.task, f"the labels are numbers of type {labels.dtype}, not classes",
            allowed="regression, or auto",
        )  # fmt: skip
    if sum(size > 1 for size in outputs.shape[1:]) > 1:
        raise ShapeError(
            f"outputs {outputs.shape}: a classification needs one score per class for each image, (images, classes). "
            "Answers per pixel or token are not counted yet: let the network return one answer, or give target values "
            "and set metric.task to regression"
        )
    scores = outputs.reshape(len(outputs), -1)
    if scores.shape[1] == 1:
        scores = np.concatenate([1 - scores, scores], axis=1)
    classes = labels.astype(np.int64)
    return {f"top{k}": top_k_accuracy(scores, classes, k) for k in metric.top_k}


def _errors(outputs: NDArray[np.floating], targets: NDArray[np.generic]) -> dict[str, float]:
    if outputs.size != targets.size or len(outputs) != len(targets) or not len(targets):
        raise ShapeError(f"outputs {outputs.shape} and targets {targets.shape}: a regression needs one for each")
    wanted = targets.astype(np.float64).reshape(outputs.shape)
    off = outputs.astype(np.float64) - wanted
    rmse, spread = math.sqrt(np.mean(off**2)), float(np.std(wanted))
    found = {"rmse": rmse, "mae": float(np.mean(np.abs(off)))}
    return found | ({"nrmse": rmse / spread} if spread > 0 else {})
