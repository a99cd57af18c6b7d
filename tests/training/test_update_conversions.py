"""Models as tables, tables as steps, and formulas fitted to tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from crossohm.errors import ParameterError, UnsupportedError
from crossohm.training.arrays.cells import Cells
from crossohm.training.described import description_of, device_presets, update_model_of
from crossohm.training.tables import PulseTable, read_table
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.converting import piecewise_of, soft_bounds_of, table_of
from crossohm.training.updates.fitting import KINDS, fit_table
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.lookup import LookupUpdate
from crossohm.training.updates.model import UpdateModel
from crossohm.training.updates.pulsed import LinearStep, PiecewiseStep, PowStep, SoftBounds

_ALIKE = {"step_spread": 0.0, "asymmetry_spread": 0.0, "bound_spread": 0.0, "low": -1.0, "high": 1.0}


@pytest.mark.parametrize(
    "model",
    [
        AnalyticUpdate(nonlinearity=2.0, write_noise=0.02),
        SoftBounds(step_size=0.01, cycle_noise=0.3, asymmetry=0.2, **_ALIKE),
        PowStep(step_size=0.01, cycle_noise=0.3, power_up=2.0, **_ALIKE),
    ],
)
def test_a_model_and_its_table_take_the_same_steps(model: UpdateModel) -> None:
    """Mean and spread of a pulse, at states of the window."""
    size = 0.01 * model.window.width
    table = table_of(model, pulse=size, columns=201)
    device = LookupUpdate(table, low=0.0, high=1.0)
    fractions = np.linspace(0.1, 0.9, 9)
    w = model.window.floor + fractions * model.window.width
    v = device.window.floor + fractions * (device.window.ceiling - device.window.floor)
    scale = (device.window.ceiling - device.window.floor) / model.window.width
    wanted = model.moments(w, {name: of[:9] for name, of in model.devices((9,), np.random.default_rng(0)).items()})
    program = device.compiled()
    found = device.moments(v, {})
    up, down = 1 / np.abs(program.grids[0, 2:])  # one average pulse, in states of the table
    np.testing.assert_allclose(found.mean_up * up, wanted.mean_up * size * scale, rtol=0.02)
    np.testing.assert_allclose(found.mean_down * down, wanted.mean_down * size * scale, rtol=0.02)
    np.testing.assert_allclose(found.variance_up * up, wanted.variance_up * size * scale**2, rtol=0.05)


def test_a_table_as_steps_has_its_means(shared: Path) -> None:
    """At the nodes, in units of half the range."""
    table = read_table(shared / "data" / "lut" / "ENODe")
    model = piecewise_of(table, nodes=48)
    w = np.linspace(-1, 1, 48)
    moments = model.moments(w, model.devices((48,), np.random.default_rng(0)))
    unit = 2 / (table.g[-1] - table.g[0])
    np.testing.assert_allclose(moments.mean_up * model.pulse, table.mean_up * unit, rtol=1e-5)
    np.testing.assert_allclose(moments.mean_down * model.pulse, table.mean_down * unit, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("soft_bounds", SoftBounds(step_size=0.01, cycle_noise=0.2, asymmetry=0.3, **_ALIKE)),
        ("linear_step", LinearStep(step_size=0.01, cycle_noise=0.2, slope_up=0.4, slope_down=0.7, **_ALIKE)),
        ("pow_step", PowStep(step_size=0.01, cycle_noise=0.2, power_up=1.6, power_down=0.8, asymmetry=-0.2, **_ALIKE)),
    ],
)
def test_a_formula_is_found_again(kind: str, model: UpdateModel) -> None:
    """Its steps, with a fit that says it is right; the noise too."""
    fit = fit_table(table_of(model, columns=201), kind)
    assert fit.r_squared > 0.9999
    w = np.linspace(-0.8, 0.8, 5)
    devices = [of.devices((5,), np.random.default_rng(0)) for of in (model, fit.model)]
    wanted, found = (of.moments(w, each) for of, each in zip((model, fit.model), devices, strict=True))
    np.testing.assert_allclose(found.mean_up, wanted.mean_up * model.pulse / fit.model.pulse, rtol=0.01)
    np.testing.assert_allclose(found.mean_down, wanted.mean_down * model.pulse / fit.model.pulse, rtol=0.01)


def test_the_analytic_model_is_found_again() -> None:
    """By the strength of its nonlinearity."""
    model = AnalyticUpdate(nonlinearity=2.0, write_noise=0.01)
    fit = fit_table(table_of(model, pulse=0.005), "analytic")
    assert isinstance(fit.model, AnalyticUpdate)
    assert fit.model.nonlinearity == pytest.approx(2.0, rel=0.01)
    assert fit.model.write_noise == pytest.approx(0.01, rel=0.1)


def test_measured_devices_are_fitted_better_or_worse(shared: Path) -> None:
    """No formula explains TaOx's steep steps as well as it does ENODe's."""
    tables = {name: read_table(shared / "data" / "lut" / name) for name in ("ENODe", "TaOx_1")}
    best = {name: max(fit_table(table, kind).r_squared for kind in KINDS) for name, table in tables.items()}
    assert best["ENODe"] > 0.8
    assert all(-1 < fit_table(tables["TaOx_1"], kind).r_squared <= 1 for kind in KINDS)


@pytest.mark.parametrize(("lowest", "highest"), [(-1.0, 1.0), (-0.4, 0.9), (-0.9, 0.3)])
def test_soft_bounds_follow_the_pulse_trains_they_were_read_off(lowest: float, highest: float) -> None:
    """From one end to the other in as many pulses, up and down, along the curves."""
    pulses, rate = 200, 0.01
    cells = Cells(soft_bounds_of(lowest, highest, pulses=pulses, rate=rate), (1, 1), [0], "train", dtype=np.float64)
    p, reach = np.arange(1, pulses + 1), (highest - lowest) / (1 - np.exp(-rate * pulses))
    for start, sign in ((lowest, 1), (highest, -1)):
        cells.set(np.full((1, 1, 1), start))
        found = []
        for _ in p:
            cells.write(np.full((1, 1, 1), sign * cells.model.pulse))
            found.append(cells.state.item())
        np.testing.assert_allclose(found, start + sign * reach * (1 - np.exp(-rate * p)), atol=1e-6)
    assert found[-1] == pytest.approx(lowest, abs=1e-6)
    with pytest.raises(ParameterError, match="highest"):
        soft_bounds_of(highest, lowest, pulses=pulses, rate=rate)
    with pytest.raises(ParameterError, match="enclose 0"):
        soft_bounds_of(lowest + 5, highest + 5, pulses=pulses, rate=rate)


def test_a_description_gives_the_model_back() -> None:
    """Of presets, of own parameters and of curves; of tables only a path does."""
    models = [update_model_of(name) for name in device_presets()]
    models += [AnalyticUpdate(nonlinearity=2.0), PiecewiseStep(nodes_up=(2.0, 1.0, 0.5), nodes_down=(1.0, 1.0, 2.0))]
    for model in models:
        assert update_model_of(json.loads(json.dumps(description_of(model)))) == model
    assert description_of(AnalyticUpdate(nonlinearity=2.0)) == {"model": "analytic", "nonlinearity": 2.0}
    with pytest.raises(UnsupportedError, match="path"):
        description_of(LookupUpdate(table_of(SoftBounds(**_ALIKE))))


def test_what_cannot_be_converted_is_said() -> None:
    """With what to give."""
    with pytest.raises(UnsupportedError, match="pulse="):
        table_of(IdealUpdate())
    table = table_of(SoftBounds(**_ALIKE))
    assert isinstance(table, PulseTable)
    with pytest.raises(ParameterError, match="soft_bounds"):
        fit_table(table, "softbounds")
    with pytest.raises(ParameterError, match="nodes"):
        piecewise_of(table, nodes=1)
