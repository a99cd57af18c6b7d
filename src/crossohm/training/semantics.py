"""How a batch is written: at which weights its errors are taken, and how many physical writes happen."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import ParameterError
from crossohm.training.rules.model import TrainedMatrix

PER_SAMPLE: Final = "per_sample"
MINIBATCH_SEQUENTIAL: Final = "minibatch_sequential"
BURST: Final = "burst"
#: Fresh errors for every sample, one write each; errors at the weights before the batch, one write per sample in
#: order; the same errors, and one write of their sum. Results compare within one of them only.
SEMANTICS = (PER_SAMPLE, MINIBATCH_SEQUENTIAL, BURST)


def learn(
    matrix: TrainedMatrix, rows: NDArray[np.floating], columns: NDArray[np.floating], lr: float, semantics: str
) -> None:
    """Write the outer products of a batch.

    Args:
        matrix: What learns.
        rows: Errors ``(replicas, B, m)``; writes add to the weights.
        columns: Inputs ``(replicas, B, n)``.
        lr: Learning rate.
        semantics: One of `SEMANTICS`.
    """
    if semantics == BURST:
        matrix.burst(rows.transpose(0, 2, 1) @ columns, lr)
        return
    matrix.update(rows, columns, lr)


def require_fresh(semantics: str, samples: int) -> None:
    """Raise `ParameterError` if ``semantics`` wants errors at the weights of each sample, and there are several."""
    if semantics == PER_SAMPLE and samples > 1:
        raise ParameterError(
            "semantics",
            semantics,
            f"{samples} samples have errors at the same weights",
            allowed="batches of one sample",
            remedy=f"Take {MINIBATCH_SEQUENTIAL}, or one sample a step",
        )
