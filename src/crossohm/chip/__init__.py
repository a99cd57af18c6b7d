"""Chips of fixed-size cores: what they are, which networks fit them, and what these cost."""

from __future__ import annotations

from crossohm.chip.network import NetworkShape, Stage
from crossohm.chip.spec import ChipSpec, Energies, Timings
from crossohm.chip.wiring import SlotPattern, slot_pattern

__all__ = ["ChipSpec", "Energies", "NetworkShape", "SlotPattern", "Stage", "Timings", "slot_pattern"]
