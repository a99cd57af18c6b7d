"""How matrices are mapped onto arrays: styles, ranges, partition. Group ``core``."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal, final

from pydantic import Field

from crossohm.params.base import Count, Flag, Fraction, Group, PositiveCount, Real
from crossohm.params.enums import (
    BalancedCoreStyle,
    BitSlicedCoreStyle,
    CoreStyle,
    OffsetCoreStyle,
    OutputDType,
    PartitionStrategy,
)
from crossohm.params.pairs import Pair

Slices = Annotated[PositiveCount, Field(le=32)]
WeightBits = Annotated[Count, Field(le=32)]
Divisors = Annotated[list[PositiveCount], Field(strict=False)]


def mirrored(low: float | None, high: float | None) -> tuple[float, float]:
    """Both limits of a range; a missing one, of which there is at most one, mirrors the other."""
    if low is None or high is None:
        extent = abs(high if low is None else low)  # type: ignore[arg-type]
        return -extent, extent
    return float(low), float(high)


class RangeParameters(Group):
    """A range of numbers: two limits, or a percentile of the data.

    Setting a limit sets the percentile to None, setting the percentile sets the limits to None. Where both are given at
    once, both stay, and `CrossSimParameters.validate` reports the conflict.
    """

    min: Real | None = None
    """Lowest value, in the units of the algorithm; None: minus the highest, or from the percentile."""
    max: Real | None = None
    """Highest value, in the units of the algorithm; None: minus the lowest, or from the percentile."""
    percentile: Fraction | None = None
    """Range from the data, as a fraction: 1.0 = largest magnitude, 0.999 = all but the outermost 0.1 % at each end;
    None: the range is given by min and max."""

    @property
    def range(self) -> float | None:
        """Highest minus lowest value; None if a limit is not given."""
        return None if self.min is None or self.max is None else self.max - self.min

    @property
    def limits(self) -> tuple[float, float] | None:
        """Both limits of a fixed range, a missing one mirrored from the other; None for a percentile or no range."""
        if self.percentile is not None or (self.min is None and self.max is None):
            return None
        return mirrored(self.min, self.max)

    def _settle(self, given: Collection[str]) -> None:
        if "percentile" in given and self.percentile is not None:
            for name in {"min", "max"}.difference(given):
                self._put(name, None)
        elif "percentile" not in given and any(getattr(self, name) is not None for name in {"min", "max"} & set(given)):
            self._put("percentile", None)


@final
class InputMappingParameters(RangeParameters):
    """Range of input values that the DAC represents, per operation."""

    clipping: Flag = False
    """Clip inputs to the range even if no DAC does; DACs with bits > 0 always clip."""
    min: Real | None = -1.0
    """Lowest input, in the units of the algorithm; None: minus the highest, or from the percentile."""
    max: Real | None = 1.0
    """Highest input, in the units of the algorithm; None: minus the lowest, or from the percentile."""
    percentile: Fraction | None = None
    """Range from the input values themselves, as a fraction: 1.0 = largest magnitude; None: a fixed range."""
    percentile_scope: Literal["call", "vector"] = "call"
    """With percentile: one range for all inputs of a call (results then depend on how inputs are batched), or one for
    each input vector."""


@final
class WeightMappingParameters(RangeParameters):
    """Range of matrix values that the conductances represent, and how large matrices are divided over arrays."""

    clipping: Flag = True
    """Clip the matrix to the range before mapping; False: values outside it extrapolate the conductance scale."""
    percentile: Fraction | None = 1.0
    """Symmetric range from the whole matrix, as a fraction: 1.0 = largest magnitude; None: given by min and max."""
    row_partition_priority: Divisors = Field(default_factory=list)
    """Divisors of cols_max: fill arrays completely (strategy MAX) if the matrix rows divide by cols_max/divisor."""
    col_partition_priority: Divisors = Field(default_factory=list)
    """Divisors of rows_max: fill arrays completely (strategy MAX) if the matrix columns divide by rows_max/divisor."""
    row_partition_strategy: PartitionStrategy = PartitionStrategy.EQUAL
    """How matrix rows (array columns) are divided over arrays."""
    col_partition_strategy: PartitionStrategy = PartitionStrategy.EQUAL
    """How matrix columns (array rows) are divided over arrays."""


@final
class InputMappingPair(Pair):
    """Input ranges of the two operations."""

    mvm: InputMappingParameters = Field(default_factory=InputMappingParameters)
    """Inputs of right multiplication, matrix @ x."""
    vmm: InputMappingParameters = Field(default_factory=InputMappingParameters)
    """Inputs of left multiplication, x @ matrix."""


@final
class MappingParameters(Group):
    """Ranges of weights and inputs."""

    weights: WeightMappingParameters = Field(default_factory=WeightMappingParameters)
    """Matrix values."""
    inputs: InputMappingPair = Field(default_factory=InputMappingPair)
    """Input values."""


@final
class BalancedParameters(Group):
    """Signed weights as the difference of two cells."""

    style: BalancedCoreStyle = BalancedCoreStyle.ONE_SIDED
    """Which cells of the pair move with the weight."""
    interleaved_posneg: Flag = False
    """Both cells of a pair share an output line; matters with wire resistance, current limits and nonlinear cells."""
    subtract_current_in_xbar: Flag = True
    """True: currents are subtracted before the ADC. False: both are digitised and subtracted digitally."""


@final
class BitSlicedParameters(Group):
    """Weights divided over several cells by significance."""

    style: BitSlicedCoreStyle = BitSlicedCoreStyle.BALANCED
    """Signed code of the slices."""
    num_slices: Slices = 2
    """Number of slices; slice 0 is the least significant."""


@final
class OffsetParameters(Group):
    """Signed weights as one cell minus a constant."""

    style: OffsetCoreStyle = OffsetCoreStyle.DIGITAL_OFFSET
    """How the constant is removed."""


@final
class CoreParameters(Group):
    """Mapping of a matrix onto arrays. Array rows carry the inputs of matrix @ x, array columns its outputs."""

    style: CoreStyle = CoreStyle.BALANCED
    """How signed weights become conductances."""
    rows_max: Count = 0
    """Most rows (inputs) of an array; longer ones are divided. 0: unlimited."""
    cols_max: Count = 0
    """Most columns (outputs) of an array; longer ones are divided. 0: unlimited."""
    weight_bits: WeightBits = 0
    """Weight resolution of BITSLICED, and of the GRANULAR ADC range over continuous cells. BALANCED and OFFSET weights
    are quantised by xbar.device.cell_bits, not by this. 0: not given."""
    complex_matrix: Flag = False
    """The matrix may be complex; four real blocks are programmed."""
    complex_input: Flag = False
    """Inputs may be complex; same hardware as complex_matrix."""
    output_dtype: OutputDType = OutputDType.NATIVE
    """Data type of results."""
    balanced: BalancedParameters = Field(default_factory=BalancedParameters)
    """Details of BALANCED, and of BITSLICED with balanced slices."""
    bit_sliced: BitSlicedParameters = Field(default_factory=BitSlicedParameters)
    """Details of BITSLICED."""
    offset: OffsetParameters = Field(default_factory=OffsetParameters)
    """Details of OFFSET, and of BITSLICED with offset slices."""
    mapping: MappingParameters = Field(default_factory=MappingParameters)
    """Ranges of weights and inputs."""

    @property
    def uses_pairs(self) -> bool:
        """True if positive and negative parts of weights are in different cells."""
        sliced_pairs = self.bit_sliced.style is BitSlicedCoreStyle.BALANCED
        return self.style is CoreStyle.BALANCED or (self.style is CoreStyle.BITSLICED and sliced_pairs)

    @property
    def interleaves_pairs(self) -> bool:
        """True if the two cells of a pair share an output line; a rule demands that they are subtracted there."""
        return self.uses_pairs and self.balanced.interleaved_posneg

    @property
    def subtracts_in_array(self) -> bool:
        """True if the two currents of a pair are subtracted before the ADC; False: apart, or there are no pairs."""
        return self.uses_pairs and self.balanced.subtract_current_in_xbar

    @property
    def bits_per_slice(self) -> int:
        """Bits that one cell of a BITSLICED weight holds: a share of the code, which in pairs has no sign bit."""
        slices = self.bit_sliced.num_slices
        if self.weight_bits % slices == 0:
            return self.weight_bits // slices
        return -(-(self.weight_bits - self.uses_pairs) // slices)
