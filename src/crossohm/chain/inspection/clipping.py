"""A look at the first inputs of a core: does the hardware's input range hold them at all?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossohm.backends import Array, backend_of
from crossohm.chain.running.drive import clipping_range
from crossohm.errors import warn_user

if TYPE_CHECKING:
    from crossohm.chain.core import AnalogCore

#: Share of the inputs that no range chosen for its data clips: normally distributed inputs reach it at 1.3 sigma.
UNINTENDED = 0.2


def look_for_clipping(core: AnalogCore, operation: str, x: Array, constants: int) -> None:
    """Warn once per core if much of the first inputs of ``operation`` is clipped; later products are not looked at.

    Args:
        core: The core.
        operation: ``"mvm"`` or ``"vmm"``.
        x: Inputs ``(batch, features, *positions)``, in the user's units.
        constants: How many of the last features are ones for bias columns.
    """
    ranges = [clipping_range(block.params, operation) for block in core.blocks]
    held = [limits for limits in ranges if limits is not None]
    if len(held) < len(ranges):
        core._unseen.discard(operation)
        return
    low, high = min(low for low, _ in held), max(high for _, high in held)
    share = backend_of(x).share_outside(x[:, : x.shape[1] - constants], low, high)
    if share is None:
        return
    core._unseen.discard(operation)
    if share <= UNINTENDED:
        return
    core._unseen.clear()
    inputs = f"core.mapping.inputs.{operation}"
    given = core.params.get(inputs)
    warn_user(
        f"core {core.name!r}: {share:.0%} of the inputs of its first product (zeros left out) lie beyond the input "
        f"range, {inputs}.min = {given.min} to .max = {given.max}, and are clipped to it; set min and max to the range "
        "of your data, or let crossohm.calibrate find it"
    )
