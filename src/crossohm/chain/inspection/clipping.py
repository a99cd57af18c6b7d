"""A look at the first inputs of a core: does the hardware's input range hold them at all?"""

from __future__ import annotations

from typing import final

from crossohm.backends import Array, backend_of
from crossohm.chain.lowering.inputs import clipping_range
from crossohm.chain.operation import Operation
from crossohm.chain.programming.state import CoreState
from crossohm.errors import warn_user

#: Share of the inputs that no range chosen for its data clips: normally distributed inputs reach it at 1.3 sigma.
UNINTENDED = 0.2


@final
class FirstInputs:
    """Watches the first inputs of each operation of a core, and warns once if much of them is clipped.

    Attributes:
        unseen: Operations whose inputs have not been looked at.
    """

    def __init__(self) -> None:
        self.unseen = set(Operation)

    def look(self, state: CoreState, operation: Operation, x: Array, constants: int) -> None:
        """Look at the first inputs; later products are not looked at.

        Args:
            state: The core.
            operation: Which product.
            x: Inputs ``(batch, features, *positions)``, in the user's units.
            constants: How many of the last features are ones for bias columns.
        """
        ranges = [clipping_range(block.params, operation) for block in state.blocks]
        held = [limits for limits in ranges if limits is not None]
        if len(held) < len(ranges):
            self.unseen.discard(operation)
            return
        low, high = min(low for low, _ in held), max(high for _, high in held)
        share = backend_of(x).share_outside(x[:, : x.shape[1] - constants], low, high)
        if share is None:
            return
        self.unseen.discard(operation)
        if share <= UNINTENDED:
            return
        self.unseen.clear()
        inputs, given = f"core.mapping.inputs.{operation}", operation.inputs(state.params)
        warn_user(
            f"core {state.name!r}: {share:.0%} of the inputs of its first product (zeros left out) lie beyond the "
            f"input range, {inputs}.min = {given.min} to .max = {given.max}, and are clipped to it; set min and max to "
            "the range of your data, or let crossohm.calibrate find it"
        )
