"""Tables of measurements: what they say between their rows, what they refuse, and that every library agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from device_tables import BOTH_SIGNS, CURRENT, MOMENTS, NOISE, QUANTILES, RETENTION, TABLES, cell_with
from hypothesis import given, settings
from hypothesis import strategies as st

from crossohm._random import ChipDraw
from crossohm.devices import ROLES, Device, TableDevice
from crossohm.devices.tables import table_of
from crossohm.errors import DataError, ParameterError
from crossohm.params import Measurements
from crossohm.testing.device import DeviceContract

METHODS = {
    "programming_error": "programming_error",
    "drift_error": "drift_error",
    "read_noise": "read_noise_std",
    "nonlinear_IV": "current",
}


def only(role: str) -> Device:
    """The model with one of its roles: that of the table in the cell."""
    names = ("source", "check", METHODS[role])
    return type("OneRole", (Device,), {name: getattr(TableDevice, name) for name in names})()  # type: ignore[no-any-return]


class TestTables(DeviceContract):
    @pytest.fixture(autouse=True, params=TABLES)
    def _choose(self, request: pytest.FixtureRequest) -> None:
        self.role, content = TABLES[request.param]
        self.cell = cell_with(content)

    def make(self) -> Device:
        return only(self.role)


def drawn(role: str, content: str, g: float, count: int = 40_000, time: float = 7.0) -> np.ndarray:
    draw = ChipDraw(np.random.default_rng(5))
    found: np.ndarray = getattr(TableDevice(), role)(np.full(count, g), cell_with(content, time=time), draw)
    return found


@pytest.mark.parametrize(("g", "mean", "sd"), [(0.05, 0.055, 0.005), (0.2, 0.2, 0.009), (0.75, 0.735, 0.015)])
def test_a_write_has_the_mean_and_deviation_of_the_table(g: float, mean: float, sd: float) -> None:
    found = drawn("programming_error", MOMENTS, g)
    assert found.mean() == pytest.approx(mean, abs=4 * sd / 200)
    assert found.std() == pytest.approx(sd, rel=0.02)


@pytest.mark.parametrize("percent", [0, 10, 25, 50, 75, 90, 95, 100])
@pytest.mark.parametrize(("g", "row"), [(0.3, [26, 29, 30, 33, 40]), (0.65, [53, 62, 64.5, 68.5, 75])])
def test_quantiles_come_back(g: float, row: list[float], percent: float) -> None:
    found = np.percentile(drawn("programming_error", QUANTILES, g), percent)
    assert found == pytest.approx(np.interp(percent, [0, 25, 50, 90, 100], np.array(row) / 100), abs=2e-3)


@pytest.mark.parametrize(
    ("time", "mean", "sd"),
    [(0, 1, 0.01), (0.5, 0.985, 0.015), (1, 0.97, 0.02), (10, 0.885, 0.03), (100, 0.8, 0.04)],
)
def test_retention_is_straight_in_the_logarithm_of_the_time(time: float, mean: float, sd: float) -> None:
    found = drawn("drift_error", RETENTION, 1.0, time=time)
    assert found.mean() == pytest.approx(mean, abs=4 * sd / 200)
    assert found.std() == pytest.approx(sd, rel=0.02)


def test_read_noise_is_straight_between_states() -> None:
    g = np.array([0, 0.05, 0.1, 0.55, 1.0, 1.2])
    expected = np.array([0.01, 0.255, 0.5, 1.0, 1.5, 1.5]) / 100
    np.testing.assert_allclose(TableDevice().read_noise_std(g, cell_with(NOISE)), expected, rtol=1e-12)


def test_currents_are_those_measured() -> None:
    v = np.array([-1, -0.5, 0, 0.5, 1.0])
    for g, amperes in ((0.01, [0.1, 0.24]), (0.5, [5.2, 11]), (1.0, [10.1, 21])):
        low, high = np.array(amperes) / 20  # full scale: 0.2 V at 100 uS
        found = TableDevice().current(np.array(g), v, cell_with(CURRENT))
        np.testing.assert_allclose(found, [-high, -low, 0, low, high], rtol=1e-12)
    signed = TableDevice().current(np.array(1.0), v[[0, 4]], cell_with(BOTH_SIGNS))
    np.testing.assert_allclose(signed, [-0.95, 1.05], rtol=1e-12)


@given(st.floats(0.02, 1), st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_units_do_not_count(g: float, scale: float) -> None:
    rows = [(0, 0.01), (10 * scale, 0.5), (100 * scale, 1.5)]
    large = "conductance_uS,sd_uS\n" + "".join(f"{a!r},{b!r}\n" for a, b in rows)
    small = "sd_mS,conductance_S\n" + "".join(f"{b / 1e3!r},{a / 1e6!r}\n" for a, b in rows)
    one, other = (
        TableDevice().read_noise_std(np.array(g), replace(cell_with(text), r_min=1e4 / scale))
        for text in (large, small)
    )
    assert one == pytest.approx(other, rel=1e-9)


WRONG = {
    "empty cell": ("read_noise", NOISE.replace("10,0.5", "10,"), r"t\.csv, line 3, column 2 \(sd_uS\): .* empty"),
    "word": ("read_noise", NOISE.replace("0.5", "half"), r"line 3, column 2 \(sd_uS\): 'half' is not a finite number"),
    "infinite": ("read_noise", NOISE.replace("0.5", "inf"), r"line 3, column 2"),
    "not ascending": ("read_noise", NOISE.replace("100,", "5,"), r"line 4, column 1 .* 5 is not above the row before"),
    "negative": ("programming_error", MOMENTS.replace("\n0, 0.2", "\n-1, 0.2"), r"line 3, column 1 .* negative cond"),
    "sd below 0": ("read_noise", NOISE.replace("0.5", "-0.5"), r"line 3, column 2 .* negative standard deviation"),
    "unit": (
        "read_noise",
        NOISE.replace("sd_uS", "sd_uA"),
        r"column 2 \(sd_uA\): no unit of sd is 'uA'; allowed: S, mS",
    ),
    "no unit": ("read_noise", NOISE.replace("sd_uS", "sd"), r"line 1, column 2: 'sd' is no name with a unit"),
    "missing": ("read_noise", "conductance_uS\n1\n2\n", r"there is no column 'sd'; columns: conductance, sd"),
    "unknown": ("read_noise", NOISE.replace("sd_uS", "sigma_uS"), r"column 2 \(sigma_uS\): no column of such a table"),
    "twice": ("read_noise", "sd_uS,sd_S\n1,2\n", r"several columns 'sd'"),
    "too long": ("read_noise", NOISE + "1,2,3\n", r"line 5, column 3: 3 cells, but the header names 2"),
    "nothing": ("read_noise", "", r"t\.csv: no table"),
    "two means": ("programming_error", "conductance_S,mean_S,error_S,sd_S\n1,1,1,1\n", r"either mean or error"),
    "no ends": ("programming_error", "conductance_S,q0_S,q95_S\n1,1,1\n", r"q0 and q100"),
    "quantiles": ("programming_error", QUANTILES.replace("95,99", "95,94"), r"line 4, column 4 .* below the quantile"),
    "hole": (
        "drift_error",
        RETENTION.replace("1,100,97,2\n", ""),
        r"no row for the time of line 4 with the cond.* line 3",
    ),
    "again": ("drift_error", RETENTION + "1,100,97,2\n", r"line 8: the same time and conductance as in line 5"),
    "no mean": ("drift_error", "time_h,conductance_S,sd_S\n1,1,1\n", r"no column 'mean'"),
    "offset": ("nonlinear_IV", BOTH_SIGNS.replace("1,0,0", "1,0,3"), r"line 3, column 3 .* flows without a voltage"),
    "against": ("nonlinear_IV", CURRENT.replace("5.2", "-5.2"), r"line 4, column 3 .* against the voltage"),
    "off": ("nonlinear_IV", CURRENT.replace("\n1,", "\n0,"), r"line 2, column 1 .* no state with a curve"),
    "no voltage": ("nonlinear_IV", "conductance_S,voltage_V,current_A\n1,0,0\n", r"no voltage other than 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_line_and_column(case: str) -> None:
    role, content, message = WRONG[case]
    with pytest.raises(DataError, match=message):
        table_of(Measurements(content, "t.csv"), role)
    with pytest.raises(ParameterError, match=rf"xbar\.device\.{role}\.path = 't\.csv': "):
        TableDevice().check(role, cell_with(content, "t.csv"))


REFUSED = {
    "Rmin": ("read_noise", NOISE, {"r_min": 1e3}, r"Rmin = 1000.*: .*1000 uS.*from 0 to 100 uS.*Raise.* to 10000 ohm"),
    "Rmax": ("nonlinear_IV", CURRENT, {"rho": 1e-3}, r"Rmax.* 0\.1 uS.*from 1 to 100 uS"),
    "infinite": ("nonlinear_IV", CURRENT, {"rho": 0.0}, r"infinite_on_off_ratio = True"),
    "time": ("drift_error", RETENTION, {"time": 101.0}, r"time = 101.0: .*allowed: 0 to 100 h"),
    "voltage": ("nonlinear_IV", CURRENT, {"v_read": 0.3}, r"Vread = 0\.3: .*at most 0\.2 V"),
    "no table": ("read_noise", NOISE, {"table": None}, r"read_noise\.path = None: the model 'table' needs a file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_was_not_measured_is_refused(case: str) -> None:
    role, content, change, message = REFUSED[case]
    with pytest.raises(ParameterError, match=message):
        TableDevice().check(role, replace(cell_with(content), **change))


@given(st.sampled_from(sorted(TABLES)), st.lists(st.tuples(st.integers(0, 200), st.text(max_size=4)), max_size=4))
@settings(max_examples=300, deadline=None)
def test_damaged_tables_are_refused_or_read(name: str, damage: list[tuple[int, str]]) -> None:
    content = TABLES[name][1]
    for place, text in damage:
        content = content[:place] + text + content[place + len(text) :]
    for tried in ROLES:
        try:
            TableDevice().check(tried, cell_with(content))
        except ParameterError as error:
            assert str(error).startswith("xbar.device.")
            continue
        method = getattr(TableDevice(), METHODS[tried])
        arguments = {"read_noise": (), "nonlinear_IV": ()}.get(tried, (ChipDraw(np.random.default_rng(0)),))
        g = np.linspace(0, 1, 5, dtype=np.float32)
        voltage = (0.5 * g,) if tried == "nonlinear_IV" else ()
        assert np.isfinite(method(g, *voltage, cell_with(content), *arguments)).all()
