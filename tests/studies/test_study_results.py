"""Studies carried out: what is kept, found again, and read."""

from __future__ import annotations

import json
import math
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from survival import carry_out, measured, write_study

from crossohm.errors import CrossOhmError, DataError, MissingDependencyError
from crossohm.studies import Results, load_study, open_results, run_study, spread, top_k_accuracy

SWEEP = {
    "dataset": {"images": 30},
    "calibration": {"images": 20},
    "repeats": 2,
    "metric": {"top_k": [1, 3]},
    "save": {"outputs": True, "signals": ["conv*"], "adc_histograms": True, "conductances": True},
    "sweep": {"grid": {"xbar.adc.mvm.bits": [3, 6]}, "zip": {"core.rows_max": [64, 128], "fc:digital": [True, False]}},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_study(load_study(SWEEP), tmp_path_factory.mktemp("study") / "results")


def run(folder: Path, **sections: Any) -> Results:
    small = {"dataset": {"images": 20}, "calibration": {"images": 20}, "repeats": 1}
    return run_study(load_study({**small, **sections}), folder)


# --- what is computed -------------------------------------------------------------------------------------------------


def test_every_chip_of_every_point_is_there(results: Results) -> None:
    assert results.complete
    assert [(chip.point, chip.seed) for chip in results.chips] == [(p, s) for p in range(4) for s in (1, 2)]
    assert results.chips[0].coordinates == {"xbar.adc.mvm.bits": 3, "core.rows_max": 64, "fc:digital": True}
    assert results.chips[-1].coordinates == {"xbar.adc.mvm.bits": 6, "core.rows_max": 128, "fc:digital": False}


def test_measures_are_those_of_the_kept_outputs(results: Results) -> None:
    for chip in results.chips:
        kept = results.arrays(chip)
        assert chip.analog == {f"top{k}": top_k_accuracy(kept["outputs"], kept["labels"], k) for k in (1, 3)}
        assert chip.digital == {f"top{k}": top_k_accuracy(kept["digital"], kept["labels"], k) for k in (1, 3)}
        wanted = kept["digital"].astype(float)
        ratio = np.sum(wanted**2) / np.sum((kept["outputs"] - wanted) ** 2)
        assert chip.output_snr == pytest.approx(10 * math.log10(ratio))


def test_settings_reach_the_hardware(results: Results) -> None:
    for chip in results.chips:
        hardware = results.hardware(chip)
        digital = chip.coordinates["fc:digital"]
        assert (hardware["fc"] is None) == digital
        assert hardware["conv1"].xbar.adc.mvm.bits == chip.coordinates["xbar.adc.mvm.bits"]
        report = {layer["layer"]: layer for layer in results.hardware_report(chip)["layers"]}
        assert list(report) == (["conv1", "conv2"] if digital else ["conv1", "conv2", "fc"])
        assert max(layer["array_rows"] for layer in report.values()) <= chip.coordinates["core.rows_max"]


def test_finer_converters_leave_less_noise(results: Results) -> None:
    for seed in (1, 2):
        coarse, fine = (next(c for c in results.points[p] if c.seed == seed) for p in (1, 3))
        assert fine.output_snr > coarse.output_snr + 5
        for layer, ratio in fine.layer_snr.items():
            assert ratio > coarse.layer_snr[layer]


def test_layer_snr_is_that_of_the_kept_signals(results: Results) -> None:
    import torch

    from crossohm.models import load_model
    from crossohm.studies.work.session import Session
    from crossohm.torch.network import TorchNetwork

    chip = results.points[3][0]
    images = Session(Path.cwd()).test_images(load_study(SWEEP).study).images
    first = TorchNetwork(load_model("digits_cnn")).folded().module.conv1
    with torch.no_grad():
        wanted = first(torch.from_numpy(images)).double().numpy()
    kept = results.arrays(chip)["signal/conv1"]
    wanted, kept = np.maximum(wanted, 0), np.maximum(kept, 0)  # a ReLU follows
    ratio = np.sum(wanted**2) / np.sum((kept - wanted) ** 2)
    assert chip.layer_snr["conv1"] == pytest.approx(10 * math.log10(ratio), abs=1e-3)


def test_histograms_count_every_conversion(results: Results) -> None:
    chip = results.points[3][0]
    (histogram,) = chip.adc_inputs["fc"]
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert sum(histogram["counts"]) == 30 * 10 * 3  # images, outputs, partitions of 384 inputs in arrays of 128
    assert histogram["edges"][0] <= histogram["low"] <= histogram["high"] <= histogram["edges"][-1]


def test_conductances_are_those_of_the_arrays(results: Results) -> None:
    chip = results.points[3][0]
    held = {name: array for name, array in results.arrays(chip).items() if name.startswith("conductance/")}
    report = results.hardware_report(chip)
    assert sum(array.size for array in held.values()) == report["totals"]["devices"]
    assert all(array.min() >= 0 and array.max() < 1.5 for array in held.values())


def test_chips_are_the_same_at_every_point(tmp_path: Path) -> None:
    sweep = {"grid": {"metric": [1]}}
    with pytest.raises(CrossOhmError, match="cannot be varied"):
        load_study({"sweep": sweep})
    one = run(tmp_path / "a", save={"conductances": True}, sweep={"grid": {"xbar.adc.mvm.bits": [4, 8]}})
    first, second = (one.arrays(chip) for chip in one.chips)
    for name in (name for name in first if name.startswith("conductance/")):
        np.testing.assert_array_equal(first[name], second[name])


def test_ideal_hardware_is_the_digital_network(tmp_path: Path) -> None:
    found = run(tmp_path / "a", hardware="default", calibration=False, model={"fold_batchnorm": False})
    assert found.chips[0].output_snr > 100
    assert found.chips[0].analog == found.chips[0].digital


def test_all_layers_digital(tmp_path: Path) -> None:
    chip = run(tmp_path / "a", hardware={"layers": {"*": {"digital": True}}}).chips[0]
    assert chip.output_snr == math.inf
    assert chip.layer_snr == {}


def test_later_exceptions_win_layer_by_layer(tmp_path: Path) -> None:
    layers = {
        "conv*": {"set": {"xbar.adc.mvm.bits": 3}, "digital": True},
        "conv2": {"digital": False, "base": "default"},
    }
    found = run(tmp_path / "a", hardware={"set": {"core.rows_max": 100}, "layers": layers})
    hardware = found.hardware(found.chips[0])
    assert hardware["conv1"] is None
    assert hardware["conv2"].xbar.adc.mvm.bits == 3
    assert hardware["conv2"].xbar.device.cell_bits == 0  # of "default"
    assert {params.core.rows_max for params in hardware.values() if params} == {100}


def test_biases_on_rows_and_with_few_levels(tmp_path: Path) -> None:
    plain = run(tmp_path / "a", hardware="default", calibration=False).chips[0]
    coarse = run(tmp_path / "b", hardware="default", calibration=False, model={"bias_bits": 2}).chips[0]
    assert coarse.output_snr < 40 < plain.output_snr
    rows = run(tmp_path / "c", hardware={"base": "default", "bias_rows": 2, "layers": {"fc": {"bias_rows": 0}}})
    report = {layer["layer"]: layer["inputs"] for layer in rows.hardware_report(rows.chips[0])["layers"]}
    assert report == {"conv1": 9 + 2, "conv2": 108 + 2, "fc": 384}


def test_random_images_are_a_choice_of_the_test_images(tmp_path: Path) -> None:
    dataset = {"sample": "random", "images": 40, "first": 100, "sample_seed": 3}
    save = {"outputs": True}
    found = run(tmp_path / "a", dataset=dataset, save=save, hardware="default", calibration=False)
    again = run(tmp_path / "b", dataset=dataset, save=save, hardware="default", calibration=False)
    kept = found.arrays(found.chips[0])
    np.testing.assert_array_equal(kept["digital"], again.arrays(again.chips[0])["digital"])
    everything = run(tmp_path / "c", dataset={"first": 100}, save=save, hardware="default", calibration=False)
    every = everything.arrays(everything.chips[0])["digital"]
    matches = [np.flatnonzero(np.isclose(every, row, atol=1e-5).all(axis=1)) for row in kept["digital"]]
    assert all(len(match) >= 1 for match in matches)
    assert [match[0] for match in matches] != list(range(40))


def test_too_many_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the test split has"):
        run(tmp_path / "a", dataset={"first": 590, "images": 20})


def test_exceptions_for_no_layer(tmp_path: Path) -> None:
    with pytest.raises(CrossOhmError, match=r"hardware\.layers\.convolution.*conv1, conv2, fc"):
        run(tmp_path / "a", hardware={"layers": {"convolution": {"digital": True}}})


# --- found again ------------------------------------------------------------------------------------------------------


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of chips that are measured from now on."""
    from crossohm.studies.work.evaluate import MeasuredPoint

    seen: list[int] = []
    original = MeasuredPoint.measured
    monkeypatch.setattr(MeasuredPoint, "measured", lambda point: seen.append(point.unit.seed) or original(point))
    return seen


def test_nothing_is_computed_twice(tmp_path: Path, computed: list[int]) -> None:
    first = run(tmp_path / "a", repeats={"chips": 2})
    assert computed == [1, 2]
    again = run(tmp_path / "a", repeats={"chips": 2})
    assert computed == [1, 2]
    assert again.rows() == first.rows()


def test_a_study_may_grow(tmp_path: Path, computed: list[int]) -> None:
    run(tmp_path / "a", repeats={"chips": 2})
    more = run(tmp_path / "a", repeats={"chips": 3}, sweep={"grid": {"xbar.adc.mvm.bits": [8, 4]}})
    assert computed == [1, 2, 3, 1, 2, 3]  # 8 bits is what the study had before
    assert len(more.chips) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {"images": 21}}, {"calibration": {"images": 21}}, {"hardware": "PRIME"}, {"metric": {"top_k": 2}},
        {"repeats": {"chips": 1, "seed": 2}}, {"run": {"batch_size": 7}}, {"model": {"bias_bits": 5}},
    ],
)  # fmt: skip
def test_other_settings_are_other_results(tmp_path: Path, computed: list[int], change: dict[str, Any]) -> None:
    run(tmp_path / "a")
    run(tmp_path / "a", **change)
    assert len(computed) == 2


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


DAMAGES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "lost": ("chips/*/*.json", Path.unlink),
    "cut": ("chips/*/*.json", lambda path: path.write_bytes(path.read_bytes()[:500])),
    "empty": ("chips/*/*.json", lambda path: path.write_bytes(b"")),
    "a digit changed": (
        "chips/*/*.json",
        lambda path: path.write_bytes(path.read_bytes().replace(b'"seed": 1', b'"seed": 2')),
    ),
    "other format": ("chips/*/*.json", lambda path: path.write_text('{"format": "x", "sha256": "", "body": {}}')),
    "no object": ("chips/*/*.json", lambda path: path.write_text("[1]")),
    "arrays lost": ("chips/*/*.npz", Path.unlink),
    "arrays cut": ("chips/*/*.npz", lambda path: path.write_bytes(path.read_bytes()[:100])),
    "arrays changed": ("chips/*/*.npz", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x")),
    "hardware cut": ("hardware/*.json", lambda path: path.write_bytes(path.read_bytes()[:100])),
}


@pytest.fixture(scope="module")
def one_chip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one chip") / "results"
    run(folder, save={"outputs": True})
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning:crossohm.studies")
def test_damaged_results_are_computed_again(one_chip: Path, tmp_path: Path, computed: list[int], damage: str) -> None:
    folder = tmp_path / "a"
    shutil.copytree(one_chip, folder)
    before = open_results(folder).rows()[0]
    pattern, harm = DAMAGES[damage]
    (victim,) = files(folder, pattern)
    harm(victim)
    after = run(folder, save={"outputs": True})
    assert computed == [1]
    assert {name: value for name, value in after.rows()[0].items() if name != "seconds"} == {
        name: value for name, value in before.items() if name != "seconds"
    }
    assert after.arrays(after.chips[0])["outputs"].shape == (20, 10)
    assert len(files(folder, pattern)) == 1


def test_damage_is_told(tmp_path: Path) -> None:
    run(tmp_path / "a")
    (victim,) = files(tmp_path, "chips/*/*.json")
    victim.write_text("{", encoding="utf-8")
    with pytest.warns(RuntimeWarning, match=f"{victim.name}: damaged.*counts as not computed"):
        assert not open_results(tmp_path / "a").complete


def test_an_interrupted_study_is_readable_and_goes_on(tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "chips" and done == 2:
            raise KeyboardInterrupt

    study = load_study({"dataset": {"images": 20}, "calibration": {"images": 20}, "repeats": 4})
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "a", progress=stop)
    partial = open_results(tmp_path / "a")
    assert (len(partial.chips), partial.planned, partial.complete) == (2, 4, False)
    assert len((tmp_path / "a" / "table.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert run_study(study, tmp_path / "a").complete


def test_a_point_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    points = [{"xbar.adc.mvm.bits": 4}, {"xbar.device.Rmin": 1e9}, {"xbar.adc.mvm.bits": 5}]
    with pytest.raises(DataError, match=r"xbar\.device\.Rmin = 1000000000\.0, chip 1: .*All others are in"):
        run(tmp_path / "a", sweep={"points": points})
    assert sorted(open_results(tmp_path / "a").points) == [0, 2]


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    study = write_study(tmp_path, 6, counted=False)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crossohm.studies.work.sweep"])
    processes = [context.Process(target=carry_out, args=(study, tmp_path / "both")) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(measured(tmp_path / "both")) == 6
    assert not files(tmp_path, ".part-*")


def test_folders_of_others_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DataError, match="something else"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_no_results(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "no"):
        with pytest.raises(DataError, match="holds no results"):
            open_results(folder)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot hold results"):
        run(tmp_path / "file")


def test_a_damaged_index_heals(tmp_path: Path, computed: list[int]) -> None:
    run(tmp_path / "a")
    (tmp_path / "a" / "study.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"study\.json: damaged"):
        open_results(tmp_path / "a")
    assert run(tmp_path / "a").complete
    assert computed == [1]


def test_unfinished_files_of_the_dead_go(tmp_path: Path) -> None:
    import os

    run(tmp_path / "a")
    old, new = (tmp_path / "a" / "chips" / f".part-{age}" for age in ("old", "new"))
    old.touch(), new.touch()
    os.utime(old, (1e9, 1e9))
    run(tmp_path / "a")
    assert not old.exists()
    assert new.exists()  # another process may be writing it


# --- read -------------------------------------------------------------------------------------------------------------


def test_reader_finds_everything_again(results: Results) -> None:
    again = open_results(results.folder)
    assert again.rows() == results.rows()
    assert again.study["sweep"] == SWEEP["sweep"]
    assert [axis.name for axis in again.axes] == ["xbar.adc.mvm.bits", "zip"]
    assert again.spread(2).values == tuple(chip.analog["top1"] for chip in again.points[2])
    assert again.spread(2, "top3") == spread(chip.analog["top3"] for chip in again.points[2])
    assert {"crossohm", "torch", "numpy"} <= again.chips[0].provenance["versions"].keys()
    assert {"node", "process", "seconds", "created"} <= again.chips[0].provenance.keys()


def test_dataframe_has_a_row_per_chip(results: Results) -> None:
    pytest.importorskip("pandas")
    frame = results.to_dataframe()
    assert len(frame) == 8
    assert frame["xbar.adc.mvm.bits"].tolist() == [3] * 4 + [6] * 4
    assert frame["top1"].tolist() == [chip.analog["top1"] for chip in results.chips]
    assert frame.groupby("point").top1.mean().tolist() == pytest.approx([results.spread(p).mean for p in range(4)])


def test_xarray_has_a_dimension_per_axis(results: Results) -> None:
    pytest.importorskip("xarray")
    data = results.to_xarray()
    assert dict(data.sizes) == {"xbar.adc.mvm.bits": 2, "zip": 2, "chip": 2}
    assert data["core.rows_max"].values.tolist() == [64, 128]
    for chip in results.chips:
        where = {"xbar.adc.mvm.bits": chip.coordinates["xbar.adc.mvm.bits"], "chip": chip.seed}
        found = data.output_snr.sel(where).isel(zip=chip.point % 2)
        assert float(found) == chip.output_snr


def test_tables_hold_the_same(results: Results) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(results.folder / "table.parquet")
    assert table.to_pylist() == [
        {**row, "snr/fc": row.get("snr/fc")} for row in results.rows()
    ]  # fc is digital at half of the points
    assert json.loads(table.schema.metadata[b"crossohm_study"])["sweep"] == SWEEP["sweep"]
    lines = (results.folder / "table.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("point,xbar.adc.mvm.bits,core.rows_max,fc:digital,chip,top1,top3,digital_top1")


@pytest.mark.parametrize("library", ["pandas", "xarray"])
def test_a_missing_library_is_named(results: Results, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    method = results.to_dataframe if library == "pandas" else results.to_xarray
    with pytest.raises(MissingDependencyError, match=r"crossohm\[sweep\]"):
        method()
