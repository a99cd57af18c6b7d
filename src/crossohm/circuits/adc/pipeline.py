"""Pipeline and cyclic ADCs: 1.5-bit stages that compare, subtract and amplify, one converter per group of lines.

Source: M. Spear et al., IEEE Journal on Exploratory Solid-State Computational Devices and Circuits, 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.circuits.adc.base import ADC, Converter, Mismatch, adc
from crossohm.circuits.adc.capacitors import amplifier_gain
from crossohm.circuits.adc.code_scale import (
    CircuitConverter,
    CodeScale,
    along_lines,
    check_group_size,
    collapse,
    group_count,
    of_lines,
)

if TYPE_CHECKING:
    from crossohm.params import ADCParameters


class _StagedADC(ADC):
    """What pipeline and cyclic converters share; they differ in how many stages are built.

    Mismatch: ``C1``, ``C2``, ``Cpar`` (groups, stages built), deviations from 1, 1 and 0; ``comparators``
    (groups, 2 * stages built + 1), in units of Vref: high and low of each stage, then the last bit.
    """

    def _stages_built(self, bits: int) -> int:
        raise NotImplementedError

    def check(self, spec: ADCParameters, low: float, high: float, path: str) -> None:
        """As for every ADC, and each converter must have lines."""
        super().check(spec, low, high, path)
        check_group_size(spec.group_size, path)

    def mismatch(self, spec: ADCParameters, lines: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Capacitors and comparator offsets of each stage of each group."""
        if spec.bits == 0:
            return {}
        groups, stages = group_count(lines, spec.group_size), self._stages_built(spec.bits)
        sigmas = {"C1": spec.sigma_C1, "C2": spec.sigma_C2, "Cpar": spec.sigma_Cpar}
        errors = {name: sigma * rng.standard_normal((groups, stages)) for name, sigma in sigmas.items()}
        errors["comparators"] = spec.sigma_comparator * rng.standard_normal((groups, 2 * stages + 1))
        return errors

    def converter(self, spec: ADCParameters, low: float, high: float, mismatch: Mismatch) -> Converter:
        """The decision levels and gains of every stage."""
        scale = CodeScale(spec.bits, low, high)
        gain = amplifier_gain(spec.gain_db)
        first, second = 1 + mismatch["C1"], 1 + mismatch["C2"]
        feedback = first / (first + second + mismatch["Cpar"])
        ratio = second / first
        settled = 1 / (1 + 1 / (gain * feedback))
        offsets = mismatch["comparators"] * scale.vref
        built = np.stack(
            [
                scale.vref / 4 + offsets[:, :-1:2],
                -scale.vref / 4 + offsets[:, 1::2],
                (1 + ratio) * settled,
                scale.vref * ratio * settled,
            ],
            axis=2,
        )
        used = np.minimum(np.arange(spec.bits - 1), built.shape[1] - 1)
        stages = built[:, used].reshape(len(built), -1)
        groups = collapse(np.column_stack([stages, offsets[:, -1]]))
        return CircuitConverter(scale, len(groups) > 1, _Decision(scale, groups, spec.group_size))


@final
@adc("PipelineADC")
class PipelineADC(_StagedADC):
    """A chain of ``bits - 1`` stages, each with errors of its own, and a comparator for the last bit."""

    def _stages_built(self, bits: int) -> int:
        return bits - 1


@final
@adc("CyclicADC")
class CyclicADC(_StagedADC):
    """One stage used ``bits - 1`` times over, so that its errors repeat, and a comparator for the last bit."""

    def _stages_built(self, bits: int) -> int:
        return 1


@final
@dataclass(frozen=True, eq=False)
class _Decision:
    """All stages in turn.

    Attributes:
        scale: The codes and their values.
        groups: (groups, 4 * (bits - 1) + 1): upper level, lower level, gain and subtracted reference of each stage,
            then the level of the last bit.
        group_size: Lines that share a converter.
    """

    scale: CodeScale
    groups: np.ndarray
    group_size: int

    def on(self, like: Array, lines: int) -> Callable[[Array], Array]:
        shared = len(self.groups) == 1
        table = self.groups[0] if shared else of_lines(self.groups, self.group_size, lines).T
        backend = backend_of(like)
        return _Stages(self.scale, not shared, tuple(backend.asarray(column, like) for column in table))


@final
@dataclass(frozen=True, eq=False)
class _Stages:
    """All stages in turn, of one converter or of every line's.

    Attributes:
        scale: The codes and their values.
        per_line: True if lines differ.
        columns: As in `_Decision`, each a number or ``(lines,)``.
    """

    scale: CodeScale
    per_line: bool
    columns: tuple[Array, ...]

    def __call__(self, x: Array) -> Array:
        columns = [along_lines(column, x) for column in self.columns] if self.per_line else self.columns
        *stages, last = columns
        residue, code = x, 0.0
        weight = 2 ** (self.scale.bits - 1)
        for k in range(0, len(stages), 4):
            digit, residue = stage(residue, *stages[k : k + 4])
            code = code + digit * weight
            weight //= 2
        code = code + backend_of(x).astype(residue > last, backend_of(x).dtype_name(x))
        return self.scale.value(code)


def stage(residue: Array, high: Any, low: Any, gain: Any, reference: Any) -> tuple[Array, Array]:
    """One 1.5-bit stage: its digit (0, 1/2 or 1, so that the next stage can correct it) and what is left to convert."""
    backend = backend_of(residue)
    dtype = backend.dtype_name(residue)
    above, below = residue > high, residue < low
    between = (residue > low) & (residue < high)
    digit = backend.astype(above, dtype) + 0.5 * backend.astype(between, dtype)
    subtract = backend.astype(above, dtype) - backend.astype(below, dtype)
    return digit, residue * gain - subtract * reference
