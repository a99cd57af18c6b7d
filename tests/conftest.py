"""What all tests share: the folder with reference data, and repeatable hypothesis runs."""

from __future__ import annotations

import gc
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# Two cores and cold caches: a deadline would measure the machine. CI repeats the same examples in every run.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, print_blob=True, max_examples=40)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev"))

#: Modules of a library that garbage collection need not look through each time.
SMALL_LIBRARY = 100
_modules_left_out = 0


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep what lives as long as the run out of garbage collection.

    Cores look for garbage when they are built, which takes as long as there are objects: thousands of collected tests,
    and libraries that a test was the first to import.
    """
    _leave_out_what_stays()


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish() -> None:
    if len(sys.modules) > _modules_left_out + SMALL_LIBRARY:
        _leave_out_what_stays()


def _leave_out_what_stays() -> None:
    global _modules_left_out
    gc.collect()
    gc.freeze()
    _modules_left_out = len(sys.modules)


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
    message = f"{name} is not installed; install the package of this name (Debian, Ubuntu: apt install {name})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


# -- the end of a run: what was not tested, in a line instead of one per place that skips ---------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let reports carry the defects of the reference, also from the processes of xdist."""
    for item in items:
        rows = {row for marker in item.iter_markers("reference_defect") for row in marker.args}
        item.user_properties.extend(("reference_defect", row) for row in sorted(rows))


_WITHOUT = {
    re.compile(r"(\S+) is not installed; install the package"): "install {} (Debian, Ubuntu: apt install {})",
    re.compile(r"could not import '([^']+)'"): "python -m pip install {}; make env installs all that tests need",
}


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped, and how to have it tested; and which defects of the reference are known to be absent."""
    for line in not_tested(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line, yellow=True)
    absent = {
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "reference_defect"
    }
    if absent:
        terminalreporter.write_line(f"defects of the reference shown to be absent: {', '.join(sorted(absent))}")


def not_tested(skipped: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """A line for all programs that are missing, one for all libraries, and one for each other reason."""
    reasons: Counter[tuple[str, str]] = Counter()
    for report in skipped:
        if isinstance(report.longrepr, tuple | list):  # file, line and reason; others are expected failures
            what = "files" if isinstance(report, pytest.CollectReport) else "tests"
            reasons[what, report.longrepr[2].removeprefix("Skipped: ")] += 1
    lines = []
    for pattern, remedy in _WITHOUT.items():
        found: dict[str, list[str]] = {}
        for what, reason in sorted(reasons):
            missing = pattern.match(reason)
            if missing:
                count = reasons.pop((what, reason))
                found.setdefault(missing[1], []).append(f"{count} {what if count > 1 else what[:-1]}")
        if found:
            names = " ".join(found)
            counts = "; ".join(f"{' and '.join(own)} for want of {name}" for name, own in found.items())
            lines.append(f"not tested: {counts}. To test them: {remedy.format(names, names)}")
    return [
        *lines,
        *(
            f"not tested: {count} {what if count > 1 else what[:-1]}, because {reason}"
            for (what, reason), count in reasons.items()
        ),
    ]
