"""What is wrong with a study is known before anything is computed, in ``study check``, in a sweep, and from Python."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from typer.testing import CliRunner, Result

from crossohm.cli import app
from crossohm.errors import CrossOhmError, ParameterError, StudyError
from crossohm.studies import check_study, load_study, open_results, run_study
from crossohm.torch.front_end import require_device

NET = """
import torch
from torch import nn

def make(width=8):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

def broken():
    raise RuntimeError("half written")
"""
SMALL: dict[str, Any] = {"dataset": {"images": 8}, "calibration": {"images": 8}, "repeats": 1}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NET)
    Path("empty.py").touch()
    Path("folder").mkdir()


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of chips that are measured."""
    from crossohm.studies.work.evaluate import MeasuredPoint

    seen: list[int] = []
    original = MeasuredPoint.measured
    monkeypatch.setattr(MeasuredPoint, "measured", lambda point: seen.append(point.unit.seed) or original(point))
    return seen


def written(**sections: Any) -> Path:
    Path("study.json").write_text(json.dumps({**SMALL, **sections}, indent=1))
    return Path("study.json")


def crossohm_(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


# --- files and machine ------------------------------------------------------------------------------------------------

OWN = {"name": "digits", "images": 8, "preprocessing": "unit"}
UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "plug-in": ({"plugins": ["nope.py"]}, "nope.py"),
    "plug-in that is a folder": ({"plugins": ["folder"]}, "folder"),
    "network file": ({"model": "nope.py:make", "dataset": OWN}, "nope.py"),
    "function of a network file": ({"model": "net.py:nope", "dataset": OWN}, "nope"),
    "network that fails": ({"model": "net.py:broken", "dataset": OWN}, "half written"),
    "exported network": ({"model": "nope.pt2", "dataset": OWN}, "nope.pt2"),
    "checkpoint": ({"model": {"name": "net.py:make", "checkpoint": "nope.pt"}, "dataset": OWN}, "nope.pt"),
    "checkpoint of a sweep": (
        {"model": "net.py:make", "dataset": OWN, "sweep": {"grid": {"model.checkpoint": ["nope.pt", "no.pt"]}}},
        "nope.pt",
    ),
    "checkpoint that is a folder": (
        {"model": {"name": "net.py:make", "checkpoint": "folder"}, "dataset": OWN}, "folder",
    ),
    "option": ({"model": {"name": "net.py:make", "options": {"depth": 3}}, "dataset": OWN}, "depth"),
    "option of a sweep": (
        {"model": "net.py:make", "dataset": OWN, "sweep": {"grid": {"model.options.width": [4, "many"]}}}, "net.py:make"
    ),
    "ranges": ({"calibration": {"file": "nope.json"}}, "nope.json"),
    "ranges that are a folder": ({"calibration": {"file": "folder"}}, "folder"),
    "ranges of something else": ({"calibration": {"file": "study.json"}}, "study.json"),
    "data function": ({"model": "net.py:make", "dataset": {"name": "nope.py:data"}}, "nope.py"),
    "preprocessing": ({"model": "net.py:make"}, "dataset.preprocessing"),
    "hardware file": ({"hardware": "nope.json"}, "nope.json"),
    "hardware of a layer": ({"hardware": {"layers": {"fc": {"base": "nope.json"}}}}, "nope.json"),
    "layer": ({"hardware": {"layers": {"convolution": {"digital": True}}}}, "convolution"),
    "kind of device": ({"run": {"device": "tpu"}}, "run.device = 'tpu'"),
    "device without numbers": ({"run": {"device": "meta"}}, "run.device = 'meta'"),
    "device": ({"run": {"device": "cuda:99"}}, "run.device = 'cuda:99'"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", UNUSABLE)
def test_files_and_devices(mistake: str, measured: list[int]) -> None:
    sections, named = UNUSABLE[mistake]
    study = written(**sections)
    for command in (["study", "check"], ["sweep"], ["run"], ["budget"], ["calibrate"], ["hardware"]):
        if "sweep" in sections and command not in (["study", "check"], ["sweep"]):
            continue
        if "calibration" in sections and command == ["calibrate"]:
            continue  # needs no ranges
        done = crossohm_(*command, str(study))
        assert done.exit_code == 2, (command, done.output)
        assert done.stderr.startswith("Error: study.json"), (command, done.stderr)
        assert named in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not measured
    assert not Path("crossohm-results").exists()
    with pytest.raises(CrossOhmError, match=r"study\.json, line"):
        check_study(load_study(study)).require_fine()


def test_data_may_lie_elsewhere() -> None:
    study = written(model="net.py:make", dataset={"name": "cifar10", "data_dir": "elsewhere", "preprocessing": "unit"})
    assert crossohm_("study", "check", str(study)).exit_code == 0


def test_devices_of_other_machines_are_known_by_name_only() -> None:
    require_device("cuda:99", "run.device", here=False)
    with pytest.raises(ParameterError, match="no such kind of device"):
        require_device("tpu", "run.device", here=False)
    with pytest.raises(ParameterError, match=r"cuda:99.*on this machine: cpu"):
        require_device("cuda:99", "run.device")


@pytest.mark.parametrize("place", ["a file", "in a file", "something else"])
def test_a_folder_that_cannot_take_results(place: str, measured: list[int]) -> None:
    Path("file").write_text("mine")
    Path("folder", "thesis.txt").touch()
    output = {"a file": "file", "in a file": "file/results", "something else": "folder"}[place]
    study = str(written())
    for command in (["study", "check"], ["sweep"], ["run"], ["budget"]):
        done = crossohm_(*command, study, "--output", output)
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Error: {output}: ")
        assert len(done.stderr.splitlines()) == 1
    assert not measured
    assert Path("file").read_text() == "mine"


def test_a_check_leaves_nothing_behind() -> None:
    before = sorted(Path().rglob("*"))
    assert crossohm_("study", "check", str(written()), "--output", "a/b/c").exit_code == 0
    assert sorted({*Path().rglob("*")} - {Path("study.json")}) == before


# --- points -----------------------------------------------------------------------------------------------------------

IMPOSSIBLE: dict[str, tuple[dict[str, Any], int, str]] = {
    "rule": ({"hardware": {"set": {"xbar.device.Rmin": 1e9}}}, 1, r"line \d+: xbar\.device\.Rmin"),
    "rule at a point": ({"sweep": {"grid": {"xbar.device.Rmin": [1e4, 1e9]}}}, 1, r"Rmin = 1000000000\.0"),
    "combination": (
        {"hardware": "ISAAC", "sweep": {"grid": {"core.bit_sliced.num_slices": [1, 2, 3, 4, 5, 6, 7, 8, 9]}}}, 7,
        r"xbar\.device\.cell_bits",
    ),
    "combination of axes": (
        {"sweep": {"grid": {"xbar.device.Rmin": [1e3, 1e5], "xbar.device.Rmax": [1e4, 1e6]}}}, 1, "at the point",
    ),
    "model of cells": ({"hardware": {"set": {"xbar.device.programming_error.model": "Nope"}}}, 1, "Nope"),
    "role of a model": (
        {"hardware": {"set": {"xbar.device.drift_error": {"enable": True, "model": "RRAMMilo"}}}}, 1, "drift_error",
    ),
    "converter": ({"sweep": {"grid": {"xbar.adc.mvm.model": ["QuantizerADC", "NopeADC"]}}}, 1, "NopeADC"),
    "converter of a layer": ({"hardware": {"layers": {"fc": {"set": {"xbar.dac.mvm.model": "Nope"}}}}}, 1, "Nope"),
    "bits of a circuit": (
        {"sweep": {"grid": {"xbar.adc.mvm.bits": [8, 20]}}, "hardware": {"set": {"xbar.adc.mvm.model": "SarADC"}}}, 1,
        "SarADC",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", IMPOSSIBLE)
def test_impossible_points(mistake: str, measured: list[int]) -> None:
    sections, count, message = IMPOSSIBLE[mistake]
    study = written(**sections)
    done = crossohm_("study", "check", str(study))
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: study.json, line")
    found = check_study(load_study(study))
    assert len(found.impossible) == count
    with pytest.raises(StudyError, match=message):
        found.require_fine()
    assert not measured


def test_a_sweep_says_at_once_what_is_impossible_and_computes_the_others(measured: list[int]) -> None:
    study = written(sweep={"grid": {"xbar.device.Rmin": [1e9, 1e4, 2e9]}})

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "chips":
            raise KeyboardInterrupt

    with (
        pytest.warns(UserWarning, match="1 of 3 points fail for this; the others go on"),
        pytest.raises(KeyboardInterrupt),
    ):
        run_study(load_study(study), Path("stopped"), progress=stop)
    assert not measured
    with pytest.warns(UserWarning, match="of 3 points"), pytest.raises(CrossOhmError, match="1 more failed"):
        run_study(load_study(study), Path("results"))
    assert [chip.point for chip in open_results("results").chips] == [1]
    assert [one.point for one in open_results("results").failures] == [0, 2]


def test_a_sweep_of_impossible_points_only(measured: list[int]) -> None:
    done = crossohm_("sweep", str(written(sweep={"grid": {"xbar.device.Rmin": [1e9, 2e9]}})))
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: study.json, line")
    assert not measured
    assert not Path("crossohm-results").exists()


# --- axes without effect ----------------------------------------------------------------------------------------------

WIRES = "xbar.array.parasitics.Rp_row"
ERROR = "xbar.device.programming_error.magnitude"
QUIET = {"set": {"xbar.device.read_noise.enable": False}}
IDLE: dict[str, tuple[dict[str, Any], set[str]]] = {
    "wires": ({"sweep": {"grid": {WIRES: [0.1, 1000]}}}, {WIRES}),
    "disabled error": ({"hardware": "default", "sweep": {"grid": {ERROR: [0.01, 10]}}}, {ERROR}),
    "ideal ADC": ({"hardware": "default", "sweep": {"grid": {"xbar.adc.mvm.bits": [2, 8]}}}, {"xbar.adc.mvm.bits"}),
    "read noise": (
        {"hardware": QUIET, "sweep": {"grid": {"xbar.device.read_noise.magnitude": [0.1, 0.2]}}},
        {"xbar.device.read_noise.magnitude"},
    ),
    "a group": (
        {"hardware": QUIET, "sweep": {"grid": {"xbar.device.read_noise": [{"magnitude": 0.1}, {"magnitude": 0.2}]}}},
        {"xbar.device.read_noise"},
    ),
    "of a layer": ({"sweep": {"grid": {f"fc:{WIRES}": [0.1, 1000]}}}, {f"fc:{WIRES}"}),
    "one of two axes": ({"sweep": {"grid": {"core.rows_max": [64, 128], WIRES: [1, 2]}}}, {WIRES}),
    "in a zip": ({"sweep": {"zip": {"core.rows_max": [64, 128], WIRES: [1, 2]}}}, {WIRES}),
    "in points": ({"sweep": {"points": [{WIRES: 1}, {WIRES: 2}]}}, {WIRES}),
    "range that is found": (
        {"sweep": {"grid": {"core.mapping.inputs.mvm.max": [1.0, 2.0]}}}, {"core.mapping.inputs.mvm.max"}
    ),
    "option of a range that is found": (
        {"sweep": {"grid": {"xbar.adc.mvm.adc_range_option": ["MAX", "CALIBRATED"]}}}, {"xbar.adc.mvm.adc_range_option"}
    ),
    "other direction": (
        {"hardware": {"set": {"xbar.adc.match": False}}, "sweep": {"grid": {"xbar.adc.vmm.bits": [4, 8]}}},
        {"xbar.adc.vmm.bits"},
    ),
    "digital layers": (
        {"hardware": {"layers": {"*": {"digital": True}}}, "sweep": {"grid": {"xbar.adc.mvm.bits": [4, 8]}}},
        {"xbar.adc.mvm.bits"},
    ),
    "set by layer": (
        {
            "sweep": {"grid": {"xbar.adc.mvm.bits": [4, 8]}},
            "hardware": {"layers": {"*": {"set": {"xbar.adc.mvm.bits": 6}}}},
        },
        {"xbar.adc.mvm.bits"},
    ),
    "no calibration": (
        {"calibration": False, "hardware": "default", "sweep": {"grid": {"calibration.images": [8, 9]}}},
        {"calibration.images"},
    ),
    "images that are not drawn": ({"sweep": {"grid": {"dataset.sample_seed": [1, 2]}}}, {"dataset.sample_seed"}),
}  # fmt: skip
EFFECTIVE: dict[str, dict[str, Any]] = {
    "switched on": {"hardware": {"set": {"xbar.array.parasitics.enable": True}}, "sweep": {"grid": {WIRES: [0.1, 1]}}},
    "switch and size": {"sweep": {"grid": {"xbar.array.parasitics.enable": [False, True], WIRES: [0.1, 1]}}},
    "size and switch": {"sweep": {"grid": {WIRES: [0.1, 1], "xbar.array.parasitics.enable": [False, True]}}},
    "switch in a zip": {"sweep": {"zip": {"xbar.array.parasitics.enable": [False, True], WIRES: [0, 1]}}},
    "switch of a layer": {"sweep": {"grid": {"fc:xbar.array.parasitics.enable": [False, True], WIRES: [0.1, 1]}}},
    "preset and bits": {"sweep": {"grid": {"hardware": ["default", "rram-8bit"], "xbar.adc.mvm.bits": [4, 8]}}},
    "a layer differs": {
        "hardware": {"layers": {"fc": {"base": "default"}}}, "sweep": {"grid": {"xbar.adc.mvm.bits": [4, 8]}}
    },
    "one value": {"sweep": {"grid": {WIRES: [1]}}},
    "drawn images": {"dataset": {"images": 8, "sample": "random"}, "sweep": {"grid": {"dataset.sample_seed": [1, 2]}}},
    "GRANULAR": {
        "hardware": "default", "calibration": {"images": 8},
        "sweep": {"zip": {
            "xbar.adc.mvm": [{"model": "QuantizerADC", "bits": 8, "adc_range_option": "MAX"}, {"model": "IdealADC"}],
            "xbar.device.cell_bits": [7, 0],
        }},
    },
    "option kept": {
        "calibration": {"adc": False, "images": 8},
        "hardware": {"set": {"xbar.adc.mvm.calibrated_range": [-9, 9]}},
        "sweep": {"grid": {"xbar.adc.mvm.adc_range_option": ["MAX", "CALIBRATED"]}},
    },
    "network": {"model": "net.py:make", "dataset": OWN, "sweep": {"grid": {"model.options.width": [4, 8]}}},
}  # fmt: skip


@pytest.mark.parametrize("case", IDLE)
def test_axes_without_effect(case: str) -> None:
    sections, paths = IDLE[case]
    study = written(**sections)
    found = check_study(load_study(study))
    assert set(found.idle) == paths
    for path, advice in found.idle.items():
        line = next(n for n, text in enumerate(study.read_text().splitlines(), 1) if json.dumps(path) in text)
        expected = line if "points" not in sections["sweep"] else line - 2
        assert advice.startswith(f"study.json, line {expected}: {path} is varied, but has no effect at any point: ")
    done = crossohm_("study", "check", str(study))
    assert done.exit_code == 2
    assert "has no effect at any point" in done.stderr


@pytest.mark.parametrize("case", EFFECTIVE)
def test_axes_with_effect(case: str) -> None:
    study = written(**EFFECTIVE[case])
    assert check_study(load_study(study)).idle == {}
    assert crossohm_("study", "check", str(study)).exit_code == 0


def test_a_sweep_gives_the_advice_before_it_computes(measured: list[int]) -> None:
    study = load_study(written(sweep={"grid": {WIRES: [0.1, 1000]}}))

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "chips":
            raise KeyboardInterrupt

    with (
        pytest.warns(UserWarning, match="Rp_row is varied.*parasitics.enable is False"),
        pytest.raises(KeyboardInterrupt),
    ):
        run_study(study, Path("results"), progress=stop)
    assert not measured
    with pytest.warns(UserWarning, match="Rp_row is varied") as given:
        results = run_study(study, Path("results"))
    assert len([one for one in given if "all 2 positions" in str(one.message)]) == 0  # said already
    first, second = (chip.record for chip in results.chips)
    assert first["output"] == second["output"]


@pytest.mark.parametrize(
    ("path", "values", "same"),
    [("model.fold_batchnorm", [True, False], True), ("xbar.adc.mvm.bits", [4, 8], False), ("repeats", None, False)],
)
def test_results_that_are_the_same_all_along_an_axis(path: str, values: list[Any] | None, same: bool) -> None:
    sections = {"model": "net.py:make", "dataset": OWN}
    study = load_study(written(**sections, **({} if values is None else {"sweep": {"grid": {path: values}}})))
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        run_study(study, Path("results"))
    assert any("all 2 positions have exactly the same results" in str(one.message) for one in given) == same


# --- spans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["grid", "zip"])
@pytest.mark.parametrize(
    ("span", "values"),
    [
        ({"from": 4, "to": 8, "count": 5}, [4, 5, 6, 7, 8]),
        ({"from": 8, "to": 4, "count": 3}, [8, 6, 4]),
        ({"from": 1, "to": 16, "count": 5, "scale": "log"}, [1, 2, 4, 8, 16]),
    ],
)
def test_spans_of_whole_numbers(kind: str, span: dict[str, Any], values: list[int]) -> None:
    loaded = load_study(written(sweep={kind: {"xbar.adc.mvm.bits": span}}))
    found = [position["xbar.adc.mvm.bits"] for position in loaded.axes[0].positions]
    assert found == values
    assert all(isinstance(value, int) for value in found)
    one = load_study(written(sweep={kind: {"xbar.device.Rmax": {"from": 1e5, "to": 2e5, "count": 3}}}))
    assert [position["xbar.device.Rmax"] for position in one.axes[0].positions] == [1e5, 1.5e5, 2e5]


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ({"from": 4, "to": 8, "count": 4}, r"5\.33333 is a step; allowed: .*count: 2, 3, 5"),
        ({"from": 1, "to": 16, "count": 4, "scale": "log"}, r"2\.51984 is a step; allowed: .*log.* count: 2, 3, 5"),
        ({"from": 4.0, "to": 8.0, "count": 5}, r"decimal point; allowed: \{from: 4, to: 8, scale: linear\}.*count"),
        ({"from": 1.5, "to": 8, "count": 3}, r"1\.5 is a step; allowed: whole numbers as from and to"),
    ],
)
def test_spans_that_leave_the_whole_numbers(span: dict[str, Any], message: str) -> None:
    with pytest.raises(
        StudyError, match=rf"study\.json, line \d+: xbar\.adc\.mvm\.bits.*has to be an integer, but .*{message}"
    ):
        load_study(written(sweep={"grid": {"xbar.adc.mvm.bits": span}}))
