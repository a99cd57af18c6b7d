"""Tests of contracts that run only with the slow ones."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A class that says which of its tests are ``brief`` leaves the others to slow runs."""
    for item in items:
        brief = getattr(getattr(item, "cls", None), "brief", None)
        if brief is not None and item.name not in brief:
            item.add_marker(pytest.mark.slow)
