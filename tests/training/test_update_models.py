"""Update models: published numbers, laws of random walks, and the contract of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossohm.errors import ParameterError
from crossohm.testing.update import UpdateModelContract
from crossohm.training.arrays.cells import Cells
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import weight_array
from crossohm.training.described import device_presets, update_model_of
from crossohm.training.tables import PulseTable, read_table
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.lookup import LookupUpdate
from crossohm.training.updates.model import UpdateModel
from crossohm.training.updates.pulsed import (
    ConstantStep,
    ExpStep,
    LinearStep,
    PiecewiseStep,
    PowStep,
    SoftBounds,
    SoftBoundsReference,
)


def _table(shift: float = 0.0, irregular: bool = False) -> PulseTable:
    """A device whose steps shrink on the way, with a skewed spread."""
    g = np.linspace(1.0, 2.0, 41)
    cdf = np.linspace(0, 1, 33)
    if irregular:
        cdf = np.unique(np.concatenate([cdf, [0.001, 0.004, 0.01]]))
    spread = 0.5 + cdf[:, None] ** 2 - 1 / 3 + shift
    up = 0.02 * (1.2 - 0.9 * (g - 1)) * (spread + 0.5)
    down = -0.03 * (0.3 + 0.8 * (g - 1)) * (spread[::-1] + 0.5)
    return PulseTable(g, cdf, up, down)


class TestIdeal(UpdateModelContract):
    """No device at all."""

    def make(self) -> UpdateModel:
        return IdealUpdate()


class TestLevels(UpdateModelContract):
    """Rounded at random: right on average over many steps, not in each."""

    small = 0.05

    def make(self) -> UpdateModel:
        return IdealUpdate(levels=17, stochastic_levels=True)


class TestAsymmetric(UpdateModelContract):
    dtypes = ("float32", "float64")

    def make(self) -> UpdateModel:
        return AnalyticUpdate(nonlinearity=2.0, write_noise=0.05)


class TestSymmetric(UpdateModelContract):
    def make(self) -> UpdateModel:
        return AnalyticUpdate(nonlinearity=2.0, symmetric=True, write_noise=0.05, noise_law="proportional")


class TestInverseNoise(UpdateModelContract):
    def make(self) -> UpdateModel:
        return AnalyticUpdate(write_noise=0.02, noise_law="inverse")


class TestLookup(UpdateModelContract):
    dtypes = ("float32", "float64")

    def make(self) -> UpdateModel:
        return LookupUpdate(_table())


class TestIrregularLookup(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return LookupUpdate(_table(irregular=True))


class TestSeveralTables(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return LookupUpdate([_table(), _table(0.1), _table(0.2)])


class TestTablesWithLevels(UpdateModelContract):
    counted = False
    small = 0.05
    tolerance = 0.5  # levels are wider than the change

    def make(self) -> UpdateModel:
        return LookupUpdate([_table(), _table(0.1)], levels=33)


class TestCalibratedWrites(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return LookupUpdate(_table(), nonlinear=False)


class TestConstantStep(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return ConstantStep(corrupt=0.1)


class TestLinearStep(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return LinearStep(slope_up=0.3, slope_down=0.6, slope_spread=0.1, additive_noise=True)


class TestSoftBounds(UpdateModelContract):
    dtypes = ("float32", "float64")

    def make(self) -> UpdateModel:
        return SoftBounds(asymmetry=0.2)


class TestSoftBoundsReference(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return SoftBoundsReference(
            asymmetry=0.2, log_normal=True, low_spread=0.1, reference=0.05, reference_spread=0.02, additive_noise=True
        )


class TestExpStep(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return ExpStep(noise_constant=0.1, noise_slope=0.2)


class TestPowStep(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return PowStep(power_up=1.5, power_down=0.7, power_spread=0.1)


class TestPiecewiseStep(UpdateModelContract):
    counted = False

    def make(self) -> UpdateModel:
        return PiecewiseStep(nodes_up=(1.5, 1.0, 0.3), nodes_down=(0.2, 1.0, 1.4))


def _change(model: UpdateModel, w: float, request: float) -> float:
    return float(model.step(np.array([w]), np.array([request]), None, {})[0] - w)


@pytest.mark.parametrize(
    ("symmetric", "w", "request_", "change"),
    [
        (False, 0.55, 0.09, 0.10711),
        (False, 0.55, -0.09, -0.10711),
        (False, 0.1, 0.09, 0.18868),
        (False, 0.1, 0.9, 0.9),
        (True, 0.55, 0.09, 0.11662),
        (True, 0.55, -0.09, -0.11662),
        (True, 0.1, 0.09, 0.05764),
    ],
)
def test_published_steps_of_the_analytic_model(symmetric: bool, w: float, request_: float, change: float) -> None:
    """Range 0.1 to 1, nonlinearity 2."""
    model = AnalyticUpdate(nonlinearity=2.0, symmetric=symmetric)
    assert _change(model, w, request_) == pytest.approx(change, abs=6e-6)


@pytest.mark.parametrize(
    ("device", "window", "averages", "up", "down"),
    [
        (
            "ENODe",
            (0.40185273, 0.32708432, 1.07476841),
            (5.40048e-3, -3.07013e-3),
            (1.41475e-3, 1.32883e-3, 1.08220e-3, 7.0530e-4, 4.2683e-4),
            (-6.2891e-4, -8.8388e-4, -1.10259e-3, -1.19953e-3, -1.12267e-3),
        ),
        (
            "TaOx_1",
            (0.26354745, 0.17149088, 1.09205657),
            (0.562401, -0.0936454),
            (1.58130e-3, 1.24872e-3, 7.59095e-4, 2.68354e-4, 3.50970e-5),
            (-1.75278e-5, -9.43863e-4, -1.68080e-3, -1.85233e-3, -1.10096e-3),
        ),
    ],
)
def test_published_steps_of_measured_devices(
    shared: Path, device: str, window: Any, averages: Any, up: Any, down: Any
) -> None:
    """CrossSim's numbers, with its rule for means."""
    model = LookupUpdate(read_table(shared / "data" / "lut" / device), write_noise=False, mean="left")
    assert (model.window.low, model.window.floor, model.window.ceiling) == pytest.approx(window, rel=1e-6)
    assert 1 / model.compiled().grids[0, 2:] == pytest.approx(averages, rel=1e-5)
    states = (0.45, 0.55, 0.7, 0.85, 0.95)
    assert [_change(model, w, 1e-3) for w in states] == pytest.approx(up, rel=1e-5)
    assert [_change(model, w, -1e-3) for w in states] == pytest.approx(down, rel=1e-5)


@pytest.mark.parametrize(("device", "up", "down"), [("ENODe", 4.40e-4, 3.58e-4), ("TaOx_1", 2.76e-3, 1.00e-2)])
def test_published_write_noise_of_measured_devices(shared: Path, device: str, up: float, down: float) -> None:
    """Of a request of 0.001 at the state 0.7."""
    found = LookupUpdate(read_table(shared / "data" / "lut" / device)).moments(np.array([0.7]), {})
    assert np.sqrt(1e-3 * found.variance_up[0]) == pytest.approx(up, rel=0.01)
    assert np.sqrt(1e-3 * found.variance_down[0]) == pytest.approx(down, rel=0.01)


@pytest.mark.parametrize(
    "model",
    [
        AnalyticUpdate(write_noise=0.1),
        LookupUpdate(_table(), nonlinear=False),
        ConstantStep(step_spread=0.0, asymmetry_spread=0.0, bound_spread=0.0),
    ],
)
def test_writes_are_random_walks(model: UpdateModel) -> None:
    """One write has the variance of ten of a tenth, where steps do not depend on the state."""
    size, finals = 0.01 * model.window.width, []
    for parts in (1, 10):
        cells = Cells(model, (100, 100), [1], "walk", dtype=np.float64)
        for _ in range(parts):
            cells.write(np.full((1, 100, 100), size / parts))
        finals.append(cells.state.ravel() - model.window.middle)
    assert finals[0].mean() == pytest.approx(finals[1].mean(), rel=0.02)
    assert finals[0].std() == pytest.approx(finals[1].std(), rel=0.05)  # five standard errors of 10,000


def test_random_walks_settle_where_steps_cancel() -> None:
    """Equal requests up and down move a device to where its mean steps are equal, and a pair to zero."""
    model = LookupUpdate(_table(), write_noise=False)
    cells = Cells(model, (1, 3), [1], "settles", dtype=np.float64)
    cells.set(np.array([[[0.6, 0.75, 0.95]]]))
    for _ in range(20_000):
        for sign in (1, -1):
            cells.write(np.full((1, 1, 3), 0.002 * sign))
    found = model.moments(cells.state[0, 0], {})
    np.testing.assert_allclose(found.mean_up, -found.mean_down, rtol=0.01)


def test_each_cell_of_several_has_one_table_for_good() -> None:
    """The same steps as cells that all have that table, with the same draws."""
    tables = [_table(), _table(0.1), _table(0.2)]
    several = LookupUpdate(tables, grid=(41, 33))
    table = several.devices((200,), np.random.default_rng(0))["table"]
    assert {0, 1, 2} == set(table.tolist())
    w, q = np.random.default_rng(1).uniform(0.6, 0.9, 200), np.random.default_rng(2).random(200)
    found = several.step(w, np.full(200, 1e-3), q, {"table": table})
    for number in range(3):
        alone = several.step(w, np.full(200, 1e-3), q, {"table": np.full(200, number, np.uint16)})
        np.testing.assert_array_equal(found[table == number], alone[table == number])


def test_published_devices_are_at_hand() -> None:
    """By name, and with other parameters."""
    for name in device_presets():
        assert update_model_of(name).window.width > 0
    assert update_model_of({"model": "reram_sb", "cycle_noise": 1.0}) == update_model_of(
        {
            **{"model": "soft_bounds", "step_size": 0.002, "step_spread": 0.3, "low": -0.75, "high": 1.25},
            **{"bound_spread": 0.24, "low_spread": 0.4, "additive_noise": True},
            "cycle_noise": 1.0,
            "visible_noise": 56.0,
        }
    )


@pytest.mark.parametrize(
    ("name", "bounds", "spreads", "asymmetry", "slopes"),
    [
        ("reram_es", (-1.0, 1.0), (0.3, 0.3), 0.05, None),
        ("reram_sb", (-0.75, 1.25), (0.4, 0.24), 0.01, None),
        ("reram_array_om", (-1.0, 1.0), (0.5695, 0.3499), None, None),
        ("reram_array_hfo2", (-1.0, 1.0), (0.599, 0.4295), None, None),
        ("ecram", (-0.8276, 1.1724), (0.05, 0.05), 0.01, 0.05),
        ("mo_ecram", (-0.8286, 1.1714), (0.05, 0.05), 0.01, 0.05),
        ("capacitor", (-1.0, 1.0), (0.07, 0.07), 0.06, 0.01),
        ("idealised", (-1.0, 1.0), (0.3, 0.3), 0.0, None),
        ("gokmen_vlasov", (-1.0, 1.0), (0.3, 0.3), 0.01, None),
    ],
)
def test_published_devices_differ_as_published(
    name: str, bounds: tuple[float, float], spreads: tuple[float, float], asymmetry: float | None, slopes: float | None
) -> None:
    """From aihwkit's presets (IBM); of many devices: bounds (medians, quartiles), steps up less steps down, slopes."""
    model = update_model_of(name)
    found = {key: of.astype(np.float64) for key, of in model.devices((40_000,), np.random.default_rng(0)).items()}
    for key, bound, spread in zip(("floor", "ceiling"), bounds, spreads, strict=True):
        assert np.median(found[key]) == pytest.approx(bound, rel=0.02)
        assert _normal_spread(found[key] / bound) == pytest.approx(spread, rel=0.03)
    if asymmetry is not None:
        tilts = (found["up"] - found["down"]) / (2 * model.pulse)
        assert _normal_spread(tilts) == pytest.approx(asymmetry, rel=0.03, abs=1e-6)
    if slopes is not None:
        assert np.std(found["shape_down"] * found["floor"] / found["down"]) == pytest.approx(slopes, rel=0.03)


def _normal_spread(values: Any) -> float:
    """Standard deviation by the quartiles, which the few devices that are held at an end do not move."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low) / 1.34898


def test_references_put_the_symmetry_point_at_zero() -> None:
    """Of every device; with another reference, states are those of soft bounds less it."""
    uneven = {"asymmetry": 0.3, "step_spread": 0.5, "log_normal": True}
    model = SoftBoundsReference(**uneven)
    devices = model.devices((200,), np.random.default_rng(0))
    found = model.moments(np.zeros(200), devices)
    np.testing.assert_allclose(found.mean_up, -found.mean_down, rtol=1e-5)
    assert (np.abs(devices["reference"]) > 0.01).mean() > 0.9
    moved, plain = SoftBoundsReference(**uneven, at_symmetry=False, reference=0.1), SoftBounds(**uneven)
    one, other = (of.devices((50,), np.random.default_rng(1)) for of in (moved, plain))
    w, drawn = np.random.default_rng(2).uniform(-0.2, 0.2, 50), np.random.default_rng(3).normal(size=50)
    request = np.where(w > 0, 0.01, -0.01)
    expected = plain.step(w + 0.1, request, drawn, other) - 0.1
    np.testing.assert_allclose(moved.step(w, request, drawn, one), expected, atol=1e-7)
    np.testing.assert_allclose(moved.limits(one)[1], plain.limits(other)[1] - 0.1, rtol=1e-6)


def test_log_normal_steps_have_normal_logarithms() -> None:
    """Their logarithms have the spread that was asked for."""
    found = ConstantStep(step_spread=0.7, log_normal=True, asymmetry_spread=0.0).devices(
        (9999,), np.random.default_rng(0)
    )
    logarithms = np.log(found["up"] / 0.001)
    assert logarithms.mean() == pytest.approx(0, abs=0.03)
    assert logarithms.std() == pytest.approx(0.7, rel=0.03)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AnalyticUpdate(nonlinearity=-1.0), "nonlinearity"),
        (lambda: AnalyticUpdate(noise_law="constant"), "independent"),
        (lambda: AnalyticUpdate(low=1.0, high=0.5), "high"),
        (lambda: AnalyticUpdate(levels=1), "levels"),
        (lambda: LookupUpdate(()), "read_tables"),
        (lambda: LookupUpdate(_table(), low=0.9, high=0.1), "high"),
        (lambda: LookupUpdate(_table(), grid=(1, 5)), "grid"),
        (lambda: ConstantStep(slope_up=1.0), "linear_step"),
        (lambda: ConstantStep(low=0.1), "low"),
        (lambda: ConstantStep(corrupt=2.0), "corrupt"),
        (lambda: PiecewiseStep(nodes_up=(1.0, 1.0, 1.0)), "nodes_down"),
        (lambda: Cells(IdealUpdate(), (2, 2), [0], "x", pulses="counted"), "fractional"),
    ],
)
def test_what_no_device_is_is_said(make: Any, words: str) -> None:
    """Naming the parameter, or what to take."""
    with pytest.raises(ParameterError, match=words):
        make()


@pytest.mark.parametrize("start", [0.4, -0.4])
def test_a_matched_pair_settles_at_zero(start: float) -> None:
    """Whatever the asymmetry of its devices: the pair's response is odd in the weight."""
    settings = ArraySettings(model=LookupUpdate(_table(irregular=True), write_noise=False), dtype="float64")
    array = weight_array(settings, (1, 1), 1.0, (1,), "pair")
    array.set(np.full((1, 1, 1), start))
    one = np.ones((1, 1, 1))
    for _ in range(20_000):
        array.update(one, one, 0.01)
        array.update(-one, one, 0.01)
    assert abs(array.read()[0, 0, 0]) < 0.01
