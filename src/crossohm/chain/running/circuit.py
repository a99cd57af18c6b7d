"""An array, or both arrays of interleaved pairs, as a circuit that is solved for every vector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import numpy as np

from crossohm.circuits.grid import DisturbedNetwork, DrivenNetwork, Wires
from crossohm.errors import CrossOhmError


@final
@dataclass(frozen=True)
class ArrayCircuit:
    """One array, or both arrays of interleaved pairs, as an operation drives and reads it.

    Attributes:
        name: Name as in `PhysicalArray`; interleaved pairs end in ``+-``.
        product: The operation, as a user writes it.
        partition: Output and input partition in its block, as in `PhysicalArray`.
        weight_slice: Weight slice.
        signs: Signs in the circuit: one, or both of interleaved pairs.
        outputs: Outputs of the array, in the block.
        inputs: Inputs of the array, in the block.
        g: Conductances ``(signs, lines, inputs)``, normalised; line 0 is the unit line, if there is one.
        wires: Wire resistances.
        gated: True if inputs select rows on lines of a separate supply, False if they drive the input lines.
        unused: Unselected positions of each line (gated only).
        unused_at: Where they are, ``"top"`` or ``"bottom"``.
    """

    name: str
    product: str
    partition: tuple[int, int]
    weight_slice: int
    signs: slice
    outputs: slice
    inputs: slice
    g: np.ndarray
    wires: Wires
    gated: bool
    unused: int
    unused_at: Literal["top", "bottom"]

    @cached_property
    def disturbed(self) -> DisturbedNetwork:
        """The same circuit for cells that deviate in every read (linear cells, driven by their input lines)."""
        return DisturbedNetwork(self.g, self.wires)

    @cached_property
    def driven(self) -> DrivenNetwork:
        """The same circuit for a few vectors and cells as they are."""
        return DrivenNetwork(self.g, self.wires)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Say in which array of which core, and in which operation, a solver failed."""
        try:
            yield
        except CrossOhmError as error:
            raise CrossOhmError(f"{self.name}, {self.product}: {error}") from error
