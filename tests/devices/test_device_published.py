"""Measured models against the numbers of their publications (as quoted in the behavioural specification)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossohm.devices import SONOS, Cell, CubicDevice, Device, PCMJoshi, RRAMMilo, RRAMWan
from crossohm.devices.sonos import RETENTION, retention
from crossohm.errors import ParameterError


class ConstantDraw:
    """Every random number equals ``value``: 0 shows the mean, 1 the mean plus one standard deviation."""

    def __init__(self, value: float) -> None:
        self.value = value

    def normal(self, like: Any) -> Any:
        return np.full_like(like, self.value)

    uniform = normal


def mean_and_spread(method: Callable[..., Any], g: np.ndarray, cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    mean = method(g, cell, ConstantDraw(0.0))
    return mean, method(g, cell, ConstantDraw(1.0)) - mean


def sonos_cell(i_max: float, time: float = 0.0) -> Cell:
    return Cell(r_min=1e9 * 0.1 / i_max, rho=1e-7, v_read=0.1, time=time)


SONOS_TABLE = """
0 | 19.88665 | 176.3115 | 0,0,0,0,0,0,0,0,0,0,0
1 | 25.59102 | 186.85544 | 1.72684e-01, 5.72552e-02, -6.85715e-04, 3.50271e-06, -9.37682e-09, 1.40575e-11, -1.19803e-14, 5.41293e-18, -8.85448e-22, -1.66869e-25, 5.95180e-29
2 | 28.72753 | 193.56834 | 2.50712e-01, 6.62195e-02, -6.83218e-04, 2.99442e-06, -6.78255e-09, 7.70482e-12, -3.04983e-15, -2.15919e-18, 2.94617e-21, -1.23359e-24, 1.85329e-28
3 | 31.04318 | 198.90332 | -1.75300e-02, 9.76883e-02, -9.63791e-04, 4.55551e-06, -1.22391e-08, 1.93786e-11, -1.85899e-14, 1.07659e-17, -3.58211e-21, 5.96785e-25, -3.30410e-29
4 | 33.76214 | 204.77023 | 4.03338e-02, 1.03111e-01, -1.04740e-03, 4.83961e-06, -1.28132e-08, 1.99484e-11, -1.85139e-14, 1.00008e-17, -2.84944e-21, 3.01008e-25, 1.18747e-29
5 | 34.57909 | 207.34309 | 3.19927e-01, 1.06596e-01, -1.04054e-03, 4.50290e-06, -1.10352e-08, 1.56477e-11, -1.27592e-14, 5.45513e-18, -7.26841e-22, -2.43893e-25, 7.14608e-29
"""  # noqa: E501


@pytest.mark.parametrize("line", SONOS_TABLE.strip().splitlines())
def test_sonos_table(line: str) -> None:
    day, spread, corner, drift = line.split("|")
    row = RETENTION[int(day)]
    assert (row.spread, row.corner) == (float(spread), float(corner))
    assert row.drift == tuple(map(float, drift.split(",")))
    assert retention(float(day)) == row


SONOS_MEANS = {
    1.0: (0.172684, 101.735209, 499.825663, 1489.750422),
    2.5: (0.116591, 103.025843, 498.609895, 1477.469426),
    5.0: (0.319927, 104.117763, 495.645965, 1462.639764),
    7.0: (0.879113, 105.117957, 495.777847, 1458.493734),
}


@pytest.mark.parametrize("time", SONOS_MEANS)
@pytest.mark.parametrize("i_max", [1500.0, 1799.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float32", 1e-3)])
def test_sonos_mean_current(time: float, i_max: float, dtype: str, tolerance: float) -> None:
    """The published mean does not depend on which current is called g = 1."""
    g = (np.array([0.0, 100.0, 500.0, 1500.0]) / i_max).astype(dtype)
    mean, _ = mean_and_spread(SONOS().drift_error, g, sonos_cell(i_max, time))
    assert mean.dtype == dtype
    np.testing.assert_allclose(mean * i_max, SONOS_MEANS[time], rtol=0, atol=tolerance)


@pytest.mark.parametrize("day", range(6))
def test_sonos_spread_follows_the_moved_current(day: int) -> None:
    current, i_max = np.array([0.0, 3.0, 100.0, 500.0, 1500.0]), 1600.0
    mean, spread = mean_and_spread(SONOS().drift_error, current / i_max, sonos_cell(i_max, float(day)))
    a, b, p = RETENTION[day].spread, RETENTION[day].corner, RETENTION[day].drift
    moved = current + sum(p[k] * current**k for k in range(11))
    np.testing.assert_allclose(mean * i_max, moved, atol=1e-9)
    np.testing.assert_allclose(spread * i_max, np.maximum(a * (1 - np.exp(-moved / b)), 0), atol=1e-9)


def test_sonos_spread_is_never_negative() -> None:
    """After three days the mean current of an off cell is below zero; its spread is zero, not negative."""
    mean, spread = mean_and_spread(SONOS().drift_error, np.zeros(1), sonos_cell(1600.0, 3.0))
    assert mean[0] < 0
    assert spread[0] == 0


def test_sonos_programming_is_drift_at_time_zero() -> None:
    g, aged, fresh = np.linspace(0, 1, 9), sonos_cell(1600.0, 4.0), sonos_cell(1600.0)
    programmed = SONOS().programming_error(g, aged, ConstantDraw(1.0))
    assert np.array_equal(programmed, SONOS().drift_error(g, fresh, ConstantDraw(1.0)))
    mean, spread = mean_and_spread(SONOS().programming_error, g, fresh)
    np.testing.assert_allclose(mean, g, atol=1e-15)
    np.testing.assert_allclose(spread * 1600, 19.88665 * (1 - np.exp(-1600 * g / 176.3115)), atol=1e-9)


def test_sonos_read_noise() -> None:
    g = np.linspace(0, 1, 9)
    expected = 12.58037 * (1 - np.exp(-3200 * g / 215.36557))
    np.testing.assert_allclose(SONOS().read_noise_std(g, sonos_cell(3200.0)) * 3200, expected, atol=1e-9)


def test_sonos_parameters_between_and_beyond_the_days() -> None:
    early, middle, late = retention(1.0), retention(1.25), retention(2.0)
    assert middle.spread == pytest.approx(0.75 * early.spread + 0.25 * late.spread)
    assert middle.corner == pytest.approx(0.75 * early.corner + 0.25 * late.corner)
    assert retention(7.0).spread == pytest.approx(34.57909 + 2 * (34.57909 - 33.76214))
    assert retention(0.5).drift[1] == pytest.approx(5.72552e-02 / 2)


PUBLISHED_SPREAD = [
    (PCMJoshi(), 25.0, lambda g: -0.00178767 * g**2 + 0.07585724 * g + 0.28638599),
    (RRAMMilo(), 225.0, lambda g: -0.009107 * g + 4.782321),
    (RRAMWan(), 39.26, lambda g: 1.536e-4 * g**3 - 1.167e-2 * g**2 + 0.2374 * g + 1.053),
]


@pytest.mark.parametrize(("model", "g_max", "published"), PUBLISHED_SPREAD)
@pytest.mark.parametrize("fraction", [1.0, 0.6])
def test_programming_spread(
    model: Device, g_max: float, published: Callable[[np.ndarray], np.ndarray], fraction: float
) -> None:
    """In microsiemens the spread is the published polynomial, whichever conductance is called g = 1."""
    microsiemens = np.linspace(0, fraction * g_max, 11)
    cell = Cell(r_min=1e6 / (fraction * g_max), rho=0.01, v_read=0.1)
    mean, spread = mean_and_spread(model.programming_error, microsiemens * cell.r_min * 1e-6, cell)
    np.testing.assert_allclose(mean, microsiemens * cell.r_min * 1e-6)
    np.testing.assert_allclose(spread / cell.r_min * 1e6, published(microsiemens), rtol=1e-12)
    assert np.all(spread > 0)


def test_spread_of_a_fit_below_zero_is_zero() -> None:
    """Far above its range the quadratic of PCMJoshi turns negative."""
    _, spread = mean_and_spread(PCMJoshi().programming_error, np.array([2.0]), Cell(4e4, 0.01, 0.1))
    assert spread[0] == 0


def test_milo_current_reference() -> None:
    cell = Cell(r_min=1e6 / 225, rho=0.2, v_read=0.5)
    g, v = np.array([0.3, 0.5, 0.9]), np.array([1.0, -0.5, 0.2])
    expected = [0.26294267, -0.25316847, 0.1798084]
    np.testing.assert_allclose(RRAMMilo().current(g, v, cell), expected, rtol=0, atol=1e-8)
    single = RRAMMilo().current(g.astype("float32"), v.astype("float32"), cell)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=5e-7)


def test_milo_current_formula() -> None:
    cell = Cell(r_min=5e3, rho=0.25, v_read=0.4)
    g, v = np.linspace(0.25, 1, 7), 0.8
    siemens, volt = g / cell.r_min, v * cell.v_read
    log = np.log10(siemens)
    c2 = 0.0001388 * log**3 + 0.001541 * log**2 + 0.005711 * log + 0.007063
    c3 = 8.8710e-5 * log**2 + 6.7919e-4 * log + 1.2968e-3
    expected = (siemens * volt + c2 * volt**2 + c3 * volt**3) * cell.r_min / cell.v_read
    np.testing.assert_allclose(RRAMMilo().current(g, v, cell), expected, rtol=1e-11)


def test_milo_is_linear_below_a_nanosiemens() -> None:
    cell = Cell(r_min=5e3, rho=0.25, v_read=0.4)
    g = np.array([0.0, 0.99e-9, 1.01e-9]) * cell.r_min
    coefficients = RRAMMilo().current_coefficients(g, cell)
    assert np.array_equal(coefficients[2] == 0, [True, True, False])
    assert np.array_equal(coefficients[3] == 0, [True, True, False])


def test_cubic_current() -> None:
    cell = Cell(r_min=1e4, rho=0.1, v_read=1.5)
    g, v = np.array([0.2, 1.0]), np.array([0.5, -1.0])
    np.testing.assert_allclose(CubicDevice().current(g, v, cell), g * (v - 0.25 * 1.5**2 * v**3), rtol=1e-14)


MILO = Cell(r_min=1e6 / 225, rho=1 / 4.5, v_read=0.5)
REJECTED = [
    (PCMJoshi(), "programming_error", Cell(39e3, 0.01, 0.1), "xbar.device.Rmin", "Rmin >= 40000 ohm"),
    (RRAMWan(), "programming_error", Cell(1e6 / 39.3, 0.01, 0.1), "xbar.device.Rmin", "39.26 uS"),
    (RRAMMilo(), "programming_error", replace(MILO, r_min=1e6 / 226), "xbar.device.Rmin", "225.01 uS"),
    (RRAMMilo(), "programming_error", replace(MILO, rho=1 / 4.6), "xbar.device.Rmax", "49.99 uS"),
    (RRAMMilo(), "programming_error", replace(MILO, rho=0.0), "xbar.device.infinite_on_off_ratio", "finite on/off"),
    (RRAMMilo(), "nonlinear_IV", replace(MILO, v_read=0.51), "xbar.device.Vread", "Vread <= 0.5"),
    (CubicDevice(), "nonlinear_IV", Cell(1e4, 0.1, 2.1), "xbar.device.Vread", "Vread <= 2 V"),
    (SONOS(), "programming_error", sonos_cell(3201.0), "xbar.device.Rmin", "xbar.device.Vread"),
    (SONOS(), "read_noise", sonos_cell(3201.0), "xbar.device.Rmin", "Imax <= 3200 nA"),
    (SONOS(), "drift_error", sonos_cell(3201.0), "xbar.device.Rmin", "Imax <= 3200 nA"),
    (SONOS(), "drift_error", sonos_cell(1801.0, 1.0), "xbar.device.Rmin", "Imax < 1800 nA"),
    (SONOS(), "drift_error", Cell(1.0, 0.0, 1800e-9, time=0.1), "xbar.device.Rmin", "Imax < 1800 nA"),
    (SONOS(), "drift_error", sonos_cell(1600.0, -1.0), "xbar.device.time", "days >= 0"),
    (SONOS(), "read_noise", Cell(1e5, 0.0, 0.0), "xbar.device.Vread", "Vread > 0"),
]


@pytest.mark.parametrize(("model", "role", "cell", "path", "text"), REJECTED)
def test_outside_the_fitted_range(model: Device, role: str, cell: Cell, path: str, text: str) -> None:
    with pytest.raises(ParameterError, match=type(model).__name__) as caught:
        model.check(role, cell)
    assert caught.value.path == path
    assert text in str(caught.value)


ACCEPTED = [
    (PCMJoshi(), "programming_error", Cell(4e4, 0.01, 0.1)),
    (RRAMWan(), "programming_error", Cell(1e6 / 39.26, 0.0, 0.1)),
    (RRAMMilo(), "programming_error", MILO),
    (RRAMMilo(), "programming_error", replace(MILO, v_read=5.0)),
    (RRAMMilo(), "nonlinear_IV", replace(MILO, rho=0.0)),
    (CubicDevice(), "nonlinear_IV", Cell(1e4, 0.1, 2.0)),
    (SONOS(), "programming_error", sonos_cell(3199.99)),
    (SONOS(), "programming_error", sonos_cell(3000.0, 2.0)),
    (SONOS(), "drift_error", sonos_cell(3000.0, 0.0)),
    (SONOS(), "drift_error", sonos_cell(1799.99, 3.0)),
]


@pytest.mark.parametrize(("model", "role", "cell"), ACCEPTED)
def test_at_the_edge_of_the_fitted_range(model: Device, role: str, cell: Cell) -> None:
    model.check(role, cell)
