"""A user's own model, in the user's own file, named in hardware read by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossohm import DataError
from crossohm.cli import app
from crossohm.devices import DEVICES
from crossohm.studies import load_plugin

MODEL = """
from crossohm.devices import Device, device

@device("StuckLow_TestLab")
class StuckLow(Device):
    def programming_error(self, g, cell, draw):
        return 0 * g + cell.rho
"""
USE = ("--set", "xbar.device.programming_error.model=StuckLow_TestLab")


def test_the_command_line_uses_a_model_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "lab.py"
    file.write_text(MODEL)
    arguments = ["run", "-q", "--draws", "1", "--images", "40", "--output", str(tmp_path / "out"), *USE]
    unknown = CliRunner().invoke(app, arguments)
    assert unknown.exit_code == 2
    assert "StuckLow_TestLab" in unknown.stderr
    known = CliRunner().invoke(app, [*arguments, "--plugin", str(file)])
    assert known.exit_code == 0, known.output
    assert "StuckLow_TestLab" in set(DEVICES)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("absent.py", None, "no such file"),
        ("notes.txt", "text", "not a Python file"),
        ("bad.py", "1/0", "ZeroDivision"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name}: .*{message}"):
        load_plugin(tmp_path / name)
