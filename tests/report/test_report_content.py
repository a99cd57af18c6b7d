"""Reports are filled from real results, of studies, error budgets and runs; changes between hardware lose nothing."""

from __future__ import annotations

import copy
import itertools
import json
import re
import subprocess
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
from crossohm.report import Axis, Point, from_results, render, report_of, write_figures, write_report
from crossohm.report.gather import layer_hardware
from crossohm.report.html import _changes, payload
from crossohm.studies import Results, load_study, open_results, run_study
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
    small = ["--images", "20", "--draws", "2", "--calibration-images", "20", "--output", str(tmp_path / "run"), "-q"]
    assert CliRunner().invoke(app, ["run", *small]).exit_code == 0
    data = report_of(tmp_path / "run")
    assert data.axes == () and data.title == "digits_cnn"
    assert data.points[0].spread("top1") == open_results(tmp_path / "run").spread(0, "top1")
    assert [layer["layer"] for layer in data.hardware[0].layers] == ["conv1", "conv2", "fc"]
    assert "digits_cnn" in render(data)


def test_layers_with_several_matrices_and_digital_ones() -> None:
    one, two = CrossSimParameters(), CrossSimParameters()
    two.update({"core.rows_max": 8})
    found = layer_hardware([], {"lstm": [[one], [two]], "fc": [[one]], "head": None, "conv": one})
    assert list(found.exceptions) == ["lstm[0]", "lstm[1]", "fc", "conv"]
    assert found.exceptions["lstm[1]"] == {"core.rows_max": 8} and found.exceptions["conv"]["core.rows_max"] == 0
    assert "core.rows_max" not in found.settings and found.settings["core.style"] == "BALANCED"


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_shows_what_a_run_found(tmp_path: Path, as_json: bool) -> None:
    options = ["--images", "10", "--draws", "2", "--calibration-images", "10", "--output", str(tmp_path / "run")]
    made = CliRunner().invoke(app, ["run", *options, *["--json"] * as_json])
    shown = CliRunner().invoke(app, ["report", str(tmp_path / "run"), *["--json"] * as_json])
    assert (made.exit_code, shown.exit_code) == (0, 0), shown.output
    if as_json:
        assert json.loads(shown.stdout) == json.loads(made.stdout)
    else:
        (mean,) = re.findall(r"top-1 .*? %  +(\d+\.\d+ ± \d+\.\d+ %)", made.stdout)
        assert mean in shown.stdout and str(tmp_path / "run") in shown.stdout


def test_table_json_page_and_figures_have_the_same_mean_ratio(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from crossohm.report.figures import measure_figure, snr_figure

    noisy = STUDY.replace("repeats: 2", "repeats: 4").replace(
        "read_noise.enable: false", "programming_error.magnitude: 0.3"
    )
    found = run_study(study(tmp_path, noisy), tmp_path / "r")
    power = {name: sum(chip.record["output"][name] for chip in found.chips) for name in ("signal", "noise")}
    together = 10 * np.log10(power["signal"] / power["noise"])
    assert found.spread(0, "output_snr").mean == pytest.approx(together)
    shown = CliRunner().invoke(app, ["report", str(found.folder), "--json"])
    assert json.loads(shown.stdout)["points"][0]["output_snr"] == pytest.approx(together)
    assert f"  {together:.1f}" in CliRunner().invoke(app, ["report", str(found.folder)]).stdout
    data = from_results(found)
    assert payload(data)["points"][0]["spread"]["analog"]["output_snr"][0] == pytest.approx(together, rel=1e-5)
    assert f">{data.measures[-1].spread_text(found.spread(0, 'output_snr'))}<" in render(data)
    drawn = snr_figure(data.points[0]).axes[0].lines[0].get_xdata(orig=False)
    np.testing.assert_allclose(drawn, [data.points[0].layer_spread(name).mean for name in data.points[0].layer_snr])
    along = replace(data, axes=(Axis("a", ("1",), (1.0,)),), points=(replace(data.points[0], positions=(0,)),))
    (line,) = (line for line in measure_figure(along, data.measures[-1]).axes[0].lines if line.get_label() == "mean")
    np.testing.assert_allclose(line.get_ydata(), together)


def test_the_table_of_a_budget_names_its_rows(tmp_path: Path) -> None:
    asked = study(tmp_path, STUDY.replace("repeats: 2", "repeats: 1").replace("images: 20}\nrep", "images: 10}\nrep"))
    budget = error_budget(asked, tmp_path / "budget")
    shown = CliRunner().invoke(app, ["report", str(tmp_path / "budget")]).stdout
    plain = json.loads(CliRunner().invoke(app, ["report", str(tmp_path / "budget"), "--json"]).stdout)
    labels = report_of(tmp_path / "budget").axes[0].labels
    assert [point["hardware"] for point in plain["points"]] == list(labels) and len(labels) > 6
    assert all(any(line.strip().startswith(label) for line in shown.splitlines()) for label in labels)
    assert "error budget" in shown and budget.results.complete


OWN = """
from crossohm.circuits import ADC, DAC, adc, dac

@adc("SquareRootADC")
class SquareRootADC(ADC):
    def convert(self, x, low, high, bits):
        return low + (high - low) * (((x - low) / (high - low)) * 2**bits).round() / 2**bits

@dac("SquareRootDAC")
class SquareRootDAC(DAC):
    def quantize(self, x, low, high, bits):
        return (x * 2**bits).round() / 2**bits
"""


@pytest.fixture(scope="module")
def own_converters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for all tests: names belong to the file that had them first."""
    path = tmp_path_factory.mktemp("own") / "converters.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize("style", ["BALANCED", "OFFSET", "BITSLICED"])
@pytest.mark.parametrize("own", [True, False], ids=["own", "ideal"])
def test_converters_of_a_user_are_called_by_their_names(own_converters: Path, style: str, own: bool) -> None:
    sliced = ["core.bit_sliced.num_slices=2", "xbar.device.cell_bits=4"] if style == "BITSLICED" else []
    settings = [f"core.style={style}", *sliced]
    names = {"adc": "SquareRootADC", "dac": "SquareRootDAC"} if own else {"adc": "IdealADC", "dac": "IdealDAC"}
    settings += [f"xbar.{kind}.mvm.model={name}" for kind, name in names.items()]
    settings += [f"xbar.{kind}.mvm.bits={5 if own else 0}" for kind in names]
    options = [text for setting in settings for text in ("--set", setting)]
    arguments = ["hardware", "--plugin", str(own_converters), "--calibration-images", "10", *options]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    for layer in json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)["layers"]:
        assert [layer[kind] for kind in names] == (
            [f"{name}, 5 bits" for name in names.values()] if own else ["ideal"] * 2
        )
        assert bool(layer["adc_ranges"]) is own and layer["adc_levels"] is None
    assert ("ideal" in shown.stdout) is not own and shown.stdout.count("SquareRootADC, 5 bits, ") == 3 * own


def test_a_core_with_a_users_dac_says_so(tmp_path: Path) -> None:
    from crossohm import AnalogCore
    from crossohm.studies import load_plugin

    (tmp_path / "dacs.py").write_text(OWN.replace("SquareRoot", "AnyRoot"))
    load_plugin(tmp_path / "dacs.py")
    params = CrossSimParameters()
    params.update({"xbar.dac.mvm.model": "AnyRootDAC", "xbar.dac.mvm.bits": 4, "core.mapping.inputs.mvm.max": 1.0})
    rows = dict(AnalogCore(np.eye(3), params).explain().rows)
    assert rows["DAC"] == "user model"
    assert dict(AnalogCore(np.eye(3), CrossSimParameters()).explain().rows)["DAC"] == "ideal"


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


def test_a_page_needs_nothing_but_its_extra(results: Results, tmp_path: Path) -> None:
    others = ("torch", "sklearn", "PIL", "matplotlib", "pandas", "pyarrow", "xarray", "distributed", "jax")
    program = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {others!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from crossohm.cli import app
app(["report", {str(results.folder)!r}, "--html", {str(tmp_path / "page.html")!r}])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "two_resolutions" in (tmp_path / "page.html").read_text(encoding="utf-8")


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


#: What matplotlib says of a figure without room for what is on it.
CROWDED = "constrained_layout not applied"


@pytest.mark.filterwarnings(f"error:{CROWDED}")
@pytest.mark.parametrize(
    "shape",
    [(2, 10, 3), (7, 10, 3), (3, 3, 3), (10, 40), (5,), (1,), (4, 12, 2, 2)],
    ids=lambda shape: "x".join(map(str, shape)),
)
@pytest.mark.parametrize("named", [False, True], ids=["numbers", "names"])
def test_figures_of_many_axes_can_be_read(shape: tuple[int, ...], named: bool) -> None:
    pytest.importorskip("matplotlib")
    from crossohm.report.figures import measure_figure

    whole = sweep()
    values = [tuple(10 ** (-3 + index / 3) for index in range(size)) for size in shape]
    axes = [
        Axis(f"xbar.device.a_long_name_{n}", tuple(f"{each:.4g}" for each in own), own) for n, own in enumerate(values)
    ]
    if named and len(axes) > 1:
        axes[1] = replace(axes[1], labels=tuple(f"position_with_a_name_{each}" for each in axes[1].labels), values=None)
    points = tuple(replace(whole.points[0], positions=at) for at in np.ndindex(*shape))
    figure = measure_figure(replace(whole, axes=tuple(axes), points=points), whole.measures[0])
    figure.draw_without_rendering()
    plots = [ax for ax in figure.axes if ax.lines]
    assert len(plots) == int(np.prod(sorted(shape[1:], reverse=True)[1:]))
    assert sum(
        len([line for line in ax.lines if "=" in line.get_label() or line.get_label() == "mean"]) for ax in plots
    ) == int(np.prod(shape[1:]))
    for ax in plots:
        box = ax.get_window_extent()
        assert box.height >= 0.4 * figure.bbox.height and box.width >= 150
        for legend in figure.legends:
            assert not legend.get_window_extent().overlaps(box)
            seen = legend.get_window_extent()
            assert seen.x1 <= figure.bbox.x1 + 1 and seen.y0 >= -1
    if not named and len(shape) > 1 and max(shape[1:]) > 8:
        (scale,) = [ax for ax in figure.axes if not ax.lines and ax.get_ylabel()]
        shown = [text.get_text() for text in scale.get_yticklabels()]
        assert set(shown) <= set(max((axis.labels for axis in axes[1:]), key=len)) and len(shown) >= 5


def test_figures_of_budgets_and_long_names_are_whole() -> None:
    pytest.importorskip("matplotlib")
    from crossohm.report.figures import measure_figure, snr_figure

    whole, names = (
        sweep(),
        tuple(f"without wire resistance in encoder.layers.{index}.self_attn.out_proj" for index in range(30)),
    )
    points = tuple(
        replace(whole.points[0], positions=(index,), label=name, digital={"top1": 0.9},
                analog={"top1": (0.9 - (index * 7 % 30) / 100,), "output_snr": (20.0,)})
        for index, name in enumerate(names)
    )  # fmt: skip
    budget = replace(whole, axes=(Axis("hardware", names, None),), points=points, complete=0)
    figure = measure_figure(budget, whole.measures[0])
    figure.draw_without_rendering()
    (ax,) = figure.axes
    lengths = [bar.get_width() for bar in ax.patches]
    assert lengths == sorted(lengths, reverse=True) and lengths[0] == pytest.approx(29)
    shown = ["".join(text.get_text().split()) for text in ax.get_yticklabels()]
    assert shown == ["".join(name.split()) for name in sorted(names, key=lambda name: -(names.index(name) * 7 % 30))]
    layers = {name: (10.0 + index,) for index, name in enumerate(names)}
    for drawn in (figure, snr_figure(replace(whole.points[0], layer_snr=layers))):
        drawn.draw_without_rendering()
        (ax,) = drawn.axes
        boxes = [text.get_window_extent() for text in ax.get_yticklabels()]
        assert all(box.x0 >= 0 for box in boxes) and all(a.y0 >= b.y1 - 2 for a, b in itertools.pairwise(boxes))
        assert ax.get_window_extent().width >= 0.4 * drawn.bbox.width


def test_figures_leave_failed_points_out(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    whole = sweep()
    failed = Point("bits = 8, error = 0.05", (2, 1), (), {}, {}, {}, {}, None, ((1, "no answer"),))
    written = write_figures(replace(whole, points=(failed, *whole.points[1:-1], failed)), tmp_path)
    assert {"top1.png", "layer_snr.png"} <= {path.name for path in written}


def test_the_command_writes_page_and_figures(results: Results, tmp_path: Path) -> None:
    page, figures = tmp_path / "r.html", tmp_path / "figures"
    arguments = ["report", str(results.folder), "--html", str(page), "--figures", str(figures), "--format", "svg"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "two_resolutions" in page.read_text(encoding="utf-8")
    assert (figures / "top1.svg").is_file()
    assert re.search("figure in .*layer_snr", done.stdout.replace("\n", ""))
    assert CliRunner().invoke(app, ["report", str(results.folder), "--figures", "x", "--format", "gif"]).exit_code == 2
