"""What a chip of fixed-size cores is: its grid, its cores, what goes in and out of them, and what a pass takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, final, get_args

from crossohm._names import unknown
from crossohm.errors import ParameterError

#: How cores hold signed weights: two cores each, or none at all.
Sign = Literal["pair", "nonnegative"]


@final
@dataclass(frozen=True)
class Timings:
    """How long a pass through a core takes.

    Args:
        clock: Period of the clock, s.
        cycles: Clock cycles of one pass.
        read_pulse: How long the lines are driven in one pass, s.
    """

    clock: float = 1.25e-9
    cycles: int = 33
    read_pulse: float = 1.25e-9

    def __post_init__(self) -> None:
        require_count("chip.timings.cycles", self.cycles)
        for name in ("clock", "read_pulse"):
            _require_positive(f"chip.timings.{name}", getattr(self, name))

    @property
    def pass_time(self) -> float:
        """Duration of one pass, s."""
        return self.clock * self.cycles


@final
@dataclass(frozen=True)
class Energies:
    """What one operation of a column takes.

    Args:
        resistance: Lowest resistance of a device, ohm.
        voltage: Of a driven line, V.
        control: Of the control of a column in one pass, J.
        comparator: Of one decision, J.
        bus: Of what takes a column's result away, J.
        static_power: Of the chip's memories, W.
        source: Where the numbers come from.
    """

    resistance: float = 25e3
    voltage: float = 0.1
    control: float = 61.4e-15
    comparator: float = 76.8e-15
    bus: float = 1.02e-12
    static_power: float = 5e-6
    source: str = (
        "figures per column published with later variants of the notebook the chip comes from, not measured; "
        "cells computed as N V^2 t / R"
    )

    def __post_init__(self) -> None:
        for name in ("resistance", "voltage"):
            _require_positive(f"chip.energies.{name}", getattr(self, name))
        for name in ("control", "comparator", "bus", "static_power"):
            _require_positive(f"chip.energies.{name}", getattr(self, name), zero=True)

    def cells(self, lines: int, duration: float) -> float:
        """The cells of one column at most, J: all ``lines`` driven for ``duration`` (s), at the least resistance."""
        return lines * self.voltage**2 * duration / self.resistance


@final
@dataclass(frozen=True)
class ChipSpec:
    """A grid of cores of one size, whose only non-linearity is a comparator on every column.

    Args:
        grid: Rows and columns of cores.
        core_in: Input lines of a core.
        core_out: Output columns of a core, each with its comparator.
        slot: Neighbouring lines that are routed together.
        input_bits: Bits that the interface takes of each input of the network.
        sign: ``"pair"``: signed weights, each core is two; ``"nonnegative"``: weights are conductances, never negative.
        max_phases: Passes that a column may integrate before its comparator decides; None: any number.
        readout_bits: Of the converter behind the last columns.
        input_lines: Inputs that the interface takes.
        timings: How long a pass takes.
        energies: What it takes.

    Raises:
        ParameterError: a number is not positive, or a slot does not divide a core.
    """

    grid: tuple[int, int] = (16, 16)
    core_in: int = 256
    core_out: int = 256
    slot: int = 16
    input_bits: int = 1
    sign: Sign = "pair"
    max_phases: int | None = None
    readout_bits: int = 8
    input_lines: int = 1024
    timings: Timings = field(default_factory=Timings)
    energies: Energies = field(default_factory=Energies)

    def __post_init__(self) -> None:
        if not isinstance(self.grid, tuple) or len(self.grid) != 2:
            raise ParameterError("chip.grid", self.grid, "is no grid", allowed="two numbers: rows and columns of cores")
        for index, value in enumerate(self.grid):
            require_count(f"chip.grid[{index}]", value)
        for name in ("core_in", "core_out", "slot", "input_bits", "readout_bits", "input_lines"):
            require_count(f"chip.{name}", getattr(self, name))
        if self.max_phases is not None:
            require_count("chip.max_phases", self.max_phases)
        if self.core_in % self.slot:
            remedy = "Choose a slot that divides the lines of a core"
            raise ParameterError(
                "chip.slot", self.slot, "does not divide a core",
                allowed=f"divisors of core_in = {self.core_in}", remedy=remedy,
            )  # fmt: skip
        if self.sign not in get_args(Sign):
            raise unknown("chip.sign", self.sign, get_args(Sign), "sign scheme")

    @property
    def slots(self) -> int:
        """Slots of a core."""
        return self.core_in // self.slot

    @property
    def cores(self) -> int:
        """Physical cores of the grid."""
        return math.prod(self.grid)

    @property
    def physical_per_logical(self) -> int:
        """Physical cores of one that has weights: 2 for pairs."""
        return 2 if self.sign == "pair" else 1

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """What `as_dict` made, also when it has been a file; what is missing is as by default.

        Raises:
            UnknownNameError: the chip has no such parameter.
            ParameterError: as the constructor.
        """
        values = _known("chip", cls, found)
        if isinstance(values.get("grid"), list):
            values["grid"] = tuple(values["grid"])
        for name, part in (("timings", Timings), ("energies", Energies)):
            if name in values:
                values[name] = part(**_known(f"chip.{name}", part, values[name]))
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files; `from_dict` reads them."""
        return {**asdict(self), "grid": list(self.grid)}


def require_count(path: str, value: object) -> None:
    """Refuse what is no positive whole number.

    Raises:
        ParameterError: names the parameter ``path``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ParameterError(path, value, "is no number of things", allowed="1, 2, 3, ...")


def _require_positive(path: str, value: float, zero: bool = False) -> None:
    if not math.isfinite(value) or value < 0 or not (value or zero):
        raise ParameterError(path, value, "is out of range", allowed=">= 0" if zero else "> 0")


def _known(path: str, part: type, found: Mapping[str, Any]) -> dict[str, Any]:
    """The values, if ``part`` has parameters of all their names."""
    names = [one.name for one in fields(part)]
    for name in found:
        if name not in names:
            raise unknown(path, name, names, "parameter")
    return dict(found)
