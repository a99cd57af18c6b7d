"""Tables from raw ramps: golden data of the reference, laws of quantiles, and files of ramps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossohm.errors import DataError, ParameterError
from crossohm.training.tables import (
    PulseTable,
    Ramp,
    TableSettings,
    example_ramps,
    read_ramps,
    table_facts,
    table_from_ramps,
    write_ramps,
)

#: Section 1.5 of the specification: rows 0, 0.24, 0.5, 0.76, 1 of the probabilities, some columns, microsiemens.
ROWS, COLUMNS = [0, 12, 25, 38, 50], [0, 12, 25, 38, 50]
SET = [
    [14.61157, 11.42482, 7.972498, 4.520179, 2.690772],
    [14.77237, 11.58562, 8.133300, 4.680981, 2.701339],
    [15.03890, 11.85214, 8.399824, 4.947505, 2.718854],
    [15.28333, 12.09657, 8.644253, 5.191934, 2.734916],
    [15.40745, 12.22070, 8.768378, 5.316059, 2.743073],
]
RESET = [
    [-2.889798, -6.076554, -9.528872, -12.98119, -16.16795],
    [-2.859137, -6.045893, -9.498212, -12.95053, -16.13729],
    [-2.743627, -5.812493, -9.264812, -12.71713, -15.90389],
    [-2.727328, -5.728993, -9.181312, -12.63363, -15.82039],
    [-2.721122, -5.627927, -9.080245, -12.53256, -15.71932],
]
#: Without extrapolation the outer columns are different.
HELD_SET_LAST = [1.345529, 1.494225, 1.760750, 2.005178, 2.129303]
HELD_RESET_FIRST = [-2.889798, -2.859137, -2.625737, -2.542237, -2.441171]
HELD_RESET_LAST = [-16.02967, -16.00467, -15.90389, -15.82039, -15.71932]


def golden_ramps() -> tuple[list[Ramp], list[Ramp]]:
    f = (1 - np.exp(-np.arange(101) / 40)) / (1 - np.exp(-2.5))
    up = [1e-3 * (1 + 0.6 * f) * (1 + 0.01 * np.sin(7 * r)) for r in range(10)]
    down = [1e-3 * (1.6 - 0.6 * f) * (1 + 0.01 * np.cos(5 * r)) for r in range(10)]
    return up, down


def golden_table(extrapolate: bool) -> PulseTable:
    settings = TableSettings(bins=20, cdf_points=51, g_points=51, extrapolate=extrapolate, clamp_measured=True)
    return table_from_ramps(*golden_ramps(), settings)


def columns(changes: np.ndarray) -> np.ndarray:
    return changes[np.ix_(ROWS, COLUMNS)] * 1e6


def test_golden_data_with_extrapolation() -> None:
    table = golden_table(extrapolate=True)
    assert table.g[[0, -1]] == pytest.approx([1.053451741923e-3, 1.584605385704e-3], rel=1e-9)
    np.testing.assert_allclose(columns(table.increasing), SET, rtol=0.002)
    np.testing.assert_allclose(columns(table.decreasing), RESET, rtol=0.002)


def test_golden_data_without_extrapolation() -> None:
    table = golden_table(extrapolate=False)
    up, down = columns(table.increasing), columns(table.decreasing)
    np.testing.assert_allclose(up[:, -1], HELD_SET_LAST, rtol=0.002)
    np.testing.assert_allclose(down[:, 0], HELD_RESET_FIRST, rtol=0.002)
    np.testing.assert_allclose(down[:, -1], HELD_RESET_LAST, rtol=0.002)
    np.testing.assert_allclose(up[:, :-1], np.array(SET)[:, :-1], rtol=0.002)
    np.testing.assert_allclose(down[:, 1:-1], np.array(RESET)[:, 1:-1], rtol=0.002)


def test_measured_steps_are_not_limited() -> None:
    """CrossSim lifts the smallest steps of a ramp to twice the smallest."""
    table = table_from_ramps(*golden_ramps(), TableSettings(bins=20, cdf_points=51, g_points=51))
    np.testing.assert_allclose(table.increasing[ROWS, -1] * 1e6, HELD_SET_LAST, rtol=0.01)


def test_a_device_without_spread_has_one_step_at_every_probability() -> None:
    """Exponential ramps: the step falls linearly with the conductance, by the same amount in each ramp."""
    ramp = 1e-4 * (1 - 0.9 ** np.arange(60)) + 1e-6
    table = table_from_ramps([ramp] * 3, [ramp[::-1]] * 3, TableSettings(cdf_points=11, g_points=21))
    # Between the readings G and G' = G + s(G) lies the middle: dG at it.
    expected = 0.1 / 0.95 * (1.01e-4 - table.g)
    inner = slice(0, -1)
    np.testing.assert_allclose(table.increasing[:, inner], np.tile(expected, (11, 1))[:, inner], rtol=0.02)
    np.testing.assert_allclose(table.increasing, table.increasing[:1].repeat(11, axis=0), rtol=1e-12)


def test_quantiles_are_those_of_the_samples() -> None:
    """Ramps with steps 1..n: sample i of n sorted ones has probability (i + 1/2) / n."""
    ups = [np.arange(0, 400, step) * 1e-6 + 1e-6 for step in (1.0, 2.0, 3.0, 4.0)]
    downs = [ramp[::-1] for ramp in ups]
    table = table_from_ramps(ups, downs, TableSettings(bins=30, cdf_points=9, g_points=5))
    expected = np.interp(table.cdf, [1 / 8, 3 / 8, 5 / 8, 7 / 8], [1, 2, 3, 4]) * 1e-6
    np.testing.assert_allclose(table.increasing[:, 2], expected, rtol=1e-9)
    np.testing.assert_allclose(table.decreasing[:, 2], -expected[::-1], rtol=1e-9)


def test_filtered_probabilities_remove_rare_events() -> None:
    steps = [1.0] * 18 + [40.0, 41.0]
    ups = [np.arange(0, 400, step) * 1e-6 + 1e-6 for step in steps]
    downs = [ramp[::-1] for ramp in ups]
    plain, filtered = (
        table_from_ramps(ups, downs, TableSettings(bins=20, cdf_points=101, g_points=5, filter_cdf=part))
        for part in (0.0, 0.15)
    )
    assert plain.increasing.max() > 30e-6
    assert filtered.increasing.max() == pytest.approx(1e-6)


def test_tails_get_further_probabilities() -> None:
    """Section 1.4, step 8: the grid of the published ENODe table."""
    table = table_from_ramps(*golden_ramps(), TableSettings(cdf_points=100, cdf_end_points=10, g_points=48))
    assert not table.regular
    steps = np.diff(table.cdf)
    assert steps.min() == pytest.approx(2.0**-10 / 99)
    np.testing.assert_allclose(table.cdf, 1 - table.cdf[::-1], atol=1e-12)


def test_conductances_are_those_that_both_directions_reach() -> None:
    up, down = golden_ramps()
    table = table_from_ramps([up[0][:60]], [down[0][:60]], TableSettings(bins=100))
    low, high = max(up[0][0], down[0][59]), min(up[0][59], down[0][0])
    step = (high - low) / 100
    assert table.g[[0, -1]] == pytest.approx([low + 2 * step, high - step])


def test_progress_comes_to_its_end() -> None:
    seen: list[tuple[int, int]] = []
    table_from_ramps(*golden_ramps(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 20) for number in range(1, 21)]


def test_directions_without_common_conductances_are_refused() -> None:
    with pytest.raises(DataError, match="no conductances in common"):
        table_from_ramps([np.array([1.0, 2.0])], [np.array([4.0, 3.0])])


@pytest.mark.parametrize(
    ("name", "value"),
    [("bins", 3), ("bins", 10.0), ("cdf_points", 1), ("cdf_end_points", -1), ("g_points", True), ("filter_cdf", 0.5)],
)
def test_settings_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=name):
        TableSettings(**{name: value})


# -- files of ramps --------------------------------------------------------------------------------


def test_ramps_are_read_back(tmp_path: Path) -> None:
    ramps, _ = example_ramps()
    write_ramps(ramps, tmp_path / "set.csv")
    found = read_ramps(tmp_path / "set.csv")
    assert list(map(len, found)) == list(map(len, ramps))
    for one, other in zip(found, ramps, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "set.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_without_a_reading_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,c,d\n1e-6,2e-6,,7e-6\nnan,3e-6,,\n2e-6,0,,\n,4e-6\n")
    assert [ramp.tolist() for ramp in read_ramps(path, read_voltage=1)] == [[1e-6, 2e-6], [2e-6, 3e-6, 4e-6]]


def test_currents_become_conductances(tmp_path: Path) -> None:
    path = written(tmp_path, "a\n1e-6\n2e-6\n")
    assert read_ramps(path)[0] == pytest.approx([1e-5, 2e-5])
    assert read_ramps(path, read_voltage=0.2)[0] == pytest.approx([5e-6, 1e-5])


def test_headers_and_footers_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, "instrument 7\ntoday\na,b\n1,2\n3,4\n5,6\nend\n")
    found = read_ramps(path, read_voltage=1, header_lines=3, skip_footer=1)
    assert [ramp.tolist() for ramp in found] == [[1, 3, 5], [2, 4, 6]]


def test_a_file_without_names_is_not_robbed_of_its_first_pulse(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2\n3,4\n5,6\n")
    with pytest.raises(DataError, match=r"set\.csv:1: numbers where the names"):
        read_ramps(path)
    assert read_ramps(path, header_lines=0, read_voltage=1)[0].tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,x\n", r":3: column 2 has 'x'; a current in ampere"),
        ("a,b\n1,2\n3,-4\n", r":3: column 2 has the negative current -4"),
        ("a;b\n1;2\n3;4\n", r":2: column 1 has '1;2'"),
        ("a\n1\ninf\n", r":3: column 1 has 'inf'"),
        ("a\n1\n", r": no ramp"),
        ("", r": no ramp"),
    ],
)
def test_mistakes_in_ramps_are_named_with_line_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=r"set\.csv" + message):
        read_ramps(written(tmp_path, text))


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(b"a\n1\n\xff\n")
    with pytest.raises(DataError, match=r"set\.csv:3: not a text file"):
        read_ramps(tmp_path / "set.csv")


# -- the example --------------------------------------------------------------------------------


def test_the_example_repeats_itself_and_makes_the_table_it_was_invented_from() -> None:
    """Its steps are (goal - G) / 45, with a spread of a quarter."""
    up, down = example_ramps()
    assert all(map(np.array_equal, up, example_ramps()[0]))
    assert not np.array_equal(up[0], example_ramps(seed=1)[0][0])
    table = table_from_ramps(*example_ramps(60))
    facts = table_facts(table)
    used = table.columns(0.1, 0.9)
    np.testing.assert_allclose(table.mean_up[used], (120e-6 - table.g[used]) / 45, rtol=0.2)
    np.testing.assert_allclose(table.mean_down[used], (20e-6 - table.g[used]) / 45, rtol=0.2)
    assert facts.symmetry == pytest.approx(0.5, abs=0.03)
    assert len(down) == 12
