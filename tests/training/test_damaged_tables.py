"""Damaged tables and ramps are refused by an error that names the place, or give finite numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from damaged_tables import outcome


@pytest.mark.parametrize("batch", range(3))
def test_damage_is_named(tmp_path: Path, batch: int) -> None:
    found = Counter(outcome(tmp_path, number) for number in range(40 * batch, 40 * (batch + 1)))
    assert found["text, line"] > 10
