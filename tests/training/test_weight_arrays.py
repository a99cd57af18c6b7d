"""Laws of weights on cells: what is read, what a write does, what interfaces and noise do, in both directions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossohm.circuits.grid import Wires
from crossohm.errors import DataError, ParameterError, ShapeError
from crossohm.training.arrays.interfaces import PRESETS, Interface, Interfaces, smallest_update
from crossohm.training.arrays.reads import ReadNoise
from crossohm.training.arrays.settings import WEIGHTS, ArraySettings
from crossohm.training.arrays.weights import WeightArray, weight_array
from crossohm.training.tables.table import PulseTable
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.lookup import LookupUpdate

SHAPE = 5, 7
RNG = np.random.default_rng(3)
W = RNG.uniform(-0.9, 0.9, size=(2, *SHAPE))
X = RNG.normal(size=(2, 4, SHAPE[1]))
P = RNG.normal(size=(2, 4, SHAPE[0]))


def _array(limit: float = 1.0, seeds: tuple[int, ...] = (1, 2), **changes: Any) -> WeightArray:
    array = weight_array(ArraySettings(dtype="float64", **changes), SHAPE, limit, seeds, "fc")
    array.set(W[: len(seeds)])
    return array


@pytest.fixture(params=WEIGHTS)
def weights(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("subtraction", ["analog", "digital"])
def test_reads_are_products_in_both_directions(weights: str, subtraction: str) -> None:
    array = _array(weights=weights, subtraction=subtraction)
    np.testing.assert_allclose(array.read(), W, atol=1e-14)
    np.testing.assert_allclose(array.forward(X), X @ W.transpose(0, 2, 1), atol=1e-13)
    np.testing.assert_allclose(array.backward(P), P @ W, atol=1e-13)


@pytest.mark.parametrize("arithmetic", ["exact", "sequential", "moments"])
def test_an_ideal_device_adds_what_is_asked_for(weights: str, arithmetic: str) -> None:
    array = _array(10.0, weights=weights, arithmetic=arithmetic)
    array.update(P, X, 0.1)
    np.testing.assert_allclose(array.read(), W + 0.1 * P.transpose(0, 2, 1) @ X, atol=1e-13)
    array.burst(W, -1.0)
    np.testing.assert_allclose(array.read(), 0.1 * P.transpose(0, 2, 1) @ X, atol=1e-13)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_writes_that_meet_a_limit_are_done_in_order(weights: str, noise: float) -> None:
    """Sums of writes leave devices that may reach their limits to writes one after the other."""
    model = AnalyticUpdate(write_noise=noise)
    at_once, in_order = (_array(1.0, weights=weights, model=model, arithmetic=a) for a in ("exact", "sequential"))
    for array in (at_once, in_order):
        array.update(P, X, 0.3)
    window = model.window
    assert at_once.cells.state.min() >= window.floor
    assert at_once.cells.state.max() <= window.ceiling
    if not noise:
        np.testing.assert_allclose(at_once.read(), in_order.read(), atol=1e-13)
        assert np.any(at_once.cells.state == window.ceiling)


def test_noise_of_a_sum_of_writes_is_that_of_the_writes() -> None:
    model = AnalyticUpdate(write_noise=0.02)
    settings = ArraySettings(model, dtype="float64")
    rows, columns = np.ones((1, 8, 40)), np.ones((1, 8, 50)) * np.array([1, -1] * 4)[:, None]
    spread = {}
    for arithmetic in ("exact", "sequential"):
        array = weight_array(replace(settings, arithmetic=arithmetic), (40, 50), 1.0, [1], "fc")
        array.update(rows, columns, 0.02)
        assert abs(array.read().mean()) < 1e-3
        spread[arithmetic] = array.read().std()
    assert spread["exact"] == pytest.approx(spread["sequential"], rel=0.06)
    wanted = 0.02 * np.sqrt(8 * 0.02 * array.unit * model.window.width) / np.sqrt(2) / array.unit
    assert spread["exact"] == pytest.approx(wanted, rel=0.06)


def test_moments_agree_with_writes_in_order_to_first_order() -> None:
    """The means of both part with the square of the step."""
    error = {}
    for lr in (0.02, 0.01):
        found = []
        for arithmetic in ("moments", "sequential"):
            array = _array(2.0, model=AnalyticUpdate(nonlinearity=1.0), arithmetic=arithmetic, seeds=(1,))
            array.update(P[:1], X[:1], lr)
            found.append(array.read())
        error[lr] = np.abs(found[0] - found[1]).max()
    assert 0 < error[0.01] < 0.4 * error[0.02]


def test_steep_steps_are_split_down_to_single_writes() -> None:
    found = []
    for arithmetic in ("moments", "sequential"):
        array = _array(1.0, model=AnalyticUpdate(nonlinearity=8.0), arithmetic=arithmetic)
        array.update(P, X, 0.5)
        found.append(array.read())
    np.testing.assert_array_equal(found[0], found[1])


def test_a_replica_is_what_it_is_alone(weights: str) -> None:
    model = AnalyticUpdate(nonlinearity=1.0, write_noise=0.1)
    changes: dict[str, Any] = {"weights": weights, "model": model, "read_noise": ReadNoise(0.02)}
    both, second = _array(seeds=(1, 2), **changes), _array(seeds=(2,), **changes)
    second.set(W[1:])
    for array, x, p in ((both, X, P), (second, X[1:], P[1:])):
        array.update(p, x, 0.05)
        array.burst(np.full((array.replicas, *SHAPE), 0.01))
    np.testing.assert_array_equal(both.read()[1:], second.read())
    np.testing.assert_array_equal(both.forward(X)[1:], second.forward(X[1:]))
    np.testing.assert_array_equal(both.backward(P)[1:], second.backward(P[1:]))


def test_ranges_that_nothing_reaches_are_no_ranges(weights: str) -> None:
    found = []
    for interfaces in (Interfaces(), Interfaces.preset("NONE")):
        array = _array(weights=weights, interfaces=interfaces)
        array.update(P, X, 0.01)
        found.append([array.read(), array.forward(X), array.backward(P)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_converter_rounds_to_its_levels() -> None:
    three_bits = Interface(1.0, 3)
    values = np.linspace(-1.5, 1.5, 301)
    found = three_bits.convert(values, _no_draw)
    np.testing.assert_allclose(np.unique(found), np.arange(-3, 4) / 3)
    inside = np.abs(values) <= 1
    assert np.abs(found - values)[inside].max() <= 1 / 6 + 1e-12
    rng = np.random.default_rng(0)
    stochastic = replace(three_bits, stochastic=True).convert(np.full(100_000, 0.4), rng.random)
    assert set(np.round(stochastic, 9)) == {round(1 / 3, 9), round(2 / 3, 9)}
    assert stochastic.mean() == pytest.approx(0.4, abs=3e-3)


def _no_draw(shape: tuple[int, ...]) -> Any:
    raise AssertionError(shape)


def test_learning_rates_are_not_rounded() -> None:
    interfaces = Interfaces(row_update=Interface(1.0, 4), column_update=Interface(1.0, 4))
    array = _array(interfaces=interfaces)
    array.set(np.zeros(SHAPE))
    lr = 1e-3
    array.update(np.full((2, 1, 5), 1 / 7), np.full((2, 1, 7), 1 / 7), lr)
    np.testing.assert_allclose(array.read(), lr / 49, rtol=1e-9)
    assert smallest_update(interfaces.row_update, interfaces.column_update, lr, 1.0) == pytest.approx(lr / 49 / 2)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_keep_reads_in_range(preset: str, weights: str) -> None:
    interfaces = Interfaces.preset(preset, stochastic_updates=True)
    array = _array(weights=weights, interfaces=interfaces)
    assert np.abs(array.forward(100 * X)).max() <= interfaces.row_output.limit
    assert np.abs(array.backward(100 * P)).max() <= interfaces.column_output.limit
    array.update(P, X, 0.01)
    assert np.isfinite(array.read()).all()


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("law", ["additive", "proportional", np.sqrt])
def test_noise_of_outputs_is_that_of_the_devices(weights: str, direction: str, law: Any) -> None:
    """Drawn per output and drawn per device have the same variances."""
    size = {"forward": 7, "backward": 5}[direction]
    x = np.broadcast_to(np.random.default_rng(1).normal(size=size), (1, 4000, size))
    deviation = 0.0 if callable(law) else 0.05
    spreads = []
    for distribution in ("normal", "uniform", "telegraph"):
        noise = ReadNoise(deviation, (lambda w: 0.05 * np.sqrt(w)) if callable(law) else law, distribution)
        array = _array(weights=weights, seeds=(1,), read_noise=noise)
        spreads.append(getattr(array, direction)(x).std(axis=1))
    np.testing.assert_allclose(spreads[1], spreads[0], rtol=0.08)
    np.testing.assert_allclose(spreads[2], spreads[0], rtol=0.08)


def test_devices_can_be_read_within_their_range() -> None:
    noise = ReadNoise(3.0, within_range=True)
    array = _array(seeds=(1,), read_noise=noise)
    one_hot = np.broadcast_to(np.eye(7)[0], (1, 300, 7))
    assert np.abs(array.forward(one_hot)).max() <= 1 + 1e-12


def test_wires_are_one_network_in_both_directions(weights: str) -> None:
    """By reciprocity the network that is driven from its rows is the transposed one; weak wires are none."""
    ideal = _array(weights=weights)
    weak = _array(weights=weights, wires=Wires(1e-9, 1e-9))
    np.testing.assert_allclose(weak.forward(X), ideal.forward(X), atol=1e-6)
    np.testing.assert_allclose(weak.backward(P), ideal.backward(P), atol=1e-6)
    wired = _array(weights=weights, wires=Wires(1e-3, 2e-3))
    error = np.abs(wired.forward(X) - ideal.forward(X)).max()
    assert error > 1e-3
    if weights == "balanced":
        met = wired.forward(np.broadcast_to(np.eye(7), (2, 7, 7)))
        np.testing.assert_allclose(wired.backward(np.broadcast_to(np.eye(5), (2, 5, 5))), met.transpose(0, 2, 1))
    wired.set(W / 2)
    assert not np.allclose(wired.forward(X), ideal.forward(X), atol=1e-3)


def test_arrays_go_on_from_a_saved_state(weights: str) -> None:
    changes: dict[str, Any] = {
        "weights": weights,
        "model": AnalyticUpdate(nonlinearity=1.0, write_noise=0.1),
        "read_noise": ReadNoise(0.02),
        "interfaces": Interfaces.preset("RELU", stochastic_updates=True),
    }
    one, other = _array(**changes), _array(**changes)
    one.update(P, X, 0.05)
    one.forward(X)
    other.load_state_dict(one.state_dict())
    for array in (one, other):
        array.update(P, X, 0.05)
    np.testing.assert_array_equal(one.forward(X), other.forward(X))
    np.testing.assert_array_equal(one.read(), other.read())
    with pytest.raises(DataError, match="reads"):
        other.load_state_dict({})


def test_what_an_array_is_can_be_read() -> None:
    text = _array(interfaces=Interfaces.preset("RELU"), model=AnalyticUpdate(nonlinearity=1.0)).explain()
    for words in ("balanced", "AnalyticUpdate", "±10 7 bits", "one after the other"):
        assert words in text
    assert "at once by one product" in _array(model=IdealUpdate()).explain()
    assert "approximate" in _array(model=IdealUpdate(), arithmetic="moments").explain()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ParameterError, match="balanced"):
        ArraySettings(weights="balance")
    with pytest.raises(ParameterError, match="model"):
        ArraySettings(model="ideal")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="physics of each write"):
        ArraySettings(IdealUpdate(levels=8), arithmetic="moments")
    with pytest.raises(ParameterError, match="one level"):
        Interface(1.0, 1)
    with pytest.raises(ParameterError, match="need a range"):
        Interface(None, 4)
    with pytest.raises(ParameterError, match="limit"):
        _array(0.0)
    with pytest.raises(ShapeError, match="5 inputs for 7 lines"):
        _array().forward(P)


def _settled(weights: str, pulses: int = 4000) -> tuple[Any, Any]:
    """Mean weight and mean state after many equal requests up and down, from the ends and the middle of the range."""
    array = weight_array(ArraySettings(_lopsided(), weights, dtype="float64"), (30, 3), 1.0, [1], "fc")
    array.set(np.broadcast_to([-0.8, 0.0, 0.8], (1, 30, 3)))
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(1, pulses // 2, 1))
    signs = np.stack([signs, -signs], axis=2).reshape(1, pulses, 1)
    array.update(signs * np.ones(30), np.ones((1, pulses, 3)), 0.02)
    return array.read()[0].mean(axis=0), array.cells.state[0, :30, :3].mean()


def _lopsided() -> LookupUpdate:
    """Steps up shrink on the way up, steps down are the same everywhere; both are alike below the middle."""
    g, cdf = np.linspace(0, 1, 41), np.linspace(0, 1, 17)
    spread = 0.02 * (0.5 + cdf[:, None])
    up, down = spread * (1.3 - g) ** 4, -spread[::-1] * np.full_like(g, 0.5)
    return LookupUpdate([PulseTable(1 + g, cdf, up, down, "lopsided")], low=0.0, high=1.0)


def test_requests_up_and_down_pull_a_device_to_where_its_steps_are_alike() -> None:
    """There the relative steps of both directions are equal; a pair of equal devices holds zero when it is there."""
    model = _lopsided()
    states = np.linspace(model.window.low, model.window.high, 2001)
    moments = model.moments(states, {})
    alike = states[np.abs(moments.mean_up + moments.mean_down).argmin()]
    middle = model.window.middle
    assert abs(alike - middle) > 0.02
    single, state = _settled("offset")
    np.testing.assert_allclose(state, alike, atol=0.01)
    unit = model.window.width / 2
    np.testing.assert_allclose(single, (alike - middle) / unit, atol=0.06)
    pair, state = _settled("balanced")
    np.testing.assert_allclose(state, alike, atol=0.01)
    np.testing.assert_allclose(pair, 0, atol=0.06)


def test_splitting_a_write_changes_nothing_in_its_statistics(weights: str) -> None:
    """One write, or ten of a tenth: the change is small against what steps depend on."""
    found = []
    for parts in (1, 10):
        array = weight_array(ArraySettings(_lopsided(), weights, dtype="float64"), (60, 50), 1.0, [1], "fc")
        array.update(np.full((1, parts, 60), 1e-3 / parts), np.ones((1, parts, 50)), 1.0)
        found.append(array.read())
    assert found[1].mean() == pytest.approx(found[0].mean(), rel=0.1)
    assert found[1].std() == pytest.approx(found[0].std(), rel=0.06)
