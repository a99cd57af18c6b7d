"""How good answers are: metrics for tasks of all kinds, and how to make your own.

    >>> import numpy as np
    >>> from crossohm.metrics import find_metric
    >>> found = find_metric("r2")
    >>> tally = found.start()
    >>> tally.add(np.array([1.0, 2.0, 2.5]), np.array([1.0, 2.0, 3.0]))  # batch by batch
    >>> tally.value()
    0.875
    >>> found.words.higher_is_better
    True

A metric of yours is a function or a class with the decorator `metric`; studies find it as ``file.py:name``.
"""

from crossohm.metrics.known import TASKS, find_metric, known_words, metric_names
from crossohm.metrics.metric import MeanTally, Metric, Tally, Words, metric

__all__ = [
    "TASKS",
    "MeanTally",
    "Metric",
    "Tally",
    "Words",
    "find_metric",
    "known_words",
    "metric",
    "metric_names",
]
