"""The six generic models: which roles they declare, and equal numbers in every array library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossohm._random import ChipDraw
from crossohm.devices import DEVICES, Cell, CubicDevice

CELL = Cell(r_min=1e4, rho=0.1, v_read=1.0, magnitude=0.07)
DEPENDENCES = ("Independent", "Proportional", "InverseProportional")
SHAPE = (17, 23)


def states(dtype: str) -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE).astype(dtype)


def in_library(library: str, g: np.ndarray) -> Any:
    if library == "torch":
        return pytest.importorskip("torch").as_tensor(g)
    if library == "tensorflow":
        return pytest.importorskip("tensorflow").constant(g)
    return pytest.importorskip("jax").numpy.asarray(g)


LIBRARIES = [("torch", "float32"), ("torch", "float64"), ("jax", "float32"), ("tensorflow", "float32")]


@pytest.mark.parametrize("dependence", DEPENDENCES)
def test_only_gaussian_noise_has_a_standard_deviation(dependence: str) -> None:
    normal, uniform = (DEVICES.create(f"{law}{dependence}Device", "") for law in ("Normal", "Uniform"))
    assert normal.has_gaussian_read_noise
    assert uniform.models("read_noise")
    assert not uniform.has_gaussian_read_noise
    assert not normal.models("drift_error")
    assert not uniform.models("nonlinear_IV")


@pytest.mark.parametrize("law", ["Normal", "Uniform"])
def test_the_three_dependences(law: str) -> None:
    """Same draw, so the errors e, g e and e/g stand in these ratios."""
    g = np.array([0.0, 0.25, 0.5, 1.0])
    plain, grows, shrinks = (
        DEVICES.create(f"{law}{dependence}Device", "").programming_error(g, CELL, ChipDraw(np.random.default_rng(5)))
        - g
        for dependence in DEPENDENCES
    )
    np.testing.assert_allclose(grows, plain * g, atol=1e-15)
    np.testing.assert_allclose(shrinks[1:], plain[1:] / g[1:], atol=1e-15)
    assert shrinks[0] == 0


@pytest.mark.parametrize(("library", "dtype"), LIBRARIES)
@pytest.mark.parametrize("law", ["Normal", "Uniform"])
@pytest.mark.parametrize("dependence", DEPENDENCES)
@pytest.mark.parametrize("role", ["programming_error", "read_noise"])
def test_every_library_bit_for_bit(library: str, dtype: str, law: str, dependence: str, role: str) -> None:
    """Sums, products and one quotient: IEEE arithmetic leaves nothing to differ."""
    g = states(dtype)
    method = getattr(DEVICES.create(f"{law}{dependence}Device", ""), role)
    ours = method(in_library(library, g), CELL, ChipDraw(np.random.default_rng(2)))
    assert np.array_equal(np.asarray(ours), method(g, CELL, ChipDraw(np.random.default_rng(2))))


@pytest.mark.parametrize(("library", "dtype"), LIBRARIES)
def test_polynomial_current_bit_for_bit(library: str, dtype: str) -> None:
    g, v = states(dtype), 2 * states(dtype) - 1
    expected = CubicDevice().current(g, v, CELL)
    assert np.array_equal(
        np.asarray(CubicDevice().current(in_library(library, g), in_library(library, v), CELL)), expected
    )
