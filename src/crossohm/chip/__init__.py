"""Chips of fixed-size cores: what they are, which networks fit them, and what these cost."""

from __future__ import annotations

from crossohm.chip.cores import ProgrammedCores, program
from crossohm.chip.levels import SaturatingLaw, uniform_levels
from crossohm.chip.mapping import check
from crossohm.chip.network import NetworkShape, Stage
from crossohm.chip.report import PlacedCore, ResourceReport, StageReport
from crossohm.chip.spec import ChipSpec, Energies, Timings
from crossohm.chip.trained import TRAINED, trained_weights
from crossohm.chip.wiring import SlotPattern, slot_pattern
from crossohm.errors import MappingError

__all__ = [
    "TRAINED",
    "ChipSpec",
    "Energies",
    "MappingError",
    "NetworkShape",
    "PlacedCore",
    "ProgrammedCores",
    "ResourceReport",
    "SaturatingLaw",
    "SlotPattern",
    "Stage",
    "StageReport",
    "Timings",
    "check",
    "program",
    "slot_pattern",
    "trained_weights",
    "uniform_levels",
]
