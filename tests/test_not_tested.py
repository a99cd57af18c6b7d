"""What a run did not test is said at its end, in a line, with how to have it tested; failures stay listed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = """
import pytest

@pytest.mark.parametrize("number", range(7))
def test_page(chromium, number): ...

@pytest.mark.parametrize("number", range(3))
def test_circuit(ngspice, number): ...

def test_other(): pytest.skip("the moon is full")

@pytest.mark.xfail(reason="known")
def test_expected(): assert False

def test_that_fails(): assert False
"""
LIBRARY = "import pytest\npytest.importorskip('library_of_babel')\ndef test_books(): ...\n"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_end_says_what_was_not_tested(tmp_path: Path, workers: str) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, text in (("test_a", TESTS), ("test_b", LIBRARY), ("test_c", LIBRARY)):
        (tmp_path / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider", "."],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
        env={**os.environ, "PATH": str(tmp_path / "no programs here"), "CI": "", "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if "not tested" in line]
    assert sorted(lines) == [
        "not tested: 1 test, because the moon is full",
        "not tested: 2 files for want of library_of_babel. To test them: python -m pip install library_of_babel; "
        "make env installs all that tests need",
        "not tested: 7 tests for want of chromium; 3 tests for want of ngspice. To test them: install chromium ngspice "
        "(Debian, Ubuntu: apt install chromium ngspice)",
    ]
    assert "SKIPPED" not in done.stdout
    assert "FAILED test_a.py::test_that_fails" in done.stdout and "XFAIL test_a.py::test_expected" in done.stdout
