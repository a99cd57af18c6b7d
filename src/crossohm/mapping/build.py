"""Choose the mapping scheme a hardware description asks for."""

from __future__ import annotations

from crossohm.mapping.balanced import Balanced
from crossohm.mapping.bitsliced import BitSlicedBalanced, BitSlicedOffset
from crossohm.mapping.offset import Offset
from crossohm.mapping.scheme import Grid, Mapping
from crossohm.params import (
    BalancedCoreStyle,
    BitSlicedCoreStyle,
    CoreStyle,
    CrossSimParameters,
    OffsetCoreStyle,
)


def build_mapping(params: CrossSimParameters) -> Mapping:
    """The scheme named by ``core.style`` and its sub-group, on the cell grid of ``xbar.device``."""
    core, device = params.core, params.xbar.device
    unit_line = core.offset.style is OffsetCoreStyle.UNIT_COLUMN_SUBTRACTION
    if core.style is CoreStyle.BALANCED:
        two_sided = core.balanced.style is BalancedCoreStyle.TWO_SIDED
        return Balanced(Grid(device.Gmin_norm, device.cell_bits), two_sided)
    if core.style is CoreStyle.OFFSET:
        return Offset(Grid(device.Gmin_norm, device.cell_bits), unit_line)
    grid = Grid(device.Gmin_norm, 0)  # the slices already lie on the cell's grid
    if core.bit_sliced.style is BitSlicedCoreStyle.BALANCED:
        return BitSlicedBalanced(core.weight_bits, core.bit_sliced.num_slices, core.bits_per_slice, grid)
    return BitSlicedOffset(core.weight_bits, core.bit_sliced.num_slices, core.bits_per_slice, grid, unit_line)
