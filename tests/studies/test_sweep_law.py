"""Whatever is varied, a point of a sweep has the numbers that it has alone, in whatever process it is computed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch

from crossohm.devices import Cell
from crossohm.devices.registry import get_device
from crossohm.studies import ChipResult, Dask, Processes, Results, calibrate_study, load_study, run_study
from crossohm.studies.results.store import ResultStore
from crossohm.studies.work.session import Session
from crossohm.studies.work.units import plan
from crossohm.studies.work.worker import work

#: Networks that differ in what their code does only: modules and weights are the same.
NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, activation, factor):
        super().__init__()
        self.a, self.b, self.f, self.factor = nn.Linear(64, 16), nn.Linear(16, 10), getattr(torch, activation), factor

    def forward(self, x):
        return self.factor * self.b(self.f(self.a(x.flatten(1))))

def make(activation="relu", factor=1.0):
    torch.manual_seed(0)
    return Net(activation, factor)

def other():
    return make("tanh")
"""
DATA = """
from dataclasses import replace
from crossohm.datasets import load_dataset

def plain(data_dir=None, split="test"):
    return load_dataset("digits", split=split)

def negative(data_dir=None, split="test"):
    found = plain(split=split)
    return replace(found, images=1 - found.images)
"""
DEVICE = """
from crossohm.devices import Device, device

@device("Shrunk_SweepLaw")
class Shrunk(Device):
    def programming_error(self, g, cell, draw):
        return SHRINK * g
"""
SMALL: dict[str, Any] = {
    "dataset": {"images": 12, "preprocessing": "unit"},
    "calibration": {"images": 12},
    "repeats": 1,
    "save": {"outputs": True, "adc_histograms": True, "signals": ["*"], "conductances": True},
}
OWN: dict[str, Any] = {**SMALL, "model": {"name": "nets.py:make"}}
NOISY = {"set": {"xbar.device.read_noise": {"enable": True, "model": "NormalIndependentDevice", "magnitude": 0.05}}}
RANDOM = {"images": 12, "sample": "random"}
AXES: dict[str, tuple[dict[str, Any], str, list[Any]]] = {
    "network": (OWN, "model.name", ["nets.py:make", "nets.py:other"]),
    "option in forward": (OWN, "model.options.activation", ["relu", "tanh"]),
    "option in an attribute": (OWN, "model.options.factor", [1.0, 3.0]),
    "checkpoint": (OWN, "model.checkpoint", ["one.pt", "two.pt"]),
    "folding": ({**SMALL, "calibration": False}, "model.fold_batchnorm", [True, False]),
    "bias bits": (SMALL, "model.bias_bits", [0, 2]),
    "data function": (OWN, "dataset.name", ["data.py:plain", "data.py:negative"]),
    "images": (SMALL, "dataset.images", [12, 13]),
    "first image": (SMALL, "dataset.first", [0, 1]),
    "drawn images": ({**SMALL, "dataset": RANDOM}, "dataset.sample_seed", [0, 1]),
    "preprocessing": (OWN, "dataset.preprocessing", ["unit", {"normalisation": {"mean": [0.5], "std": [0.5]}}]),
    "preset": (SMALL, "hardware", ["rram-8bit", "ISAAC"]),
    "hardware of a layer": (SMALL, "conv1:xbar.adc.mvm.bits", [3, 8]),
    "digital layer": (SMALL, "fc:digital", [True, False]),
    "bias rows": (SMALL, "hardware.bias_rows", [0, 1]),
    "arrays": (SMALL, "core.rows_max", [64, 128]),
    "mapping": ({**SMALL, "hardware": "default"}, "core.style", ["BALANCED", "OFFSET"]),
    "read noise": ({**SMALL, "hardware": NOISY}, "xbar.device.read_noise.magnitude", [0.02, 0.05]),
    "sampling": ({**SMALL, "hardware": NOISY}, "simulation.read_noise_sampling", ["auto", "explicit"]),
    "training images": (SMALL, "calibration.images", [12, 30]),
    "objective": (SMALL, "calibration.objective", ["L2", "L1"]),
    "level on zero": (SMALL, "calibration.zero_level", [True, False]),
    "levels below a ReLU": (SMALL, "calibration.relu_aware", [True, False]),
    "no calibration": ({**SMALL, "hardware": "default"}, "calibration", [True, False]),
    "saved ranges": (SMALL, "calibration.file", ["one.json", "two.json"]),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "data.py").write_text(DATA)
    for number, name in enumerate(("one", "two")):
        torch.manual_seed(number)
        weights = {"a": torch.nn.Linear(64, 16), "b": torch.nn.Linear(16, 10)}
        torch.save(torch.nn.ModuleDict(weights).state_dict(), tmp_path / f"{name}.pt")
    return tmp_path


def ranges_in(folder: Path) -> None:
    for images, name in ((12, "one"), (40, "two")):
        calibrate_study(load_study({**SMALL, "calibration": {"images": images}})).save(folder / f"{name}.json")


def carried_out(folder: Path, study: dict[str, Any], name: str, **options: Any) -> Results:
    return run_study(load_study(study, folder=folder), folder / name, **options)


def numbers(results: Results, chip: ChipResult) -> dict[str, Any]:
    """Everything a chip says that does not depend on when and where it was computed."""
    record = {name: value for name, value in chip.record.items() if name not in ("provenance", "files")}
    hardware = {name: None if one is None else str(one) for name, one in results.hardware(chip).items()}
    return {**record, "key": chip.key, "described": hardware, "report": results.hardware_report(chip)}


def assert_same(swept: Results, alone: list[Results]) -> None:
    assert len(swept.chips) == len(alone)
    for chip, single in zip(swept.chips, alone, strict=True):
        (other,) = single.chips
        assert numbers(swept, chip) == numbers(single, other)
        kept, wanted = swept.arrays(chip), single.arrays(other)
        assert kept.keys() == wanted.keys()
        for name in wanted:
            np.testing.assert_array_equal(kept[name], wanted[name], err_msg=name)


def alone(folder: Path, base: dict[str, Any], path: str, values: list[Any]) -> list[Results]:
    """Every value of an axis by itself, as a study with an axis of one position: settings are given the same way."""
    return [
        carried_out(folder, {**base, "sweep": {"grid": {path: [value]}}}, f"alone-{number}")
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_point_is_what_it_is_alone(folder: Path, axis: str) -> None:
    base, path, values = AXES[axis]
    if axis == "saved ranges":
        ranges_in(folder)
    singles = alone(folder, base, path, values)
    assert_same(carried_out(folder, {**base, "sweep": {"grid": {path: values}}}, "swept"), singles)
    first, second = (numbers(single, single.chips[0]) for single in singles)
    assert first["key"] != second["key"]


@pytest.mark.parametrize(
    "axis", ["network", "option in forward", "option in an attribute", "checkpoint", "data function"]
)
def test_digital_answers_are_those_of_the_points_network(folder: Path, axis: str) -> None:
    base, path, values = AXES[axis]
    swept = carried_out(folder, {**base, "sweep": {"grid": {path: values}}}, "swept")
    first, second = (swept.arrays(chip)["digital"] for chip in swept.chips)
    assert np.abs(first - second).max() > 0.01
    for chip in swept.chips:
        assert chip.output_snr > 10  # 8-bit hardware is near its own network


@pytest.mark.slow
def test_processes_agree(folder: Path) -> None:
    axes = ("option in forward", "checkpoint", "data function")
    grid = {path: values for _, path, values in (AXES[axis] for axis in axes)}
    points = [{path: values[number] for path, values in grid.items()} for number in (0, 1)]
    study = {**OWN, "sweep": {"points": points}}
    singles = [
        carried_out(folder, {**OWN, "sweep": {"points": [point]}}, f"alone-{n}") for n, point in enumerate(points)
    ]
    assert_same(carried_out(folder, study, "workers", executor=Processes(2)), singles)
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster:
        there = carried_out(folder, study, "cluster", executor=Dask(cluster.scheduler_address))
    assert_same(there, singles)


def rewritten(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**6))  # some clocks are coarser than a test is fast


def new_code(folder: Path) -> None:
    rewritten(folder / "nets.py", NETS.replace('"relu", factor', '"tanh", factor'))


def new_weights(folder: Path) -> None:
    (folder / "one.pt").write_bytes((folder / "two.pt").read_bytes())


def new_images(folder: Path) -> None:
    rewritten(folder / "data.py", DATA.replace("split=split)\n\n", "split=split).take(slice(5, None))\n\n"))


@pytest.mark.parametrize("change", [new_code, new_weights, new_images])
def test_a_worker_that_goes_on_meets_changed_files(folder: Path, change: Callable[[Path], None]) -> None:
    study = {
        **OWN,
        "model": {"name": "nets.py:make", "checkpoint": "one.pt"},
        "dataset": {"name": "data.py:plain", "images": 12},
    }
    loaded = load_study(study, folder=folder)

    def unit_of_a_worker() -> str:
        """Computed as by a process of a cluster, which keeps what it has read."""
        (unit,) = plan(loaded, Session(folder))
        (folder / "worker").mkdir(exist_ok=True)
        assert work(unit, str(folder / "worker")) is None
        return unit.key

    before = unit_of_a_worker()
    change(folder)
    after = unit_of_a_worker()
    assert before != after
    fresh = run_study(loaded, folder / "fresh").chips[0]
    record = ResultStore(folder / "worker").read(after)
    assert record is not None
    assert {name: record[name] for name in ("analog", "digital", "output", "layers")} == {
        name: fresh.record[name] for name in ("analog", "digital", "output", "layers")
    }


def test_a_session_that_goes_on_meets_changed_models(folder: Path) -> None:
    session, cell = Session(folder), Cell(r_min=1e4, rho=0.0, v_read=0.1)
    found = []
    for factor in ("0.9", "0.5"):
        rewritten(folder / "device.py", DEVICE.replace("SHRINK", factor))
        session.start(["device.py"])
        model = get_device("Shrunk_SweepLaw", "programming_error", "path")
        found.append(float(model.programming_error(np.ones(1), cell, None)[0]))
    assert found == [0.9, 0.5]
