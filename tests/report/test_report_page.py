"""The report in a browser: what it shows is what was measured, and everything on it can be clicked, read and heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("jinja2")

from browser import Browser
from report_cases import BITS, ERRORS, LAYERS, hardware, point, sweep

from crossohm.report import Axis, ReportData, write_report

RESULTS = "#accuracy .plot .mark"


@pytest.fixture(scope="module")
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(chromium, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(browser: Browser, data: ReportData, folder: Path) -> None:
    write_report(data, folder / "report.html")
    browser.open(folder / "report.html")


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Browser]:
    show(browser, sweep(), tmp_path)
    yield browser
    assert browser.complaints == []  # whatever a test did


def percent(values: tuple[float, ...]) -> str:
    return f"{100 * np.mean(values):.2f} % ± {100 * np.std(values, ddof=1):.2f} %"


# -- by itself ---------------------------------------------------------------------------------------------------------


def test_it_asks_for_nothing(page: Browser, tmp_path: Path) -> None:
    assert page.requests == [(tmp_path / "report.html").as_uri()]
    page.evaluate("fetch('http://localhost/').catch(() => {})")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text and "src=" not in text and "http://www.w3.org/2000/svg" in text
    assert len(text) < 60_000
    page.events.clear()  # the request above was refused, loudly, by the page's own policy


def test_text_is_text(browser: Browser, tmp_path: Path) -> None:
    attack = "</script><img src=x onerror=document.title='taken'>"
    data = replace(sweep(), title=attack, study=attack, facts=((attack, attack),))
    data = replace(data, axes=(Axis(attack, (attack,) * 3, None), data.axes[1]))
    show(browser, data, tmp_path)
    assert browser.texts("h1, pre, dt, dd") == [attack] * 4
    assert browser.evaluate("document.images.length") == 0 and attack in browser.evaluate("document.title")
    assert len(browser.texts(RESULTS)) == 6
    assert browser.complaints == []


def test_a_sweep_of_200_points_and_22_layers_stays_small(browser: Browser, tmp_path: Path) -> None:
    layers = tuple(f"res{index // 7}.{index % 7}.conv" for index in range(22))
    points = [point(number, (number // 10, number % 10), f"p{number}", layers) for number in range(200)]
    data = replace(
        sweep(),
        points=tuple(points),
        axes=tuple(Axis(f"axis {n}", tuple(map(str, range(size))), None) for n, size in enumerate((20, 10))),
        hardware=tuple(hardware(bits, layers) for bits in range(2, 22)),
    )
    show(browser, data, tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
    assert len(browser.texts(RESULTS)) == 200
    assert len(browser.texts("#snr .mark")) == 22
    assert "first 24 points" in browser.texts(".remark")[0]
    assert browser.complaints == []


# -- results -----------------------------------------------------------------------------------------------------------


def test_marks_say_and_stand_at_what_was_measured(page: Browser) -> None:
    labels = page.attributes(RESULTS, "aria-label")
    order = [p for j in range(2) for p in sweep().points if p.positions[1] == j]  # line by line
    for label, each in zip(labels, order, strict=True):
        values = each.analog["top1"]
        assert label.split("\n")[:2] == [each.label, percent(values)]
        assert f"3 chips, {100 * min(values):.2f} % … {100 * max(values):.2f} %" in label and "digital 87.50 %" in label
    boxes = page.evaluate(
        f"[...document.querySelectorAll('{RESULTS}')].map((node) => {{ const box = node.getBBox();"
        "return [box.x + box.width / 2, box.y + box.height / 2]; })"
    )
    first = np.array(boxes[:3])  # circles, whose middle is their place
    means = np.array([np.mean(each.analog["top1"]) for each in order[:3]])
    assert np.corrcoef(first[:, 1], means)[0, 1] == pytest.approx(-1, abs=1e-9)
    assert np.corrcoef(first[:, 0], BITS)[0, 1] == pytest.approx(1, abs=1e-9)


def test_the_pointer_shows_a_tip(page: Browser) -> None:
    page.point_at(RESULTS, 1)
    assert page.evaluate("getComputedStyle(document.getElementById('tip')).display") == "block"
    assert page.texts("#tip") == [page.attributes(RESULTS, "aria-label")[1]]
    page.point_at("h1")
    assert page.evaluate("getComputedStyle(document.getElementById('tip')).display") == "none"


def test_lines_are_hidden_and_shown(page: Browser) -> None:
    assert page.texts(".legend button") == ["error = 0.0", "error = 0.05", "single chips", "digital"]
    page.click(".legend button", 0)
    assert page.attributes(".legend button", "aria-pressed") == ["false", "true", "true", "true"]
    assert len(page.texts(RESULTS)) == 3
    assert all("error = 0.05" in label for label in page.attributes(RESULTS, "aria-label"))
    page.click(".legend button", 3)
    assert page.evaluate("document.querySelectorAll('.reference').length") == 0
    page.click(".legend button", 0)
    assert len(page.texts(RESULTS)) == 6


def test_arrow_keys_go_from_mark_to_mark(page: Browser) -> None:
    page.evaluate(f"document.querySelector('{RESULTS}').focus()")
    for expected in (1, 2):
        page.press("ArrowRight")
        focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused == page.attributes(RESULTS, "aria-label")[expected] == page.texts("#tip")[0]
    page.press("ArrowLeft")
    assert page.attributes(RESULTS, "tabindex") == ["-1", "0", "-1", "-1", "-1", "-1"]


def choose(page: Browser, section: str, index: int, key: str = "ArrowDown") -> None:
    page.evaluate(f"document.querySelectorAll('{section} select')[{index}].focus()")
    page.press(key)


def test_another_measure(page: Browser) -> None:
    choose(page, "#accuracy", 0)
    expected = sweep().points[0].spread("output_snr").mean
    label = page.attributes(RESULTS, "aria-label")[0]
    assert f"{expected:.4g} dB" in label and "digital" not in label
    assert page.texts(".legend button") == ["error = 0.0", "error = 0.05", "single chips"]
    assert page.texts("#accuracy .reading")[0].startswith("Output SNR: worst ")


def test_another_axis(page: Browser) -> None:
    choose(page, "#accuracy", 1)
    assert page.texts(".legend button")[:3] == ["bits = 4", "bits = 6", "bits = 8"]
    assert [label.split("\n")[0] for label in page.attributes(RESULTS, "aria-label")][:2] == [
        "bits = 4, error = 0.0", "bits = 4, error = 0.05",
    ]  # fmt: skip
    choose(page, "#accuracy", 2, "ArrowUp")  # one line: the other axis is held at a position that can be chosen
    assert len(page.texts(RESULTS)) == len(ERRORS)
    choose(page, "#accuracy", 3)
    assert all("bits = 6" in label for label in page.attributes(RESULTS, "aria-label"))


def test_the_reading_names_the_extremes(page: Browser) -> None:
    means = {each.label: np.mean(each.analog["top1"]) for each in sweep().points}
    low, high = min(means, key=means.get), max(means, key=means.get)
    assert page.texts("#accuracy .reading") == [
        f"Top-1 accuracy: worst {100 * means[low]:.2f} % ({low}), best {100 * means[high]:.2f} % ({high}); "
        "the digital network reaches 87.50 %."
    ]


def test_a_logarithmic_axis(page: Browser) -> None:
    page.click("#accuracy .controls input[type=checkbox]")
    x = page.evaluate(f"[...document.querySelectorAll('{RESULTS}')].slice(0, 3).map((node) => node.getBBox().x)")
    assert np.corrcoef(x, np.log(BITS))[0, 1] == pytest.approx(1, abs=1e-9)


# -- tables ------------------------------------------------------------------------------------------------------------


def test_the_table_of_results_is_sorted_by_a_click(page: Browser) -> None:
    heads = page.texts("#results th")
    assert heads == ["bits", "error", "chips", "Top-1 accuracy", "digital", "Output SNR"]
    expected = [percent(each.analog["top1"]) for each in sweep().points]
    assert page.texts("#results td:nth-child(4)") == expected
    for direction in ("ascending", "descending"):
        page.click("#results th:nth-child(4) button")
        assert page.attributes("#results th", "aria-sort") == ["none"] * 3 + [direction] + ["none"] * 2
        means = [float(text) for text in page.attributes("#results td:nth-child(4)", "data-value")]
        assert means == sorted(means, reverse=direction == "descending")


def test_layers_are_sorted_by_number_not_by_text(page: Browser) -> None:
    column = page.texts("#layers th").index("matrix (outputs × inputs)") + 1
    page.click(f"#layers th:nth-child({column}) button")
    assert page.texts("#layers tbody td:first-child") == ["fc", "block.conv2", "conv1"]
    assert page.texts("#hardware .reading") == ["6 arrays with 6,000 cells; 192 array operations per input."]


# -- one point ---------------------------------------------------------------------------------------------------------


def test_layers_of_the_chosen_point(page: Browser) -> None:
    for number in (0, 1, 2):
        if number:
            choose(page, "#point", 0)
        each = sweep().points[number]
        snr = [each.layer_spread(name).mean for name in LAYERS]
        labels = page.attributes("#snr .mark", "aria-label")
        assert [label.split("\n")[0] for label in labels] == list(LAYERS)
        assert [float(label.split("\n")[1].split()[0]) for label in labels] == pytest.approx(snr, rel=1e-3)
        assert page.texts("#snr .reading")[0].startswith(f"Lowest in {LAYERS[int(np.argmin(snr))]}: ")
        reach = BITS[each.positions[0]] / 2
        assert page.texts("#layers tbody td:nth-child(12)") == [f"−{reach:g} … {reach:g}"] * 3
        assert f"the ADC converts −{reach:g} to {reach:g}" in page.texts("#adc .reading")[0]
        assert page.texts("#layers caption") == [each.label]


def test_histograms_show_every_count_and_the_range(page: Browser) -> None:
    for index, name in enumerate(LAYERS):
        if index:
            choose(page, "#adc", 0)
        seen = sweep().points[0].histograms[name][0]
        shown = [label.split("\n")[1] for label in page.attributes("#adc .mark", "aria-label")]
        assert shown == [f"{count:,} values" for count in seen.counts if count]
        assert page.texts("#adc .reading")[0].startswith(f"{name}: currents from −3 to 2.5")
    bars = page.evaluate("[...document.querySelectorAll('#adc .bar')].map((bar) => bar.getBBox().x)")
    edges = [edge for edge, count in zip(seen.edges, seen.counts, strict=False) if count]
    slope, offset = np.polyfit(edges, bars, 1)
    lines = page.evaluate("[...document.querySelectorAll('#adc .range')].map((line) => line.getBBox().x)")
    assert (np.array(lines) - offset) / slope == pytest.approx([-2, 2], abs=0.02)


def test_linear_counts(page: Browser) -> None:
    page.click("#adc .controls input[type=checkbox]")
    heights = page.evaluate("[...document.querySelectorAll('#adc .bar')].map((bar) => bar.getBBox().height)")
    counts = [count for count in sweep().points[0].histograms["conv1"][0].counts if count]
    assert np.corrcoef(heights, counts)[0, 1] == pytest.approx(1, abs=1e-9)


def test_the_whole_configuration_can_be_found(page: Browser) -> None:
    assert page.texts("pre") == [sweep().study]
    page.click("#parameters summary")
    page.click("#parameters input")
    page.write("ADC.MVM")
    rows = page.evaluate(
        "[...document.querySelectorAll('#parameters tbody tr')].filter((row) => row.offsetParent)"
        ".map((row) => row.innerText.split('\\t'))"
    )
    assert sorted(rows) == [["all", "xbar.adc.mvm.bits", "4"], ["all", "xbar.adc.mvm.model", '"QuantizerADC"']]


# -- for everyone ------------------------------------------------------------------------------------------------------


def test_everything_has_a_name(page: Browser) -> None:
    assert all(page.names("combobox")) and len(page.names("combobox")) == 5
    assert all(page.names("button")) and all(page.names("checkbox"))
    assert len([name for name in page.names("image") if "SNR" not in name and "values" not in name and name]) >= 6
    assert page.evaluate("document.documentElement.lang") == "en"
    identifiers = page.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(set(identifiers)) == len(identifiers)
    levels = page.evaluate("[...document.querySelectorAll('h1, h2')].map((node) => node.tagName)")
    assert levels == ["H1"] + ["H2"] * 5


def test_the_tabulator_key_meets_a_chart_once(page: Browser) -> None:
    page.evaluate("document.querySelector('#accuracy select').focus()")
    stops = []
    for _ in range(12):
        page.press("Tab")
        stops.append(page.evaluate("document.activeElement.closest('svg') !== null"))
    assert stops.count(True) == 1


# -- other shapes of results -------------------------------------------------------------------------------------------


def test_a_single_run_shows_its_chips(browser: Browser, tmp_path: Path) -> None:
    whole = sweep()
    only = replace(whole.points[0], positions=(), label="", layer_snr={}, histograms={})
    show(browser, replace(whole, axes=(), points=(only,), hardware=whole.hardware[:1]), tmp_path)
    labels = browser.attributes(RESULTS, "aria-label")
    assert [label.split("\n")[:2] for label in labels] == [
        [f"chip {seed}", f"{100 * value:.2f} %"] for seed, value in zip((1, 2, 3), only.analog["top1"], strict=True)
    ]
    assert browser.evaluate("document.getElementById('snr') || document.getElementById('adc')") is None
    assert browser.complaints == []


def test_values_without_end_are_said_not_drawn(browser: Browser, tmp_path: Path) -> None:
    whole = sweep()
    perfect = replace(
        whole.points[0],
        analog={**whole.points[0].analog, "output_snr": (np.inf,) * 3},
        layer_snr={"conv1": (np.inf,) * 3, "block.conv2": (12.0,) * 3, "fc": (np.nan,) * 3},
    )
    missing = "3 of 18 chips are missing."
    show(browser, replace(whole, points=(perfect, *whole.points[1:]), remarks=(missing,)), tmp_path)
    assert browser.texts("#results tr:first-child td:last-child") == ["∞ dB"]
    assert len(browser.texts("#snr .mark")) == 1
    column = browser.texts("#layers th").index("output SNR (dB)") + 1
    assert browser.texts(f"#layers tbody td:nth-child({column})") == ["∞", "12", "–"]
    choose(browser, "#accuracy", 0)
    assert len(browser.texts(RESULTS)) == 5
    assert browser.texts(".remark") == [missing]
    assert browser.complaints == []
