"""Partial writes change the addressed cells and nothing else (specification 2.2)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from core_hardware import STYLES, core_on
from hypothesis import given, settings
from hypothesis import strategies as st

from crossohm import AnalogCore, InputError, ShapeError

NOISY = {
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalIndependentDevice",
    "xbar.device.programming_error.magnitude": 0.02,
}
RNG = np.random.default_rng(7)
A = RNG.uniform(-0.9, 0.9, (6, 5))
A[0, 0] = 1.0
EVERY_STYLE = pytest.mark.parametrize("style", list(STYLES))


def conductances(core: AnalogCore) -> np.ndarray:
    """All cells ``(slices, signs, outputs, inputs)``, over blocks with hardware of their own too."""
    return core.blocks[0].record.conductance.copy()


def changed(core: AnalogCore, before: np.ndarray) -> np.ndarray:
    """Cells whose conductance is not bit for bit what it was, per weight."""
    return np.any(conductances(core) != before, axis=(0, 1))


def mask_of(key: Any, shape: tuple[int, int] = (6, 5)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[key] = True
    return mask


KEYS = [
    np.s_[0:2],
    np.s_[2],
    np.s_[:, 3],
    np.s_[1:5:2, ::-2],
    np.s_[4, 4],
    np.s_[-1],
    np.s_[5:0:-2, 1:3],
]


@EVERY_STYLE
@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("split", [{}, {"core.rows_max": 2, "core.cols_max": 4}], ids=["whole", "partitions"])
@pytest.mark.reference_defect("Q11", "Q12", "Q13")
def test_only_addressed_cells_are_written(style: str, key: Any, split: dict[str, Any]) -> None:
    """Untouched cells keep their conductance to the last bit, also in other partitions."""
    core = core_on(A, STYLES[style], NOISY, split)
    before = conductances(core)
    value = np.full(A[key].shape, -0.37)
    core[key] = value
    touched = changed(core, before)
    np.testing.assert_array_equal(touched & ~mask_of(key), False)
    assert np.all(touched[mask_of(key)])
    np.testing.assert_allclose(core.get_matrix()[key], value, atol=0.25)


@pytest.mark.parametrize("bits", [3, 6])
@pytest.mark.reference_defect("Q11")
def test_untouched_cells_are_not_rounded_again(bits: int) -> None:
    """Perturbed cells of a quantised device are not snapped back to the grid."""
    core = core_on(A, {"xbar.device.cell_bits": bits}, NOISY)
    before = conductances(core)
    core[0, 0] = 0.5
    assert not np.any(changed(core, before) & ~mask_of((0, 0)))


@pytest.mark.reference_defect("Q12")
def test_integer_matrices_keep_their_errors() -> None:
    """Reading integers rounds; writing one of them must not write the rounded others."""
    core = core_on(RNG.integers(-100, 100, (6, 5)), NOISY)
    before = conductances(core)
    core[3, 2] = 7
    np.testing.assert_array_equal(changed(core, before), mask_of((3, 2)))


@EVERY_STYLE
@pytest.mark.reference_defect("Q14")
def test_writing_through_a_transpose(style: str) -> None:
    """Row 1 of the transpose is column 1 of the matrix."""
    core = core_on(A, STYLES[style], NOISY)
    before = conductances(core)
    core.T[1] = np.linspace(-0.9, -0.2, 6)
    touched = changed(core, before)
    assert not np.any(touched & ~mask_of(np.s_[:, 1]))
    assert np.all(touched[:, 1])
    np.testing.assert_allclose(core.get_matrix()[:, 1], np.linspace(-0.9, -0.2, 6), atol=0.25)


def test_writing_through_nested_views() -> None:
    core = core_on(A)
    expected = A.copy()
    core[0][1:3] = [0.1, 0.2]
    expected[0][1:3] = [0.1, 0.2]
    core[1:5].T[::2][1:, 0] = 0.3
    expected[1:5].T[::2][1:, 0] = 0.3
    core[::-1, 1:][0:2].set_matrix(np.full((2, 4), -0.4))
    expected[::-1, 1:][0:2] = -0.4
    core[2, 3] = 0.6
    expected[2, 3] = 0.6
    np.testing.assert_allclose(core.get_matrix(), expected, atol=1e-15)


@EVERY_STYLE
@pytest.mark.reference_defect("Q14")
def test_complex_update_writes_all_four_blocks(style: str) -> None:
    """Both images of the real and of the imaginary part get the value and new errors; nothing else does."""
    matrix = A + 1j * A[::-1]
    core = core_on(matrix, STYLES[style], NOISY, {"core.complex_matrix": True})
    before = conductances(core)
    core[1:3, 4] = [0.3 - 0.5j, -0.2 + 0.7j]
    touched = changed(core, before)
    expected = np.tile(mask_of(np.s_[1:3, 4]), (2, 2))
    assert not np.any(touched & ~expected)
    assert np.all(touched[expected])
    np.testing.assert_allclose(core.get_matrix()[1:3, 4], [0.3 - 0.5j, -0.2 + 0.7j], atol=0.35)


def test_complex_update_multiplies_right() -> None:
    matrix = A + 1j * A[::-1]
    core = core_on(matrix, {"core.complex_matrix": True})
    core.T[0:2, 1:3] = [[0.1j, 0.2], [0.3, -0.4j]]
    expected = matrix.copy()
    expected.T[0:2, 1:3] = [[0.1j, 0.2], [0.3, -0.4j]]
    x = RNG.normal(size=5) + 1j * RNG.normal(size=5)
    np.testing.assert_allclose(core @ x, expected @ x, atol=1e-13)
    np.testing.assert_allclose(core.get_matrix(), expected, atol=1e-14)


@settings(max_examples=40)
@given(st.slices(6), st.slices(5), st.booleans(), st.sampled_from([{}, {"core.rows_max": 2, "core.cols_max": 2}]))
def test_updates_read_back_like_numpys(rows: slice, columns: slice, flip: bool, split: dict[str, Any]) -> None:
    core, expected = core_on(A, split), A.copy()
    shape = expected[rows, columns].shape
    value = np.linspace(-0.8, 0.8, int(np.prod(shape))).reshape(shape)
    if flip:
        core.T[columns, rows] = value.T
    else:
        core[rows, columns] = value
    expected[rows, columns] = value
    if 0 not in shape:
        np.testing.assert_allclose(core.get_matrix(), expected, atol=1e-15)
    else:
        np.testing.assert_allclose(core.get_matrix(), A, atol=1e-15)
    x = np.arange(5.0)
    np.testing.assert_allclose(core @ x, expected @ x, atol=1e-13)


def test_values_outside_the_range_are_clipped_with_a_warning() -> None:
    core = core_on(A)
    low, high = core.min, core.max
    with pytest.warns(RuntimeWarning, match="clipped"):
        core[2, 1:3] = [5.0, -5.0]
    np.testing.assert_allclose(core.get_matrix()[2, 1:3], [high, low], atol=1e-15)
    assert (core.min, core.max) == (low, high)


def test_values_at_the_range_do_not_warn() -> None:
    core = core_on(A)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        core[2, 1:3] = [1.0 + 1e-16, -1.0]


def test_update_keeps_the_range_and_a_full_write_renews_it() -> None:
    core = core_on(A)
    core[0, 0] = 0.1  # the largest weight leaves, the range stays
    assert core.max == 1.0
    core[...] = A / 2
    assert core.max == 0.5
    core[0:6] = A
    assert core.max == 1.0
    core.T[:] = (A / 4).T
    np.testing.assert_allclose(core.get_matrix(), A / 4, atol=1e-15)


def test_every_write_draws_new_errors() -> None:
    core = core_on(A, NOISY)
    first = conductances(core)
    core.set_matrix(A)
    assert np.all(changed(core, first))
    second = conductances(core)
    core[1:3] = A[1:3]
    third = conductances(core)
    core[1:3] = A[1:3]
    assert np.all(third[:, :, 1:3] != second[:, :, 1:3])
    assert np.all(conductances(core)[:, :, 1:3] != third[:, :, 1:3])


def test_writes_are_reproducible() -> None:
    twins = [core_on(A, NOISY, seed=5) for _ in range(2)]
    for core in twins:
        core[1:4, 2] = 0.2
        core.T[0] = 0.1
        core.set_matrix(A[::-1])
        core[3] = -0.3
    np.testing.assert_array_equal(conductances(twins[0]), conductances(twins[1]))


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("RampADC", {"sigma_capacitor": 0.05, "sigma_comparator": 0.05}),
        ("SarADC", {"sigma_capacitor": 0.05, "sigma_comparator": 0.05, "group_size": 2}),
        ("PipelineADC", {"sigma_C1": 0.05, "sigma_C2": 0.05, "sigma_comparator": 0.05}),
        ("CyclicADC", {"sigma_C1": 0.05, "sigma_Cpar": 0.05, "sigma_comparator": 0.05}),
    ],
)
@pytest.mark.reference_defect("Q35")
def test_adc_errors_belong_to_the_chip(model: str, fields: dict[str, Any]) -> None:
    """Rewriting, in part or in whole, leaves the converters as they are."""
    adc = {"model": model, "bits": 6, "adc_range_option": "MAX", **fields}
    core = core_on(A, {f"xbar.adc.mvm.{name}": value for name, value in adc.items()})
    drawn = {name: value.copy() for name, value in core.blocks[0].record.mismatch.items()}
    assert drawn
    x = RNG.uniform(-1, 1, (5, 20))
    y = core @ x
    core[0, 0] = -0.5
    core.set_matrix(-A)
    assert not np.array_equal(core @ x, y)
    core.set_matrix(A)
    np.testing.assert_array_equal(core @ x, y)
    for name, value in core.blocks[0].record.mismatch.items():
        np.testing.assert_array_equal(value, drawn[name])


def test_wrong_writes_are_refused_and_change_nothing() -> None:
    core = core_on(A, NOISY)
    before = conductances(core)
    with pytest.raises(ShapeError):
        core[0:2] = np.zeros((3, 5))
    with pytest.raises(ShapeError):
        core.set_matrix(A.T)
    with pytest.raises(InputError):
        core[0] = np.nan
    with pytest.raises(InputError):
        core.set_matrix(np.full((6, 5), np.inf))
    with pytest.raises(InputError):
        core[0] = 1j
    with pytest.raises(InputError):
        core[0] = "a"
    np.testing.assert_array_equal(conductances(core), before)


def test_wrong_values_anywhere_are_refused_even_where_the_range_would_hide_them() -> None:
    core = core_on(A)
    for value in (np.inf, -np.inf):
        with pytest.raises(InputError):
            core[1, 1] = value


def test_unit_lines_are_not_written_again() -> None:
    core = core_on(A, STYLES["unit-column"], NOISY)
    units = {name: value.copy() for name, value in core.blocks[0].record.units.items()}
    core[2:4] = 0.1
    for name, value in core.blocks[0].record.units.items():
        np.testing.assert_array_equal(value, units[name])
