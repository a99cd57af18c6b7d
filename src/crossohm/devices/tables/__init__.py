"""What a cell does, as tables of measurements: CSV files, one for each role."""

from __future__ import annotations

from crossohm.devices.tables.forms import (
    FORMS,
    CurrentTable,
    NoiseTable,
    ProgrammingTable,
    RetentionTable,
    RoleTable,
    read_device_table,
    table_of,
)

__all__ = [
    "FORMS",
    "CurrentTable",
    "NoiseTable",
    "ProgrammingTable",
    "RetentionTable",
    "RoleTable",
    "read_device_table",
    "table_of",
]
