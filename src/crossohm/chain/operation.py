"""The two products of a core, and what belongs to each."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeVar

import numpy as np

from crossohm.errors import InputError
from crossohm.params import ADCParameters, CrossSimParameters, DACParameters, InputMappingParameters

Value = TypeVar("Value")


class Operation(StrEnum):
    """A product: which side of the arrays is driven, which is read.

    Members are the names under which hardware descriptions and records keep what belongs to an operation.

    Attributes:
        forward: True if matrix columns are the inputs.
        axis: Axis of the matrix along which the outputs lie; inputs lie along the other.
    """

    MVM = "mvm"
    VMM = "vmm"

    @classmethod
    def _missing_(cls, value: object) -> Operation:
        raise InputError(f"operation is {value!r}; pass 'mvm' (core @ x) or 'vmm' (x @ core)")

    def __init__(self, name: str) -> None:
        self.forward = name == "mvm"
        self.axis: Literal[0, 1] = 0 if self.forward else 1

    @property
    def product(self) -> str:
        """How a user writes it."""
        return "core @ x" if self.forward else "x @ core"

    def adc(self, params: CrossSimParameters) -> ADCParameters:
        """Its output converters."""
        return params.xbar.adc.mvm if self.forward else params.xbar.adc.vmm

    def dac(self, params: CrossSimParameters) -> DACParameters:
        """Its input converters."""
        return params.xbar.dac.mvm if self.forward else params.xbar.dac.vmm

    def inputs(self, params: CrossSimParameters) -> InputMappingParameters:
        """Its input range."""
        return params.core.mapping.inputs.mvm if self.forward else params.core.mapping.inputs.vmm

    def orient(self, cells: np.ndarray) -> np.ndarray:
        """View of ``(..., matrix rows, matrix columns)`` as ``(..., outputs, inputs)``."""
        return cells if self.forward else np.swapaxes(cells, -2, -1)

    def order(self, rows: Value, columns: Value) -> tuple[Value, Value]:
        """What belongs to matrix rows and columns as what belongs to outputs and inputs; its own inverse."""
        return (rows, columns) if self.forward else (columns, rows)
