"""Metrics by name: those that come with crossohm, and the user's; and those that suit a task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from crossohm._names import load_function, names_function, unknown
from crossohm.metrics import classes, values
from crossohm.metrics.metric import Metric, Words, require_metric

#: What a network is for, and the metrics that say how well it does it; the first is the main one.
TASKS: dict[str, tuple[str, ...]] = {
    "regression": ("rmse", "mae", "nrmse"),
    "segmentation": ("miou", "pixel_accuracy"),
    "language": ("perplexity", "token_agreement"),
    "labelling": ("token_accuracy", "macro_f1", "sequence_accuracy"),
    "signal": ("snr", "psnr"),
}

_KNOWN: dict[str, Metric] = {
    found.words.name: found
    for found in (
        Metric(Words("mse", "Mean square error", "", False), values.mse, per="output"),
        Metric(Words("rmse", "Root-mean-square error", "", False), values.rmse, per="output"),
        Metric(Words("mae", "Mean absolute error", "", False), values.mae, per="output"),
        Metric(
            Words("nrmse", "Error relative to the spread of the targets", "", False), values.nrmse, per="output"
        ),
        Metric(Words("r2", "Coefficient of determination R²"), values.r2, per="output"),
        Metric(Words("snr", "Signal-to-noise ratio of the signal", "dB"), values.snr),
        Metric(Words("psnr", "Peak signal-to-noise ratio of the signal", "dB"), values.psnr),
        Metric(Words("miou", "Mean intersection over union", "%"), classes.miou, per="class"),
        Metric(Words("pixel_accuracy", "Pixel accuracy", "%"), classes.accuracy, per="class"),
        Metric(Words("token_accuracy", "Token accuracy", "%"), classes.accuracy, per="class"),
        Metric(Words("macro_f1", "Mean F1 score", "%"), classes.macro_f1, per="class"),
        Metric(Words("sequence_accuracy", "Sequences right", "%", counted=True), classes.WholeSequences),
        Metric(Words("perplexity", "Perplexity", "", False), classes.Perplexity),
        Metric(
            Words("token_agreement", "Tokens as of the digital network", "%"), classes.ShareOfPositions,
            against_digital=True,
        ),
    )
}  # fmt: skip
_RANK = re.compile(r"top([1-9][0-9]{0,8})")


def metric_names() -> tuple[str, ...]:
    """Names that `find_metric` knows; ``top1`` stands for any rank."""
    return ("top1", *_KNOWN)


def find_metric(name: str, options: Mapping[str, Any] | None = None, path: str = "metrics") -> Metric:
    """A metric by its name.

    Args:
        name: One of `metric_names`, ``top5`` and so on, ``module:object`` or ``file.py:object``, made with `metric`.
        options: Keywords of its tally.
        path: Setting that holds the name, for messages.

    Raises:
        UnknownNameError: there is none.
        DataError: module or file cannot be used, or what it holds is no metric.
        ParameterError: it has no such option.
    """
    if names_function(name):
        found = require_metric(load_function(name), name)
    else:
        known = _known(name)
        if known is None:
            raise unknown(path, name, metric_names(), "metric")
        found = known
    return found.with_options(options or {}, f"{path}.options")


def _known(name: str) -> Metric | None:
    rank = _RANK.fullmatch(name)
    if rank is None:
        return _KNOWN.get(name)
    words = Words(name, f"Top-{rank[1]} accuracy", "%", counted=True)
    return Metric(words, partial(classes.TopK, int(rank[1])), per="class")


def known_words(name: str) -> Words:
    """How people write a measure of that name: of a metric that comes with crossohm, else the name itself."""
    known = _known(name)
    return Words(name, name) if known is None else known.words


def ranks(found: Metric) -> bool:
    """True for ``top1`` and so on, which ask a single output for a threshold."""
    return isinstance(found.start, partial) and found.start.func is classes.TopK
