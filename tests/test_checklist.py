"""The checklist names tests that exist, below the file they are in, and has all its items."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
TEXT = (TESTS / "CHECKLIST.md").read_text(encoding="utf-8").partition("\n1. ")[2]


def test_every_item_is_there() -> None:
    assert [int(number) for number in re.findall(r"^(\d+)\. \*\*", "1. " + TEXT, re.MULTILINE)] == list(range(1, 21))


def test_every_test_named_exists() -> None:
    file, named = None, 0
    for name in re.findall(r"`([^`]+)`", TEXT):
        if name.endswith(".py"):
            tests = name.rpartition("/")[2].startswith("test_")
            file = TESTS / name if tests else TESTS.parent / name
            assert file.is_file(), name
        elif name.startswith("test_"):
            assert file is not None and re.search(rf"\n *def {name}\(", file.read_text("utf-8")), f"{file}: {name}"
            named += 1
    assert named > 60
