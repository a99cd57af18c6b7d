"""``crossohm chip`` says what `crossohm.chip.check` finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from crossohm.chip import ChipSpec, NetworkShape, check
from crossohm.cli import app


def crossohm_chip(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["chip", *arguments])


def test_the_report_is_printed() -> None:
    done = crossohm_chip()
    assert done.exit_code == 0
    assert done.stdout == f"{check(NetworkShape(ChipSpec()))}\n"


def test_every_option_reaches_chip_or_network() -> None:
    done = crossohm_chip(
        *("--sizes", "784,300,10", "--classes", "5", "--readout", "first", "--permute", "none", "--grey-bits", "4"),
        *("--grid", "8,4", "--core", "128,64", "--slot", "8", "--sign", "nonnegative", "--interface-bits", "6"),
        *("--input-lines", "800", "--json"),
    )
    chip = ChipSpec((8, 4), 128, 64, 8, 6, "nonnegative", input_lines=800)
    shape = NetworkShape(chip, (784, 300, 10), 5, "first", "none", input_bits=4)
    assert json.loads(done.stdout) == json.loads(json.dumps(check(shape, strict=False).as_dict()))


def test_a_network_that_does_not_fit_is_reported_and_ends_with_one() -> None:
    done = crossohm_chip("--sizes", "1024,4096,2048,256")
    assert done.exit_code == 1
    assert "does not fit: 450 of 256 physical cores" in done.stdout
    assert crossohm_chip("--sizes", "1024,4096,2048,256", "--sign", "nonnegative").exit_code == 0


def test_a_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert crossohm_chip("--picture", str(tmp_path / "chip.svg")).exit_code == 0
    assert "<svg" in (tmp_path / "chip.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "1024,many"], "--sizes"), (["--grid", "16"], "two numbers"), (["--sign", "pairs"], "'pair'"),
        (["--readout", "last"], "readout"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(arguments: list[str], message: str) -> None:
    done = crossohm_chip(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr and done.stderr.count("\n") == 1
