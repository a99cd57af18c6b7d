"""What all tests share: the folder with reference data, and repeatable hypothesis runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Two cores and cold caches: a deadline would measure the machine. CI repeats the same examples in every run.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference data: ``CROSSOHM_SHARED``, or ``shared`` beside the repository.

    Without it a test is skipped, except in continuous integration, where it fails.
    """
    folder = Path(os.environ.get("CROSSOHM_SHARED") or ROOT.parent / "shared")
    if folder.is_dir():
        return folder
    message = f"folder with reference data not found at {folder}; set CROSSOHM_SHARED to where it is"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def ngspice() -> str:
    """The circuit simulator that checks exported netlists."""
    return _program("ngspice")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that checks reports."""
    return _program("chromium")


def _program(name: str) -> str:
    """The path of a program; without it a test is skipped, except in continuous integration, where it fails."""
    found = shutil.which(name)
    if found:
        return found
    message = f"{name} is not installed; install the package of this name for the tests that need it"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
