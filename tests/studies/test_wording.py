"""Numbers for people are short and tell apart what differs; ratios are averaged by their noise power everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossohm.report import Measure
from crossohm.studies import spread
from crossohm.studies.file.axes import Axis
from crossohm.studies.file.wording import number, settings


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0021544346900318843, "0.002154"), (65536.0, "65536"), (65536, "65536"), (2_000_000, "2000000"),
        (2e6, "2e6"), (1e-05, "1e-5"), (-1.5e-7, "-1.5e-7"), (12345.6, "12346"), (0.1, "0.1"), (0.0, "0"),
        (-3.0, "-3"), (99.994, "99.99"),
        (math.inf, "inf"), (math.nan, "nan"),
    ],
)  # fmt: skip
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30, unique=True))
def test_settings_that_differ_look_different(values: list[float]) -> None:
    texts = settings(values)
    assert len(set(texts)) == len({repr(value) for value in values}) or {0.0} <= set(values)  # 0 and -0
    for value, text in zip(values, texts, strict=True):
        assert float(text) == pytest.approx(value, rel=1e-3, abs=0)


def test_settings_of_other_kinds() -> None:
    assert settings(["a", True, None, [0.12345678, 2], {"b": 0.5}]) == ("a", "true", "null", "[0.1235, 2]", "b: 0.5")
    assert settings([1.00001, 1.00002]) == ("1.00001", "1.00002")


def test_an_axis_leaves_out_what_a_position_does_not_set() -> None:
    axis = Axis("point", ("a", "b"), ({"a": 10 ** (-8 / 3), "b": 1}, {"b": 2}))
    assert axis.texts() == ({"a": "0.002154", "b": "1"}, {"b": "2"})


@given(st.lists(st.floats(-300, 3000), min_size=1, max_size=20))
def test_the_mean_ratio_is_that_of_all_noise_together(decibels: list[float]) -> None:
    found = spread(decibels, decibels=True)
    noise = np.exp(-np.log(10) / 10 * (np.array(decibels) - min(decibels)))  # of a signal as strong as the most noise
    assert found.mean == pytest.approx(min(decibels) - 10 * np.log10(noise.mean()), abs=1e-9)
    assert min(decibels) - 1e-9 <= found.mean <= np.mean(decibels) + 1e-9


def test_ratios_without_end() -> None:
    assert spread([math.inf, math.inf], decibels=True).mean == math.inf
    assert spread([math.inf, 10.0], decibels=True).mean == pytest.approx(10 + 10 * math.log10(2))
    assert math.isnan(spread([math.nan, 10.0], decibels=True).mean)
    assert math.isnan(spread([math.inf, 10.0], decibels=True).std)  # type: ignore[arg-type]
    ratio = Measure("output_snr", "SNR", "dB")
    assert ratio.spread_text(spread([math.inf, 10.0], decibels=True)) == "13.01 dB"
    assert ratio.cell(spread([10.0, 12.0], decibels=True)) == "10.89 ± 1.414 dB"
