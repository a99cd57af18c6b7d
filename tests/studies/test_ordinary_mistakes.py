"""Ordinary mistakes on the command line: one line that says what is wrong, never a traceback, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from typer.testing import CliRunner

import crossohm
from crossohm.cli import app
from crossohm.errors import StudyError
from crossohm.studies import load_study

SMALL: dict[str, Any] = {"dataset": {"images": 8}, "calibration": {"images": 8}, "repeats": 1}
DATA = """
import numpy as np
from crossohm.datasets import Dataset

def data(count):
    return Dataset("data", np.zeros((count, 1, 8, 8), np.float32), np.zeros(count, np.int64), tuple("0123456789"))

def empty(data_dir=None, split="test"):
    return data(0)

def untrained(data_dir=None, split="test"):
    return data(0 if split == "train" else 8)
"""
NETS = """
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

def without_layers():
    return nn.Flatten()

def of_other_images():
    return nn.Sequential(nn.Flatten(), nn.Linear(32, 10))

def number():
    return 3

def leaves():
    raise SystemExit(0)
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder.yaml", "folder.json"):
        Path(name).mkdir()
        Path(name, "thesis.txt").write_text("mine")
    for name in ("empty.yaml", "empty.json"):
        Path(name).touch()
    Path("file").write_text("mine")
    Path("bytes.yaml").write_bytes(b"\xff\xfe\x00")
    Path("good.json").write_text(json.dumps(SMALL))
    Path("data.py").write_text(DATA)
    Path("nets.py").write_text(NETS)
    np.savez("empty.npz", images=np.zeros((0, 1, 8, 8), np.float32), labels=np.zeros(0, int))


def refused(*arguments: str) -> str:
    """What a command says in its one line."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    done = CliRunner().invoke(app, list(arguments))
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 2, done.output
    said = done.stderr.strip()
    if not said.startswith("Usage"):  # typer's own, in a box
        assert said.startswith("Error: ")
        assert len(said.splitlines()) == 1
    assert done.stdout == ""
    after = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if "__pycache__" not in path.parts}
    assert {path: before.get(path) for path in after} == after
    return said


RUN: dict[str, list[str]] = {
    "draws": ["-1", "0", "99999999999", "x"],
    "images": ["0", "-3"],
    "percentile": ["nan", "inf", "-inf", "50", "x"],
    "seed": ["-1", "99999999999999999999999"],
    "batch-size": ["0", "-1"],
    "top-k": ["0", "11"],
    "calibration-images": ["0", "-1"],
    "dataset": ["nope", "", "folder"],
    "model": ["nope", ""],
    "hardware": ["folder", "folder.json", "folder.yaml", "empty.json", "bytes.yaml", "nope", "", "a\0b"],
    "set": ["x", "x=", "=3", "xbar.device.Rmin=inf", "xbar.device.Rmin=NaN", "xbar.device.Rmin=1e400", "xbar=3",
            "xbar.device.Rmin=1e9", "xbar.device.read_noise.model=Nope"],
    "plugin": ["folder", "nope.py", "file"],
    "objective": ["L3"],
    "threads": ["0", "-1"],
    "output": ["folder", "file/x", "/proc/x", "a" * 300],
}  # fmt: skip


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in RUN.items() for value in values])
def test_options_of_run(option: str, value: str) -> None:
    refused("run", "-q", f"--{option}", value)
    if option in ("dataset", "model", "hardware", "set", "plugin", "objective", "threads"):
        refused("hardware", f"--{option}", value)


@pytest.mark.parametrize("command", ["run", "sweep", "budget", "calibrate", "hardware", "study check"])
@pytest.mark.parametrize(
    "file", ["nope.yaml", "folder", "folder.yaml", "empty.yaml", "empty.json", "bytes.yaml", "file", ""]
)
def test_study_files(command: str, file: str) -> None:
    if file == "empty.yaml":
        assert "holds nothing" in refused(*command.split(), file)
    else:
        refused(*command.split(), file)


SETTINGS = [
    "repeats=-1", "repeats=0", "repeats=1e400", "repeats=NaN", "dataset.images=0", "dataset.images=-1",
    "calibration.images=0", 'model.options={"x": 1e400}', 'model.options={"x": NaN}', "run.batch_size=0",
    "run.device=tpu", "run.device=cuda:99", "run.device=", "metric.top_k=[]", "x", "x=", "=3", "hardware=folder",
    "hardware=folder.json", 'plugins=["folder"]', "calibration.file=folder", "name=../x", 'save.signals=["nope"]',
    "model.bias_bits=99", 'sweep={"grid": {"xbar.device.Rmin": []}}', 'sweep={"grid": {"metric.top_k": [1]}}',
    'sweep={"grid": {"xbar.device.Rmin": {"from": 1, "to": 1e400, "count": 3}}}', 'sweep={"grid": {"repeats": [1]}}',
]  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings(setting: str) -> None:
    for command in ("study check", "sweep"):
        refused(*command.split(), "good.json", "--set", setting)


#: Found only when data are there.
DATA_MISTAKES: dict[str, dict[str, Any]] = {
    "first image": {"dataset": {"first": 99999}},
    "more classes than there are": {"metric": {"top_k": 99}},
    "no images": {"dataset": "data.py:empty", "model": "nets.py:make"},
    "no training images": {"dataset": "data.py:untrained", "model": "nets.py:make"},
    "empty archive": {
        "dataset": {"name": "npz", "data_dir": "empty.npz", "preprocessing": "unit"},
        "model": "nets.py:make",
    },
    "folder without images": {
        "dataset": {"name": "image_folder", "data_dir": "folder", "preprocessing": "unit"}, "model": "nets.py:make"
    },
    "a file for a folder": {"dataset": {"name": "mnist", "data_dir": "file"}},
    "no folder": {"dataset": "mnist"},
}  # fmt: skip


@pytest.mark.parametrize("mistake", DATA_MISTAKES)
def test_data(mistake: str) -> None:
    Path("study.json").write_text(json.dumps({**SMALL, **DATA_MISTAKES[mistake]}))
    for command in ("sweep", "run"):
        done = CliRunner().invoke(app, [command, "study.json"])
        assert isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code == 2
        assert done.stderr.startswith("Error: ")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("function", ["without_layers", "number", "leaves"])
def test_networks(function: str) -> None:
    dataset = {"name": "digits", "images": 8, "preprocessing": "unit"}
    Path("study.json").write_text(json.dumps({**SMALL, "model": f"nets.py:{function}", "dataset": dataset}))
    for command in ("study check", "sweep", "run", "budget", "calibrate", "hardware"):
        assert "study.json, line 1" in refused(*command.split(), "study.json")


def test_a_network_for_other_images() -> None:
    dataset = {"name": "digits", "images": 8, "preprocessing": "unit"}
    Path("study.json").write_text(json.dumps({**SMALL, "model": "nets.py:of_other_images", "dataset": dataset}))
    done = CliRunner().invoke(app, ["sweep", "study.json"])
    assert done.exit_code == 2
    assert "RuntimeError: mat1 and mat2" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), b"x", {1}, [1, [float("inf")]], {"a": {"b": float("nan")}}]
)
def test_options_that_results_cannot_hold(value: Any) -> None:
    for study in (
        {"model": {"name": "nets.py:make", "options": {"x": value}}},
        {"model": "nets.py:make", "sweep": {"grid": {"model.options.x": [1, value]}}},
    ):
        with pytest.raises(StudyError, match=r"model\.options.*(finite number|neither number)"):
            load_study(study)


@pytest.mark.parametrize("workers", [["--workers", "0"], ["--workers", "-1"], ["--workers", "2", "--scheduler", "x"]])
def test_workers(workers: list[str]) -> None:
    refused("sweep", "good.json", *workers)


@pytest.mark.parametrize("resource", ["GPU=inf", "GPU=NaN", "GPU", "GPU=0", "GPU=no"])
def test_resources(resource: str) -> None:
    refused("sweep", "good.json", "--scheduler", "tcp://x:1", "--resource", resource)


@pytest.mark.parametrize("output", ["folder", "/proc/x.json", "file/x.json", "/dev/null/x"])
def test_ranges_that_cannot_be_written(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossohm.studies.work import sweep

    monkeypatch.setattr(sweep, "check_study", lambda *_, **__: pytest.fail("known before"))
    refused("calibrate", "good.json", "--output", output)


def test_reports() -> None:
    for place in ("nope", "file", "folder", ""):
        for form in ([], ["--html", "x.html"], ["--figures", "figures"]):
            refused("report", place, *form)
    assert CliRunner().invoke(app, ["sweep", "good.json", "--output", "results", "-q"]).exit_code == 0
    for form in (
        ["--html", "folder"], ["--html", "/dev/null"], ["--html", "/proc/x.html"], ["--html", "file/x.html"],
        ["--figures", "file"], ["--figures", "/proc/x"], ["--figures", "figures", "--format", "xyz"],
    ):  # fmt: skip
        refused("report", "results", *form)
    assert Path("/dev/null").is_char_device()


# --- outputs and signals ----------------------------------------------------------------------------------------------

COMMAND = [sys.executable, "-c", "from crossohm.cli import app; app()"]
SOURCE = Path(crossohm.__file__).parent.parent


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["presets"], ["study", "schema"]])
def test_output_that_nobody_takes(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert done.returncode == 2
    assert done.stderr == "Error: No space left on device\n"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*COMMAND, *arguments], stdout=write, stderr=subprocess.PIPE, text=True, env=environment())
    os.close(write)
    assert done.returncode != 0
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_ctrl_c(workers: list[str]) -> None:
    sweep = {"grid": {"xbar.device.programming_error.magnitude": {"from": 0.01, "to": 0.9, "count": 300}}}
    Path("long.json").write_text(json.dumps({**SMALL, "sweep": sweep}))
    process = subprocess.Popen(
        [*COMMAND, "sweep", "long.json", *workers],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
        # A run in the background ignores the signal, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    folder = Path("crossohm-results/long")
    while process.poll() is None and len(list(folder.glob("chips/*/*.json"))) < 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers as well
    out, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    there = len(list(folder.glob("chips/*/*.json")))
    assert 2 <= there < 300
    assert said == f"Stopped: {there} of 300 chips are in {folder}; the same command goes on\n"


def test_ctrl_c_before_anything_was_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossohm.studies.work import sweep

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "check_study", interrupted)
    for command in ("sweep", "run"):
        done = CliRunner().invoke(app, [command, "good.json"])
        assert done.exit_code == 130
        assert done.stderr == "Stopped: no chip has been computed yet; the same command goes on\n"
    done = CliRunner().invoke(app, ["calibrate", "good.json"])
    assert done.exit_code == 130
    assert done.stderr == "Stopped\n"
