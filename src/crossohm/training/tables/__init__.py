"""Devices known by tables of their measured pulses."""

from __future__ import annotations

from crossohm.training.tables.example import example_ramps
from crossohm.training.tables.facts import DirectionFacts, TableFacts, table_facts
from crossohm.training.tables.files import read_table, read_tables, write_tables
from crossohm.training.tables.generate import TableSettings, table_from_ramps
from crossohm.training.tables.ramps import Ramp, read_ramps, write_ramps
from crossohm.training.tables.table import PulseTable
from crossohm.training.tables.text import read_pair, write_pair
from crossohm.training.tables.traces import split_at_gaps, split_at_limits, split_by_number

__all__ = [
    "DirectionFacts",
    "PulseTable",
    "Ramp",
    "TableFacts",
    "TableSettings",
    "example_ramps",
    "read_pair",
    "read_ramps",
    "read_table",
    "read_tables",
    "split_at_gaps",
    "split_at_limits",
    "split_by_number",
    "table_facts",
    "table_from_ramps",
    "write_pair",
    "write_ramps",
    "write_tables",
]
