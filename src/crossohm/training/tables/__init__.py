"""Devices known by tables of their measured pulses."""

from __future__ import annotations

from crossohm.training.tables.container import write_tables
from crossohm.training.tables.files import read_table, read_tables
from crossohm.training.tables.table import PulseTable
from crossohm.training.tables.text import read_pair, write_pair

__all__ = ["PulseTable", "read_pair", "read_table", "read_tables", "write_pair", "write_tables"]
