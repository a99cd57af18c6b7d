"""Reports are filled from real results, of studies, error budgets and runs; changes between hardware lose nothing."""

from __future__ import annotations

import copy
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("jinja2")

from browser import Browser
from report_cases import sweep
from typer.testing import CliRunner

from crossohm import CrossSimParameters
from crossohm.cli import app
from crossohm.errors import DataError, MissingDependencyError, UnknownNameError
from crossohm.report import from_results, render, report_of, write_figures, write_report
from crossohm.report.gather import layer_hardware
from crossohm.report.html import _changes, payload
from crossohm.studies import Results, RunSettings, load_hardware, load_study, run_inference, run_study, write_result
from crossohm.studies.budget import error_budget

STUDY = """
name: two_resolutions
dataset: {name: digits, images: 20}
hardware: {base: rram-8bit, set: {xbar.device.read_noise.enable: false}}
calibration: {images: 20}
repeats: 2
metric: {top_k: [1, 3]}
save: {adc_histograms: true}
"""
GRID = "sweep: {grid: {xbar.adc.mvm.bits: [3, 8], xbar.adc.mvm.model: [QuantizerADC, SignMagnitudeADC]}}\n"


def study(folder: Path, text: str) -> Any:
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("study")
    return run_study(study(folder, STUDY + GRID), folder / "results")


def test_a_study_says_what_it_found(results: Results) -> None:
    data = from_results(results)
    assert data.title == "two_resolutions" and data.study == STUDY + GRID and data.remarks == ()
    assert [axis.name for axis in data.axes] == ["xbar.adc.mvm.bits", "xbar.adc.mvm.model"]
    assert data.axes[0].values == (3.0, 8.0) and data.axes[1].values is None
    assert [measure.label for measure in data.measures] == [
        "Top-1 accuracy", "Top-3 accuracy", "Output signal-to-noise ratio",
    ]  # fmt: skip
    assert ("Network", "digits_cnn") in data.facts and ("Data", "digits, 20 test images") in data.facts
    for number, point in enumerate(data.points):
        chips = results.points[number]
        assert point.positions == (number // 2, number % 2) and point.seeds == (1, 2)
        assert point.analog["top1"] == tuple(chip.analog["top1"] for chip in chips)
        assert point.layer_snr["fc"] == tuple(chip.layer_snr["fc"] for chip in chips)
        assert sum(point.histograms["conv2"][0].counts) == sum(chips[0].adc_inputs["conv2"][0]["counts"])
        described = data.hardware[point.hardware]
        assert described.settings["xbar.adc.mvm.bits"] == (3, 8)[number // 2]
        assert described.settings["xbar.adc.mvm.model"] == data.axes[1].labels[number % 2]
        ranges = [described.exceptions[name]["xbar.adc.mvm.calibrated_range"] for name in ("conv1", "conv2", "fc")]
        assert [list(layer["adc_ranges"][0]) for layer in described.layers] == [list(limits) for limits in ranges]


def test_an_incomplete_study_says_so(results: Results, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(results.folder, tmp_path / "part")
    chips = sorted((tmp_path / "part" / "chips").rglob("*.json"))
    for path in chips[:3]:
        path.unlink()
    data = report_of(tmp_path / "part")
    assert data.remarks == ("3 of 8 chips have not been computed yet.",)
    assert sum(len(point.seeds) for point in data.points) == 5
    assert "3 of 8 chips" in render(data)
    for path in chips[3:]:
        path.unlink()
    with pytest.raises(DataError, match="no chip has been computed yet"):
        report_of(tmp_path / "part")


def test_a_real_report_in_the_browser(results: Results, chromium: str, tmp_path: Path) -> None:
    write_report(from_results(results), tmp_path / "report.html")
    with Browser(chromium, tmp_path / "profile") as browser:
        browser.open(tmp_path / "report.html")
        labels = browser.attributes("#accuracy .plot .mark", "aria-label")
        for number in range(4):
            expected = 100 * results.spread(number, "top1").mean
            (label,) = [each for each in labels if each.startswith(from_results(results).points[number].label + "\n")]
            assert float(label.split("\n")[1].split()[0]) == pytest.approx(expected, abs=0.006)
        assert browser.texts("#layers tbody td:first-child") == ["conv1", "conv2", "fc"]
        assert len(browser.texts("#snr .mark")) == 3 and len(browser.texts("#adc .range")) == 2
        assert len(browser.requests) == 1 and browser.complaints == []


def test_an_error_budget_names_its_points(tmp_path: Path) -> None:
    asked = study(tmp_path, STUDY.replace("repeats: 2", "repeats: 1").replace("images: 20}\nrep", "images: 10}\nrep"))
    budget = error_budget(asked, tmp_path / "budget")
    data = report_of(tmp_path / "budget")
    assert data.axes[0].labels[:2] == ("complete hardware", "perfect arrays")
    for each in budget.contributions:
        for name, expected in ((f"without {each.label}", each.absent), (f"only {each.label}", each.alone)):
            (point,) = [point for point in data.points if point.label == name]
            assert point.spread("top1") == expected
    assert "only programming error" in render(data)


def test_a_run_has_a_report(tmp_path: Path) -> None:
    found = run_inference(RunSettings(load_hardware("rram-8bit"), images=20, draws=2, calibration_images=20))
    (tmp_path / "run").mkdir()
    write_result(found, tmp_path / "run")
    data = report_of(tmp_path / "run")
    assert data.axes == () and data.title == "digits_cnn on digits"
    assert data.points[0].spread("top1") == found.analog_accuracy()
    assert [layer["layer"] for layer in data.hardware[0].layers] == ["conv1", "conv2", "fc"]
    assert "digits_cnn" in render(data)


def test_layers_with_several_matrices_and_digital_ones() -> None:
    one, two = CrossSimParameters(), CrossSimParameters()
    two.update({"core.rows_max": 8})
    found = layer_hardware([], {"lstm": [[one], [two]], "fc": [[one]], "head": None, "conv": one})
    assert list(found.exceptions) == ["lstm[0]", "lstm[1]", "fc", "conv"]
    assert found.exceptions["lstm[1]"] == {"core.rows_max": 8} and found.exceptions["conv"]["core.rows_max"] == 0
    assert "core.rows_max" not in found.settings and found.settings["core.style"] == "BALANCED"


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no results"):
        report_of(tmp_path)


# -- the file ----------------------------------------------------------------------------------------------------------

keys = st.sampled_from(["a", "b", "c"])
trees = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.just("x"),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(keys, children, max_size=3),
)


@given(base=st.dictionaries(keys, trees), other=st.dictionaries(keys, trees))
def test_changes_make_one_tree_of_the_other(base: dict[str, Any], other: dict[str, Any]) -> None:
    made = copy.deepcopy(base)
    for path, *value in _changes(base, other):
        place = made
        for key in path[:-1]:
            place = place[key]
        if value:
            place[path[-1]] = value[0]
        else:
            del place[path[-1]]
    assert json.dumps(made, sort_keys=True) == json.dumps(other, sort_keys=True)


def test_numbers_without_end_are_valid_json() -> None:
    whole = sweep()
    point = replace(whole.points[0], layer_snr={"fc": (np.inf, -np.inf, np.nan)})
    plain = payload(replace(whole, points=(point,)))
    assert plain["points"][0]["snr"]["fc"] == ["inf", "-inf", None]
    json.dumps(plain, allow_nan=False)


def test_a_report_replaces_the_one_before_it_whole(tmp_path: Path) -> None:
    for title in ("first", "second"):
        write_report(replace(sweep(), title=title), tmp_path / "new" / "report.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    assert "<h1>second</h1>" in (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written"):
        write_report(sweep(), tmp_path / "new" / "report.html" / "below")


def test_without_jinja(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"crossohm\[report\]"):
        render(sweep())


# -- figures and the command -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures(tmp_path: Path, form: str, magic: bytes) -> None:
    pytest.importorskip("matplotlib")
    whole = sweep()
    last = replace(whole.points[-1], histograms={"a/b c": whole.points[-1].histograms["fc"]})
    small = replace(whole, points=(*whole.points[:-1], last), measures=whole.measures[:1])
    written = write_figures(small, tmp_path / "figures", form)
    assert [path.name for path in written] == [f"{name}.{form}" for name in ("top1", "layer_snr", "adc_a_b_c_0")]
    assert all(path.read_bytes().startswith(magic) for path in written)
    with pytest.raises(UnknownNameError, match="png, svg, pdf"):
        write_figures(sweep(), tmp_path, "gif")


def test_a_figure_shows_means_and_spread() -> None:
    pytest.importorskip("matplotlib")
    from crossohm.report.figures import measure_figure

    data = sweep()
    (ax,) = measure_figure(data, data.measures[0]).axes
    drawn = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    for j, name in enumerate(("error = 0.0", "error = 0.05")):
        points = [point for point in data.points if point.positions[1] == j]
        np.testing.assert_allclose(drawn[name].get_xdata(), (4, 6, 8))
        np.testing.assert_allclose(drawn[name].get_ydata(), [100 * point.spread("top1").mean for point in points])
    np.testing.assert_allclose(drawn["digital"].get_ydata(), 87.5)


def test_the_command_writes_page_and_figures(results: Results, tmp_path: Path) -> None:
    page, figures = tmp_path / "r.html", tmp_path / "figures"
    arguments = ["report", str(results.folder), "--html", str(page), "--figures", str(figures), "--format", "svg"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "two_resolutions" in page.read_text(encoding="utf-8")
    assert (figures / "top1.svg").is_file()
    assert re.search("figure in .*layer_snr", done.stdout.replace("\n", ""))
    assert CliRunner().invoke(app, ["report", str(results.folder), "--figures", "x", "--format", "gif"]).exit_code == 2
