"""A few vectors on an array with wires, by conjugate gradients: the right currents, in a known number of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossohm import CrossOhmError
from crossohm.circuits.grid import DrivenNetwork, Wires, conjugate, effective_matrix, elimination_work, grid_state

RNG = np.random.default_rng(17)
SHAPES = [(1, 1, 1), (1, 1, 7), (1, 6, 1), (1, 9, 5), (1, 12, 30), (2, 1, 1), (2, 8, 11), (2, 20, 3)]
WIRES = {
    "none": Wires(),
    "faint": Wires(1e-7, 3e-7, 1e-6, 2e-6),
    "usual": Wires(1e-4, 2e-4, 3e-3, 1e-3),
    "strong": Wires(2e-2, 1e-2, 5e-2, 8e-2),
    "extreme": Wires(1.0, 3.0, 10.0, 0.0),
    "inputs only": Wires(input=1e-2, input_end=1e-2),
    "outputs only": Wires(output=1e-2, output_end=1e-2),
    "ends only": Wires(input_end=5e-2, output_end=3e-2),
    "very unequal": Wires(1e-8, 0.5, 0.0, 0.1),
}


def cells(shape: tuple[int, int, int]) -> np.ndarray:
    """Conductances from 0 to 1, some of them exactly 0."""
    g = RNG.uniform(0, 1, shape)
    return np.asarray(np.where(RNG.uniform(size=shape) < 0.2, 0.0, g))


@pytest.mark.parametrize("wires", WIRES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_currents_are_those_of_the_elimination_and_of_the_nodes(
    shape: tuple[int, int, int], wires: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    g, v = cells(shape), RNG.uniform(-1, 1, (4, shape[2]))
    expected = v @ effective_matrix(g, WIRES[wires]).T
    nodal = np.stack([grid_state(g, one, WIRES[wires], lambda g, v: g * v).current.sum(axis=(0, 2)) for one in v])
    monkeypatch.setattr(conjugate, "effective_matrix", None)  # it has to manage by itself
    found = DrivenNetwork(g, WIRES[wires]).currents(v)
    scale = np.abs(v).max() * g.sum(axis=(0, 2)).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11 * scale)
    np.testing.assert_allclose(found, nodal, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("wires", WIRES)
def test_the_bound_on_the_steps_holds(wires: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g, v = cells((1, 25, 40)), RNG.uniform(-1, 1, (3, 40))
    network = DrivenNetwork(g, WIRES[wires])
    steps = network.work / (g.size * (25 + 40 + conjugate._STEP_PER_CELL) + conjugate._STEP)
    assert steps == round(steps)
    monkeypatch.setattr(conjugate, "MOST_STEPS", int(steps))
    monkeypatch.setattr(conjugate, "effective_matrix", None)
    assert np.all(np.isfinite(network.currents(v)))


def test_a_vector_does_not_depend_on_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    g = cells((1, 12, 15))
    v = RNG.uniform(-1, 1, (9, 15)) * 10.0 ** np.arange(-4, 5)[:, np.newaxis]
    v[3] = 0.0
    network = DrivenNetwork(g, WIRES["strong"])
    together = network.currents(v)
    np.testing.assert_array_equal(together[3], 0.0)
    alone = np.concatenate([network.currents(one[np.newaxis]) for one in v])
    np.testing.assert_allclose(alone, together, rtol=1e-12)
    monkeypatch.setattr(conjugate, "BLOCK_ELEMENTS", 2 * g.size)  # two vectors at a time
    np.testing.assert_allclose(network.currents(v), together, rtol=1e-12)
    assert network.currents(v[:0]).shape == (0, 12)


def test_an_array_without_conductance_carries_no_current() -> None:
    np.testing.assert_array_equal(DrivenNetwork(np.zeros((1, 3, 4)), WIRES["strong"]).currents(np.ones((2, 4))), 0.0)


@pytest.mark.parametrize(("name", "value"), [("MOST_STEPS", 2), ("RESIDUAL", -1.0)])
def test_what_is_not_solved_is_eliminated(name: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    g, v = cells((2, 9, 7)), RNG.uniform(-1, 1, (4, 7))
    expected = v @ effective_matrix(g, WIRES["strong"]).T
    monkeypatch.setattr(conjugate, name, value)
    np.testing.assert_allclose(DrivenNetwork(g, WIRES["strong"]).currents(v), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_impossible_conductances_are_left_to_the_elimination(value: float) -> None:
    g = cells((1, 4, 5))
    g[0, 1, 2] = value
    network = DrivenNetwork(g, WIRES["usual"])
    assert network.work == np.inf
    if not np.isfinite(value):
        with pytest.raises(CrossOhmError, match="4 outputs x 5 inputs"), np.errstate(invalid="ignore"):
            network.currents(np.ones((1, 5)))


def test_long_lines_are_left_to_the_elimination(monkeypatch: pytest.MonkeyPatch) -> None:
    network = DrivenNetwork(cells((1, 4, 9)), WIRES["usual"])
    assert network.work < np.inf
    monkeypatch.setattr(conjugate, "LONGEST_LINE", 8)
    assert network.work == np.inf


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 64, 32), (1, 256, 256), (1, 64, 1152), (1, 1152, 64)], ids=str)
def test_work_grows_with_what_has_to_be_done(shape: tuple[int, int, int]) -> None:
    signs, outputs, inputs = shape
    works: list[Any] = [DrivenNetwork(cells(shape), Wires(r, r)).work for r in (1e-6, 1e-4, 1e-2)]
    assert works == sorted(works)
    one, four = (elimination_work(shape, WIRES["usual"], arrays) for arrays in (1, 4))
    assert one < four < 4 * one  # arrays of one size share what each line costs
    assert works[0] < one  # a single vector on weak wires is not worth an elimination
    for wires in (WIRES["inputs only"], WIRES["outputs only"], WIRES["none"]):
        assert elimination_work(shape, wires, 1) <= signs * outputs * inputs  # lines by themselves: a few passes
