"""Choices with a name and the integer that JSON files hold for it."""

from __future__ import annotations

from enum import Enum
from typing import Any, Self

import numpy as np
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from crossohm._names import nearest


class Choice(Enum):
    """Base of the enumerations: fields accept the member, its exact name or its integer; files hold the integer."""

    @classmethod
    def _read(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls._named(value)
        if isinstance(value, int | np.integer) and not isinstance(value, bool):
            for member in cls:
                if member.value == value:
                    return member
        raise ValueError("no such choice")

    @classmethod
    def _named(cls, name: str) -> Self:
        if name in cls.__members__:
            return cls[name]
        near = nearest(name.upper(), cls.__members__)
        raise ValueError(f"no such choice; did you mean {near!r}?" if near else "no such choice")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read, serialization=core_schema.plain_serializer_function_ser_schema(lambda member: member.value)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"enum": [*cls.__members__, *(member.value for member in cls)]}


class CoreStyle(Choice):
    """How signed weights become conductances."""

    BALANCED = 1
    """Difference of two cells."""
    BITSLICED = 2
    """Several cells (or pairs), each holding some bits of the weight."""
    OFFSET = 3
    """One cell; zero weight is a medium conductance whose current is subtracted."""


class BalancedCoreStyle(Choice):
    """How a pair of cells holds a signed weight."""

    ONE_SIDED = 1
    """The cell of the other sign stays at the lowest conductance."""
    TWO_SIDED = 2
    """Both cells move in opposite directions from the middle."""


class BitSlicedCoreStyle(Choice):
    """How each slice holds its share of a signed weight."""

    BALANCED = 1
    """Sign and magnitude: a pair of cells for each slice."""
    OFFSET = 3
    """Offset code: one cell for each slice."""


class OffsetCoreStyle(Choice):
    """How the current of the offset is removed."""

    DIGITAL_OFFSET = 1
    """Computed from the digital inputs and subtracted after the ADC."""
    UNIT_COLUMN_SUBTRACTION = 2
    """Measured on an extra output line of zero weights."""


class PartitionStrategy(Choice):
    """How a dimension longer than an array is divided."""

    MAX = 1
    """Full arrays, and what remains in the last one."""
    EQUAL = 2
    """Arrays of equal size, give or take one line."""


class OutputDType(Choice):
    """Data type of results."""

    NATIVE = 1
    """What NumPy would return for the types of matrix and input."""
    MATRIX = 2
    INPUT = 3
    FLOAT32 = 4
    FLOAT64 = 5
    FLOAT16 = 6
    INT64 = 7
    INT32 = 8
    INT16 = 9
    INT8 = 10


class ADCRangeLimits(Choice):
    """Where the limits of an ADC come from."""

    CALIBRATED = 1
    """From ``calibrated_range``."""
    MAX = 2
    """The largest current that the array could ever give."""
    GRANULAR = 3
    """As many of the smallest possible output steps as the ADC has levels."""
