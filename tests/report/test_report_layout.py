"""The page can be read: on a desktop, a telephone and paper, with one point and with 200, and whatever failed."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2")

from browser import Browser
from report_cases import hardware, point, sweep

from crossohm.report import Axis, Point, ReportData, write_report
from crossohm.studies.file.wording import number, settings

MARKS = "#accuracy .plot .mark"
LONG = tuple(
    f"encoder_of_tokens.layers.{index}.self_attn.{name}" for index in range(3) for name in ("query", "out_proj")
)
FAILURE = "model net.py:make: answered nan to 8 of 8 images; look at its weights"
WIDTHS = {"desktop": 1280, "telephone": 390}


@pytest.fixture(scope="module")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(chromium, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(browser: Browser, data: ReportData, folder: Path, width: int = 1280) -> None:
    browser.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    write_report(data, folder / "report.html")
    browser.open(folder / "report.html")


def labelled(axes: tuple[Axis, ...], at: tuple[int, ...]) -> str:
    return ", ".join(f"{axis.name} = {axis.labels[index]}" for axis, index in zip(axes, at, strict=True))


def numbers(name: str, values: tuple[float, ...]) -> Axis:
    return Axis(name, settings(values), values)


def study(*axes: Axis, layers: tuple[str, ...] = LONG) -> ReportData:
    """A study over these axes; along the first one accuracy rises, along the others it falls."""
    shape = [range(len(axis.labels)) for axis in axes]
    points = []
    for count, at in enumerate(itertools.product(*shape)):
        made = point(count, (0, 0), labelled(axes, at), layers)
        top1 = tuple(0.6 + 0.01 * at[0] - 0.01 * sum(at[1:]) + 0.001 * chip for chip in range(3))
        points.append(replace(made, positions=at, analog={**made.analog, "top1": top1}, hardware=0))
    return replace(sweep(), axes=axes, points=tuple(points), hardware=(hardware(8, layers),))


def failed(whole: ReportData, number: int) -> ReportData:
    """The study with a point that has no result, and one that lacks a chip."""
    none, some = whole.points[number], whole.points[number + 1]
    without = Point(none.label, none.positions, (), {}, {}, {}, {}, None, ((1, FAILURE), (2, FAILURE)))
    partly = replace(some, failures=((3, "chip of sand"),))
    return replace(whole, points=(*whole.points[:number], without, partly, *whole.points[number + 2 :]))


MAGNITUDES = numbers("xbar.device.programming_error.magnitude", tuple(10 ** (-3 + index / 3) for index in range(10)))
ROWS = numbers("core.rows_max", tuple(map(float, range(1, 21))))
KINDS = Axis("chips.of.ten.kinds", tuple("abcdefghij"), None)
MODELS = Axis("xbar.adc.mvm.model", ("QuantizerADC", "my_converters.py:A_converter_with_a_name_of_its_own"), None)
STUDIES = {
    "one point": replace(study(MODELS), axes=(), points=(replace(study(MODELS).points[0], positions=(), label=""),)),
    "24 points": study(numbers("bits", (4.0, 6.0, 8.0)), numbers("rows", (32.0, 64.0, 128.0, 256.0)), MODELS),
    "failed points": failed(study(MAGNITUDES, MODELS), 3),
    "200 points": study(ROWS, KINDS),
    "200 points, 10 numbers": study(ROWS, MAGNITUDES),
    "names along": study(MODELS, KINDS),
}


@pytest.fixture(params=STUDIES)
def data(request: pytest.FixtureRequest) -> ReportData:
    return STUDIES[request.param]


#: Boxes of all texts of a plot, in pixels of the screen.
TEXTS = """
(() => [...document.querySelectorAll(%s + ' svg text')].map((node) => {
  const box = node.getBoundingClientRect();
  const drawn = node.ownerSVGElement, scale = drawn.getBoundingClientRect().width / drawn.viewBox.baseVal.width;
  const size = parseFloat(getComputedStyle(node).fontSize) * scale;
  return [box.left, box.top, box.right, box.bottom, size, node.textContent];
}))()
"""


def texts(browser: Browser, plot: str) -> list[list[Any]]:
    return browser.evaluate(TEXTS % json.dumps(plot))


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_texts_of_plots_can_be_read(browser: Browser, tmp_path: Path, data: ReportData, width: int) -> None:
    show(browser, data, tmp_path, width)
    for plot in ("#accuracy .plot", "#snr .plot", "#adc .plot"):
        found = texts(browser, plot)
        assert len(found) > 4
        assert min(size for *_, size, _ in found) >= 11.5
        assert min(left for left, *_ in found) >= 0 and max(right for _, _, right, *_ in found) <= width
        for one, other in itertools.combinations(found, 2):
            across = min(one[2], other[2]) - max(one[0], other[0])
            down = min(one[3], other[3]) - max(one[1], other[1])
            assert across <= 1 or down <= 4, (one, other)  # boxes of lines have room around their letters
    assert browser.evaluate("document.documentElement.scrollWidth") <= width  # tables scroll by themselves
    assert browser.complaints == []


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_names_are_whole(browser: Browser, tmp_path: Path, width: int) -> None:
    show(browser, STUDIES["names along"], tmp_path, width)
    shown = "".join(text for *_, text in texts(browser, "#accuracy .plot"))
    assert all(label in shown for label in MODELS.labels)
    shown = "".join(text for *_, text in texts(browser, "#snr .plot"))
    assert all(name in shown for name in LONG) and "…" not in shown


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", ["200 points", "200 points, 10 numbers"])
def test_marks_stand_at_their_values(browser: Browser, tmp_path: Path, name: str, width: int) -> None:
    whole = STUDIES[name]
    show(browser, whole, tmp_path, width)
    where = {each.label: each for each in whole.points}
    boxes = browser.evaluate(
        f"[...document.querySelectorAll('{MARKS}')].map((node) => {{ const box = node.getBBox();"
        "return [node.getAttribute('aria-label').split('\\n')[0], box.x + box.width / 2, box.y + box.height / 2]; })"
    )
    assert len(boxes) == len(whole.points)
    x = np.array([[box[1], ROWS.values[where[box[0]].positions[0]]] for box in boxes])
    y = np.array([[box[2], np.mean(where[box[0]].analog["top1"])] for box in boxes])
    for seen, meant in (x.T, y.T):
        beside = seen - np.polyval(np.polyfit(meant, seen, 1), meant)
        assert np.abs(beside).max() < 1.0  # pixels


def test_many_numbers_have_colours_in_order(browser: Browser, tmp_path: Path) -> None:
    show(browser, STUDIES["200 points, 10 numbers"], tmp_path)
    colours = browser.attributes("#accuracy .legend button svg > *", "fill")[:10]
    assert len(set(colours)) == 10
    hues = [float(colour.removeprefix("hsl(").split()[0]) for colour in colours]
    assert np.all(np.diff(np.unwrap(hues, period=360)) > 0)
    show(browser, STUDIES["200 points"], tmp_path)
    looks = browser.evaluate(
        "[...document.querySelectorAll('#accuracy .legend button svg > *')].map((node) => "
        "node.tagName + node.getAttribute('fill') + (node.getAttribute('d') ?? '').replace(/[\\d. M-]/g, ''))"
    )
    assert len(set(looks[:10])) == 10


# -- error budgets -----------------------------------------------------------------------------------------------------


def budget() -> ReportData:
    losses = {"complete hardware": 0.1, "perfect arrays": 0.0, "without wire resistance in block.conv2": 0.06,
              "only wire resistance in block.conv2": 0.025, "only ADC": -0.005}  # fmt: skip
    points = [
        replace(point(index, (0, 0), name), positions=(index,), hardware=0, digital={"top1": 0.9},
                analog={"top1": (0.9 - lost,) * 2, "output_snr": (10.0 + index, 10.0 + index)}, seeds=(1, 2))
        for index, (name, lost) in enumerate(losses.items())
    ]  # fmt: skip
    return replace(sweep(), axes=(Axis("hardware", tuple(losses), None),), points=tuple(points), complete=0)


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_budgets_are_bars_in_order_of_the_loss(browser: Browser, tmp_path: Path, width: int) -> None:
    show(browser, budget(), tmp_path, width)
    bars = browser.evaluate(
        "[...document.querySelectorAll('#accuracy .plot .bar')].map((bar) => "
        "[bar.getAttribute('aria-label').split('\\n')[0], bar.getBBox().y, bar.getBBox().width])"
    )
    labels = budget().axes[0].labels
    assert [name for name, *_ in bars] == [labels[index] for index in (0, 2, 3, 1, 4)]
    assert [y for _, y, _ in bars] == sorted(y for _, y, _ in bars)
    lengths = [length for *_, length in bars]
    assert lengths[1] / lengths[0] == pytest.approx(0.6, rel=0.01) and lengths[3] <= 1
    shown = "".join(text for *_, text in texts(browser, "#accuracy .plot"))
    assert all(label in shown for label in labels)
    assert browser.evaluate("document.querySelectorAll('#accuracy polyline').length") == 0
    assert browser.complaints == []


def test_budgets_of_noise_power_are_shares_of_the_whole(browser: Browser, tmp_path: Path) -> None:
    show(browser, budget(), tmp_path)
    browser.evaluate("document.querySelector('#accuracy select').focus()")
    browser.press("ArrowDown")
    ends = [float(text) for text in browser.texts("#accuracy .plot .bar + text")]
    assert ends == pytest.approx([100 * 10 ** (-index / 10) for index in range(5)], rel=0.01)


# -- points that failed ------------------------------------------------------------------------------------------------


def test_failed_points_are_shown_with_their_reason(browser: Browser, tmp_path: Path) -> None:
    whole = STUDIES["failed points"]
    show(browser, whole, tmp_path)
    assert browser.texts(".failures li") == [
        f"{whole.points[3].label}, chip 1, 2: {FAILURE}", f"{whole.points[4].label}, chip 3: chip of sand",
    ]  # fmt: skip
    row = browser.texts("#results tbody tr:nth-child(4) td")
    assert row == [MAGNITUDES.labels[1], MODELS.labels[1], "0", "failed"]
    assert len(browser.texts(MARKS)) == len(whole.points) - 1
    assert len(browser.texts("#point option")) == len(whole.points) - 1
    column = browser.texts("#results th").index("Top-1 accuracy") + 1
    browser.evaluate("document.querySelector('details').open = true")
    browser.click(f"#results th:nth-child({column}) button")
    assert browser.texts("#results tbody tr:last-child td")[-1] == "failed"
    assert browser.complaints == []


def test_the_first_point_may_have_failed(browser: Browser, tmp_path: Path) -> None:
    show(browser, failed(study(MODELS, KINDS), 0), tmp_path)
    assert browser.texts("#layers caption") == [study(MODELS, KINDS).points[1].label]
    assert "digital" in browser.texts("#results th") and browser.complaints == []


# -- paper -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def printed(browser: Browser, tmp_path: Path, data: ReportData) -> Iterator[Browser]:
    """The page as it is laid out on A4, 186 mm between its margins."""
    show(browser, data, tmp_path, 390)
    browser.send("Emulation.setDeviceMetricsOverride", width=703, height=1000, deviceScaleFactor=1, mobile=False)
    browser.send("Emulation.setEmulatedMedia", media="print")
    browser.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    yield browser
    browser.evaluate("window.dispatchEvent(new Event('afterprint'))")
    browser.send("Emulation.setEmulatedMedia", media="")
    assert browser.complaints == []


def test_paper_says_which_line_is_which(printed: Browser, data: ReportData) -> None:
    visible = (
        "[...document.querySelectorAll(%s)].filter((node) => node.checkVisibility()).map((node) => node.innerText)"
    )
    shown = printed.evaluate(visible % json.dumps(".legend button"))
    lines = data.axes[1].labels if len(data.axes) > 1 else ()
    assert [text.strip() for text in shown][: len(lines)] == [f"{data.axes[1].name} = {label}" for label in lines]
    held = printed.evaluate(visible % json.dumps(".held"))
    assert held == ([f"Shown for {data.axes[2].name} = {data.axes[2].labels[0]}."] if len(data.axes) > 2 else [""])
    assert len(printed.evaluate(visible % json.dumps("#results tbody tr"))) == len(data.points)
    assert printed.evaluate(visible % json.dumps("pre")) and not printed.evaluate(visible % json.dumps("select"))


def test_nothing_reaches_over_the_edge_of_the_paper(printed: Browser, data: ReportData) -> None:
    over = printed.evaluate(
        "[...document.querySelectorAll('main *')].filter((node) => node.checkVisibility() && "
        "node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)"
        ".map((node) => node.outerHTML.slice(0, 80))"
    )
    assert over == []
    assert min(size for *_, size, _ in texts(printed, "#accuracy .plot")) >= 11


def test_after_printing_all_is_as_before(browser: Browser, tmp_path: Path) -> None:
    show(browser, STUDIES["200 points"], tmp_path)
    before = browser.evaluate("document.querySelector('main').innerHTML")
    for event in ("beforeprint", "afterprint"):
        browser.evaluate(f"window.dispatchEvent(new Event('{event}'))")
    assert browser.evaluate("document.querySelector('main').innerHTML") == before


def test_another_width_draws_anew(browser: Browser, tmp_path: Path) -> None:
    show(browser, STUDIES["24 points"], tmp_path, 1280)
    browser.send("Emulation.setDeviceMetricsOverride", width=390, height=900, deviceScaleFactor=1, mobile=False)
    widths: list[float] = []
    smallest = 0.0
    for _ in range(400):  # browsers draw anew when they come to it
        widths = browser.evaluate(
            "[...document.querySelectorAll('.plot > svg')].map((node) => node.getBoundingClientRect().width)"
        )
        smallest = min((size for *_, size, _ in texts(browser, "#accuracy .plot")), default=0.0)
        if max(widths) <= 390 and smallest >= 11.5:
            break
        time.sleep(0.05)
    assert len(widths) == 3 and max(widths) <= 390
    assert smallest >= 11.5


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_the_page_writes_numbers_as_tables_do(browser: Browser, tmp_path: Path) -> None:
    show(browser, sweep(), tmp_path)
    rng = np.random.default_rng(1)
    values = [*(rng.normal(size=200) * 10 ** rng.uniform(-9, 9, 200)).tolist(), 0, 1, -7, 1e6, 65536, 0.1, 1e-4, 9999.5]
    shown = browser.evaluate(f"{json.dumps(values)}.map((value) => plain(value))")
    assert [text.replace("−", "-") for text in shown] == [number(float(value)) for value in values]


@pytest.mark.parametrize(("low", "high"), [(0.9990, 0.9991), (1e-7, 3e-7), (-5, 5), (64, 65536), (12345, 12346)])
def test_ticks_differ(browser: Browser, tmp_path: Path, low: float, high: float) -> None:
    show(browser, sweep(), tmp_path)
    ticks = browser.evaluate(f"linear({low}, {high}, 0, 600, 6).ticks")
    assert len(ticks) >= 3 and len({text for _, text in ticks}) == len(ticks)
    for value, text in ticks:
        assert float(text.replace("−", "-")) == pytest.approx(value, abs=(high - low) / 100)
        assert math.isfinite(value)
