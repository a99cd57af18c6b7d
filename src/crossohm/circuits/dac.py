"""Digital-to-analog converters: input numbers to normalised input voltages.

Limits are normalised inputs: full scale is 1, signed inputs lie in [-1, 1], unsigned ones in [0, 1]. ``bits = 0``
switches the conversion off for every model.

Your own DAC is a class with one method, found by its name in `params.xbar.dac`::

    @dac("ThermometerDAC")
    class ThermometerDAC(DAC):
        def quantize(self, x, low, high, bits):
            return (x * bits).round() / bits
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from crossohm._answers import of_shape
from crossohm._content import ByContent
from crossohm._names import Registry, is_own
from crossohm.backends import Array, backend_of
from crossohm.circuits.bit_planes import BitPlanes
from crossohm.circuits.levels import Levels
from crossohm.errors import ParameterError, UnsupportedError

if TYPE_CHECKING:
    from crossohm.params import DACParameters


def _identity(x: Array) -> Array:
    return x


@final
@dataclass(frozen=True)
class DACConverter:
    """One DAC, ready to convert.

    Attributes:
        quantize: Inputs of any shape to the nearest DAC levels; its gradient is straight-through.
        uniform: The levels, if they are equidistant.
        slicing: How inputs are applied bit by bit, None if all bits are applied at once.
    """

    quantize: Callable[[Array], Array] = _identity
    uniform: Levels | None = None
    slicing: BitPlanes | None = None

    @classmethod
    def of(cls, levels: Levels, slicing: BitPlanes | None) -> DACConverter:
        """The DAC with these levels."""
        return cls(levels, levels, slicing)

    @property
    def ideal(self) -> bool:
        """True if inputs are applied as they are."""
        return self.uniform is None and self.quantize is _identity

    @property
    def levels(self) -> int | None:
        """Number of levels, None if unknown or continuous."""
        return None if self.uniform is None else self.uniform.count

    @property
    def lsb(self) -> float | None:
        """Distance of neighbouring levels, None if unknown or continuous."""
        return None if self.uniform is None else self.uniform.step

    @property
    def keeps_zero(self) -> bool:
        """True if an input of zero certainly becomes a voltage of zero."""
        if self.uniform is None:
            return self.ideal
        return self.uniform.low == 0 and self.uniform.first <= 0

    @property
    def sliced(self) -> bool:
        """True if inputs reach the array slice by slice."""
        return self.slicing is not None

    @property
    def plane_weights(self) -> tuple[float, ...]:
        """Weight of each input slice's output, least significant first; empty if not sliced."""
        return self.slicing.weights if self.slicing else ()

    @property
    def plane_offset(self) -> float:
        """Value to add digitally to every input: ``xq = plane_offset + sum_k plane_weights[k] * plane_k``."""
        return self.slicing.offset if self.slicing else 0.0

    def planes(self, xq: Array, first: int, last: int) -> Array:
        """Input slices ``first`` to ``last - 1`` of quantised inputs, (last - first, *xq.shape), within [-1, 1].

        Raises:
            UnsupportedError: this DAC does not slice its inputs.
        """
        if self.slicing is None:
            raise UnsupportedError("this DAC applies all bits at once; set xbar.dac.*.input_bitslicing = True")
        return self.slicing.extract(xq, first, last)


class DAC(ByContent):
    """Base of all DAC models. Override `quantize`, or `converter` if levels or slices are to be reported."""

    def quantize(self, x: Array, low: float, high: float, bits: int) -> Array:
        """Inputs within ``[low, high]`` to analog levels, for a model that needs nothing else."""
        raise NotImplementedError(f"{type(self).__name__} must define quantize() or converter()")

    def converter(self, spec: DACParameters, low: float, high: float, path: str) -> DACConverter:
        """The converter for these limits; called only if ``spec.bits > 0`` and ``low < high``."""
        _refuse_slicing(spec, path)
        return DACConverter(_Custom(self, low, high, spec.bits))


DACS: Registry[DAC] = Registry("DAC model", "crossohm.dacs", DAC)
dac = DACS.register


def build_dac(spec: DACParameters, low: float, high: float, path: str) -> DACConverter:
    """The DAC described by ``spec``.

    Args:
        spec: Parameters of the converter.
        low: Lower input limit, normalised to full scale.
        high: Upper input limit, normalised to full scale.
        path: Dotted path of ``spec``, for messages.

    Raises:
        UnknownNameError: no model of this name.
        ParameterError: the model cannot have these limits, bits or slices.
    """
    model = DACS.create(spec.model, f"{path}.model")
    if spec.bits == 0:
        if spec.input_bitslicing:
            raise ParameterError(
                f"{path}.bits", 0, "input bit slicing needs a DAC resolution", allowed="bits > 0",
                remedy=f"Set bits, or {path}.input_bitslicing = False",
            )  # fmt: skip
        return DACConverter()
    if not low < high:
        raise ParameterError(path, (low, high), "the input range is empty", allowed="low < high")
    found = model.converter(spec, float(low), float(high), path)
    if is_own(found.quantize):
        return found
    return replace(found, quantize=_OnCopies(found.quantize))


def _refuse_slicing(spec: DACParameters, path: str) -> None:
    if spec.input_bitslicing:
        raise ParameterError(
            f"{path}.model", spec.model, "this DAC model has no codes that could be sliced",
            allowed="QuantizerDAC (unsigned) or SignMagnitudeDAC with input_bitslicing",
        )  # fmt: skip


@final
@dataclass(frozen=True)
class _OnCopies:
    """The function of a user's converter, which may write on what it is given: it is not the caller's input."""

    function: Callable[[Array], Array]

    def __call__(self, x: Array) -> Array:
        return self.function(backend_of(x).writable(x))


@final
@dataclass(frozen=True)
class _Custom:
    """A user's `DAC.quantize`, kept within the range and made differentiable."""

    model: DAC
    low: float
    high: float
    bits: int

    def __call__(self, x: Array) -> Array:
        return backend_of(x).convert(x, self.low, self.high, self._decide)

    def _decide(self, inside: Array) -> Array:
        found = self.model.quantize(inside, self.low, self.high, self.bits)
        return of_shape(found, tuple(inside.shape), f"{type(self.model).__name__}.quantize")


@final
@dac("IdealDAC")
class IdealDAC(DAC):
    """Inputs reach the array unchanged, whatever ``bits``."""

    def converter(self, spec: DACParameters, low: float, high: float, path: str) -> DACConverter:
        _refuse_slicing(spec, path)
        return DACConverter()


@final
@dac("QuantizerDAC")
class QuantizerDAC(DAC):
    """``2^bits`` equidistant levels from ``low`` to ``high``, both included.

    In a symmetric signed range zero is not a level. Unsigned inputs can be sliced; if their range does not start at
    zero, the code is sliced and the start of the range is added digitally (`DACConverter.plane_offset`).
    """

    def converter(self, spec: DACParameters, low: float, high: float, path: str) -> DACConverter:
        if not spec.signed and low < 0:
            raise ParameterError(
                f"{path}.signed", False, f"an unsigned DAC cannot apply inputs down to {low:g}", allowed="low >= 0",
                remedy="Set signed = True, or core.mapping.inputs.*.min = 0",
            )  # fmt: skip
        if spec.signed and spec.input_bitslicing:
            raise ParameterError(
                f"{path}.input_bitslicing", True, "the codes of a signed QuantizerDAC have no sign bit to slice",
                allowed="signed = False, or model = 'SignMagnitudeDAC'",
            )  # fmt: skip
        slicing = (
            BitPlanes(spec.bits, spec.slice_size, low, high - low, signed=False) if spec.input_bitslicing else None
        )
        return DACConverter.of(Levels.between(low, high, 2**spec.bits), slicing)


@final
@dac("SignMagnitudeDAC")
class SignMagnitudeDAC(DAC):
    """One sign bit and ``bits - 1`` magnitude bits: ``2^bits - 1`` levels, zero included; a symmetric range only."""

    def converter(self, spec: DACParameters, low: float, high: float, path: str) -> DACConverter:
        if not spec.signed:
            raise ParameterError(
                f"{path}.signed", False, "a SignMagnitudeDAC is signed", allowed="True, or model = 'QuantizerDAC'"
            )
        if high != -low:
            raise ParameterError(
                path, (low, high), "a SignMagnitudeDAC needs a symmetric range", allowed="max = -min",
                remedy="Change core.mapping.inputs.*.min/max, or use QuantizerDAC",
            )  # fmt: skip
        if spec.bits < 2:
            raise ParameterError(f"{path}.bits", spec.bits, "one sign bit leaves no magnitude", allowed="0, or >= 2")
        half = 2 ** (spec.bits - 1) - 1
        slicing = BitPlanes(spec.bits - 1, spec.slice_size, 0.0, high, signed=True) if spec.input_bitslicing else None
        return DACConverter.of(Levels.around_zero(high, half), slicing)
