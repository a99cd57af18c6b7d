"""Plain gradient descent: every update is written to the one array that is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import WeightArray, weight_array
from crossohm.training.rules.model import Rule
from crossohm.training.rules.registry import rule


@rule("parallel")
@final
@dataclass(frozen=True, eq=False)
class Parallel(Rule):
    """Outer products are written to the array as they come.

    Steps up and down of an asymmetric device do not cancel: random updates pull each weight to where they do.
    """

    source = "S. Agarwal et al., IJCNN 2016, https://doi.org/10.1109/IJCNN.2016.7727298"

    def matrix(
        self, settings: ArraySettings, shape: tuple[int, int], limit: float, seeds: Sequence[int], name: str
    ) -> WeightArray:
        return weight_array(settings, shape, limit, seeds, name)
