"""Study files on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from crossohm.cli import app

STUDY = """
dataset: {images: 20}
calibration: {images: 20}
repeats: 2
sweep:
  grid:
    xbar.adc.mvm.bits: [3, 8]
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bits.yaml").write_text(STUDY, encoding="utf-8")


def crossohm_(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def needs_torch_and_digits() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")


@pytest.mark.parametrize("command", ["sweep", "budget", "calibrate", "report", "study check"])
def test_every_option_is_explained(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=200, env={"COLUMNS": "200"})
    assert done.exit_code == 0
    options = [line for line in done.stdout.splitlines() if re.search(r"│ +--", line) and "--help" not in line]
    assert all("." in line for line in options), options


def test_sweep_and_report() -> None:
    needs_torch_and_digits()
    done = crossohm_("sweep", "bits.yaml")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert re.search(r"^ *3 +2 +[\d.]+ ± [\d.]+ % +[\d.]+ % +[\d.]+", done.stdout, re.MULTILINE)
    assert "Results in crossohm-results/bits" in done.stdout
    assert crossohm_("report", "crossohm-results/bits").stdout == done.stdout
    found = json.loads(crossohm_("report", "crossohm-results/bits", "--json").stdout)
    assert found["complete"]
    assert [point["settings"] for point in found["points"]] == [{"xbar.adc.mvm.bits": 3}, {"xbar.adc.mvm.bits": 8}]
    assert [point["seeds"] for point in found["points"]] == [[1, 2]] * 2
    assert found["points"][0]["output_snr"] < found["points"][1]["output_snr"]


def test_sweep_goes_on_with_more_chips() -> None:
    needs_torch_and_digits()
    assert crossohm_("sweep", "bits.yaml", "-q").stdout == "bits: 4 of 4 chips; results in crossohm-results/bits\n"
    before = {path: path.stat().st_mtime_ns for path in Path("crossohm-results").rglob("chips/*/*.json")}
    done = crossohm_("sweep", "bits.yaml", "-q", "--set", "repeats=3")
    assert done.stdout == "bits: 6 of 6 chips; results in crossohm-results/bits\n"
    after = {path: path.stat().st_mtime_ns for path in Path("crossohm-results").rglob("chips/*/*.json")}
    assert before.items() <= after.items()


def test_run_and_hardware_leave_the_sweep_out() -> None:
    needs_torch_and_digits()
    found = json.loads(crossohm_("run", "bits.yaml", "--json", "--set", "xbar.adc.mvm.bits=5").stdout)
    assert [point["settings"] for point in found["points"]] == [{}]
    assert found["folder"] == "crossohm-results/bits-run"
    layers = json.loads(crossohm_("hardware", "bits.yaml", "--json", "--set", "xbar.adc.mvm.bits=5").stdout)["layers"]
    assert [layer["adc_levels"] for layer in layers] == [32, 32, 32]


def test_budget() -> None:
    needs_torch_and_digits()
    options = ["--set", "sweep={}", "--set", "repeats=1", "--set", "hardware.set.xbar.adc.mvm.bits=3"]
    done = crossohm_("budget", "bits.yaml", *options)
    assert done.exit_code == 0, done.output
    assert re.search(r"^ *ADC +all +[\d.]+ %", done.stdout, re.MULTILINE)
    found = json.loads(crossohm_("budget", "bits.yaml", *options, "--json").stdout)
    assert found["folder"] == "crossohm-results/bits-budget"
    assert max(found["contributions"], key=lambda row: row["share"])["cause"] == "adc"
    assert re.fullmatch(
        r"bits: most noise from ADC, \d+ %; results in crossohm-results/bits-budget\n",
        crossohm_("budget", "bits.yaml", *options, "-q").stdout,
    )


def test_calibrate_once_and_use_again() -> None:
    needs_torch_and_digits()
    done = crossohm_("calibrate", "bits.yaml", "--output", "ranges.json")
    assert done.exit_code == 0, done.output
    assert "Ranges in ranges.json" in done.stdout
    assert re.search(r"^ *fc +-[\d.]+\.\.[\d.]+ +[\d.e-]+ +-[\d.]+\.\.[\d.]+ \(error", done.stdout, re.MULTILINE)
    found = crossohm_("run", "bits.yaml", "--json", "--output", "found")
    again = crossohm_("run", "bits.yaml", "--json", "--output", "again", "--set", 'calibration={"file": "ranges.json"}')
    points = [json.loads(run.stdout)["points"] for run in (found, again)]
    assert points[0] == points[1]
    other = ["--set", 'calibration={"file": "ranges.json"}', "--set", "core.rows_max=64"]
    refused = crossohm_("run", "bits.yaml", *other)
    assert refused.exit_code == 2
    assert "core.rows_max = 64: ranges of layer" in refused.stderr


def test_study_check_and_schema() -> None:
    assert crossohm_("study", "check", "bits.yaml").stdout.endswith("bits.yaml: fine; 2 points x 2 chips\n")
    assert "hardware" in json.loads(crossohm_("study", "schema").stdout)["properties"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "no.yaml"], r"no\.yaml: cannot be read"),
        (["study", "check", "bad.yaml"], r"bad\.yaml, line 1: repeat = 3.*Did you mean 'repeats'"),
        (["sweep", "bits.yaml", "--set", "repeats=0"], r"bits\.yaml with --set: repeats\.chips = 0"),
        (["run", "bits.yaml", "--images", "3"], r"--images = 3: belongs into the study file. Use --set"),
        (["hardware", "bits.yaml", "--model", "x"], r"--model = 'x': belongs into the study file"),
        (["sweep", "bits.yaml", "--workers", "2", "--scheduler", "tcp://x:1"], "either workers or a scheduler"),
        (["sweep", "bits.yaml", "--scheduler", "x", "--resource", "GPU=no"], "not a positive number"),
        (["sweep", "bits.yaml", "--workers", "2", "--resource", "GPU=1"], "--scheduler"),
        (["calibrate", "bits.yaml", "--set", "calibration=false"], "no ranges are to be found"),
        (["run", "bits.yaml", "--set", 'calibration={"file": "no.json"}'], r"no\.json: cannot be read"),
        (["budget", "bits.yaml"], r"bits\.yaml, line 5: sweep = .*one description"),
        (["report", "."], "holds no results"),
        (["sweep", "bits.yaml", "--output", "."], r"\.: holds something else"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str) -> None:
    needs_torch_and_digits()
    Path("bad.yaml").write_text("repeat: 3\n", encoding="utf-8")
    done = crossohm_(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert re.match(rf"Error: .*{message}", done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path("crossohm-results").exists()


def test_dask_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    needs_torch_and_digits()
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = crossohm_("sweep", "bits.yaml", "--scheduler", "tcp://x:1")
    assert done.exit_code == 2
    assert "pip install 'crossohm[dask]'" in done.stderr
