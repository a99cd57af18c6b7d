"""One operation of a whole core: the plans of its blocks, and how their results become outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from crossohm.backends import Array, backend_of
from crossohm.chain.running.plan import PartTap, Plan, Tap, multiply


@final
@dataclass(frozen=True)
class CorePlan:
    """The plans of arrays with hardware of their own; one plan if all have the same.

    Attributes:
        plans: Of each block.
        outputs: First output of each block.
        inputs: Input partition with which each block begins.
        needs_draw: True if a multiplication draws random numbers.
    """

    plans: tuple[Plan, ...]
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    needs_draw: bool

    def __call__(self, x: Array, rng: Any = None, tap: Tap | None = None) -> Array:
        """Multiply: add over input partitions, put output partitions together.

        Args:
            x: Inputs ``(batch, features, *positions)`` in the user's units, of the plan's library, dtype and device.
            rng: The array library's generator; used only if the plan draws noise.
            tap: Looks at inputs and at what ADCs see.

        Returns:
            ``(batch, outputs, *positions)`` in the user's units.
        """
        if len(self.plans) == 1:
            return multiply(self.plans[0], x, rng, tap)
        first = self.plans[0]
        if tap is not None:
            tap.xbar_inputs(x, first.operation, first.contraction.constants)
        sums: dict[int, Any] = {}
        for plan, output, input_ in zip(self.plans, self.outputs, self.inputs, strict=True):
            part = multiply(plan, x, rng, None if tap is None else PartTap(tap, input_))
            sums[output] = sums[output] + part if output in sums else part
        return backend_of(x).xp.concat([sums[output] for output in sorted(sums)], axis=1)
