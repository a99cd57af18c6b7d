"""Nonlinear cells on resistive wires: Newton's method against the linear solvers and a brute-force root finder."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from crossohm import CrossOhmError
from crossohm.circuits.grid import Wires, cell_currents, effective_matrix, ladder_currents

RNG = np.random.default_rng(21)
WIRES = [Wires(0.02, 0.05), Wires(0.02, 0.05, 0.1, 0.2), Wires(0.02, 0), Wires(0, 0.05, 0.1), Wires(0, 0, 0.1, 0.2)]


def ohm(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    return g * v


def cubic(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    return g * (v + 0.5 * v**3)


def even(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    return g * v + 0.2 * g**2 * v**2


@pytest.mark.parametrize("signs", [1, 2])
@pytest.mark.parametrize("wires", WIRES)
def test_linear_cells_give_the_linear_networks(signs: int, wires: Wires) -> None:
    g, v = RNG.uniform(0, 1, (signs, 5, 7)), RNG.uniform(-1, 1, 7)
    found = cell_currents(g, v, wires, ohm).sum(axis=(0, 2))
    np.testing.assert_allclose(found, effective_matrix(g, wires) @ v, rtol=0, atol=1e-10)
    bits = np.sign(v) * (RNG.random(7) < 0.6)
    for unused_at in ("top", "bottom"):
        gated = cell_currents(g, bits, wires, ohm, True, 3, unused_at).sum(axis=(0, 2))
        np.testing.assert_allclose(gated, ladder_currents(g, bits[None], wires, 3, unused_at)[0], rtol=0, atol=1e-10)


def test_one_cell_is_a_scalar_equation() -> None:
    wires = Wires(0.1, 0.3, 0.2, 0.4)
    for law in (cubic, even):
        for v in (0.9, -0.7):
            current = cell_currents(np.array([[[0.8]]]), np.array([v]), wires, law)[0, 0, 0]
            root = brentq(lambda i, v=v, law=law: law(np.array(0.8), np.array(v - i)) - i, -3, 3, xtol=1e-14)
            assert current == pytest.approx(root, abs=1e-11)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("law", [cubic, even])
@pytest.mark.parametrize("wires", WIRES)
def test_kirchhoff_and_the_cell_law_hold(gated: bool, law: object, wires: Wires) -> None:
    """Voltages rebuilt from the currents alone (Ohm's law along every wire) give those currents back."""
    g, v = RNG.uniform(0.1, 1, (2, 4, 6)), RNG.uniform(-1, 1, 6)
    i = cell_currents(g, v, wires, law, gated)  # type: ignore[arg-type]
    net = i.sum(axis=0)
    below = np.cumsum(net, axis=1)  # carried by the segment after each cell of an output line
    rise = wires.output * np.cumsum(below[:, ::-1], axis=1)[:, ::-1] + wires.output_end * below[:, -1:]
    sign = np.array([1.0, -1.0])[:, None, None]
    if gated:  # supply lines run beside the output lines
        carried = np.cumsum(i[:, :, ::-1], axis=2)[:, :, ::-1]
        drop = wires.input * np.cumsum(carried, axis=2) + wires.input_end * carried[:, :, :1]
    else:
        carried = np.cumsum(i[:, ::-1], axis=1)[:, ::-1]
        drop = wires.input * np.cumsum(carried, axis=1) + wires.input_end * carried[:, :1]
    across = sign * v - drop - rise
    np.testing.assert_allclose(law(g, across), i, rtol=0, atol=1e-9)  # type: ignore[operator]


def test_no_solution_is_an_error_with_size_and_resistances() -> None:
    def jump(g: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.where(v > 0.4, 1.0, -1.0) + 0 * g

    with pytest.raises(CrossOhmError, match=r"2 outputs x 3 inputs.*input=0\.5"):
        cell_currents(np.ones((1, 2, 3)), np.ones(3), Wires(0.5, 0.5), jump)
