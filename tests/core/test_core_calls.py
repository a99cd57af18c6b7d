"""What a product costs apart from its arithmetic: how many functions it calls, which no clock has to tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from core_hardware import core_on

from crossohm import AnalogCore, ShapeError

A = np.random.default_rng(5).uniform(-1, 1, (6, 5))
X, Z = np.linspace(-1, 1, 5), np.linspace(-1, 1, 6)
CONVERTERS = {
    f"xbar.{side}.{operation}.{name}": value
    for operation in ("mvm", "vmm")
    for side, model in (("dac", "SignMagnitudeDAC"), ("adc", "QuantizerADC"))
    for name, value in (("model", model), ("bits", 8))
} | {"xbar.adc.mvm.adc_range_option": "MAX", "xbar.adc.vmm.adc_range_option": "MAX"}
HARDWARE: dict[str, dict[str, Any]] = {
    "pairs": {},
    "offset": {"core.style": "OFFSET"},
    "unit line": {"core.style": "OFFSET", "core.offset.style": "UNIT_COLUMN_SUBTRACTION"},
    "complex": {"core.complex_matrix": True},
    "read noise": {
        "xbar.device.read_noise.enable": True,
        "xbar.device.read_noise.model": "NormalProportionalDevice",
        "xbar.device.read_noise.magnitude": 0.01,
    },
}
PRODUCTS: dict[str, Callable[[AnalogCore], object]] = {
    "core @ x": lambda core: core @ X,
    "x @ core": lambda core: Z @ core,
    "core.T @ x": lambda core: core.T @ Z,
    "view @ x": lambda core: core[1:4, :3] @ X[:3],
    "row @ x": lambda core: core[2] @ X,
    "core @ matrix": lambda core: core @ np.stack([X, X], axis=1),
}


def calls(function: Callable[[], object]) -> int:
    """Python and built-in functions called."""
    count = 0

    def seen(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("name", HARDWARE)
def test_a_product_through_converters_has_few_fixed_costs(name: str, product: str) -> None:
    core = core_on(A, CONVERTERS, HARDWARE[name])
    PRODUCTS[product](core)  # lowers
    assert calls(lambda: PRODUCTS[product](core)) <= 190  # 224 to 297 where nothing is remembered between products


def test_a_kept_view_follows_what_is_written() -> None:
    core = core_on(A)
    view, transposed = core[1:4], core.T
    for matrix in (A, -A, 0.5 * A[::-1]):
        core.set_matrix(matrix)
        np.testing.assert_allclose(view @ X, matrix[1:4] @ X, atol=1e-13)
        np.testing.assert_allclose(transposed @ Z, Z @ matrix, atol=1e-13)


@pytest.mark.parametrize("changes", [{}, CONVERTERS], ids=["ideal", "converters"])
def test_products_beside_a_profile_are_the_same(changes: dict[str, Any]) -> None:
    core = core_on(A, changes)
    first = core @ X
    with core.profile() as seen:
        inside = core @ X
    assert seen.inputs["mvm"].total == X.size
    after = [core @ X for _ in range(3)]
    np.testing.assert_allclose([inside, *after], [first] * 4, rtol=0, atol=1e-13)
    assert calls(lambda: core @ X) < (70 if changes else 10)  # goes straight to the plan, or the matrix, again


@pytest.mark.parametrize("name", HARDWARE)
def test_single_vectors_are_columns_of_batches_and_follow_writes(name: str) -> None:
    core, other = (core_on(A, CONVERTERS, HARDWARE[name]) for _ in range(2))
    for factor in (1.0, -0.5):
        for one in (core, other):
            one.set_matrix(factor * A)
        for x in (X, -X, X.astype(np.float32), np.arange(5)):
            for _ in range(2):
                single, batch = core @ x, other @ x[:, np.newaxis]
                assert single.dtype == batch.dtype
                np.testing.assert_allclose(single, batch[:, 0], rtol=1e-6, atol=1e-12)
        with pytest.raises(ShapeError):
            core @ X[:4]
