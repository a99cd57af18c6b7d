"""Views slice as NumPy does, and multiply with every line of the arrays still there (specification 2.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_hardware import core_on
from hypothesis import given
from hypothesis import strategies as st

from crossohm import AnalogCore, KeyRangeError, KeyTypeError, ShapeError

pytestmark = pytest.mark.reference_defect("Q18")

A = np.random.default_rng(0).uniform(-1, 1, (5, 6))

ONE_KEY = st.one_of(st.integers(-5, 4), st.slices(6), st.just(Ellipsis))
ANY_KEY = st.one_of(
    ONE_KEY,
    st.tuples(st.one_of(st.integers(-5, 4), st.slices(5)), st.one_of(st.integers(-6, 5), st.slices(6))),
    st.just(()),
    st.tuples(st.just(Ellipsis), st.one_of(st.integers(-5, 4), st.slices(6))),
    st.tuples(ONE_KEY),
)


def core() -> AnalogCore:
    return core_on(A)


@given(ANY_KEY, ANY_KEY, st.booleans(), st.booleans())
def test_views_select_what_numpy_selects(first: Any, second: Any, before: bool, after: bool) -> None:
    view: Any = core().T if before else core()
    part: Any = A.T if before else A
    for key in (first, second):
        try:
            part = np.asarray(part[key])
        except IndexError:
            with pytest.raises(IndexError):
                view[key]
            return
        view = view[key]
    if after:
        view, part = view.T, part.T
    assert view.shape == part.shape
    assert view.ndim == part.ndim
    assert view.size == part.size
    np.testing.assert_allclose(view.get_matrix(), part, atol=1e-15)
    np.testing.assert_allclose(np.asarray(view), part, atol=1e-15)


def test_transpose_of_transpose_is_the_core() -> None:
    a = core()
    assert a.T.T is a
    assert a.transpose().shape == (6, 5)
    assert a[:] is a
    assert a[...] is a
    assert a[0:5, 0:6] is a
    assert a[2].T.shape == (6,)


@pytest.mark.parametrize("key", [np.int64(2), np.int8(2), np.uint16(2), np.intp(-3)])
def test_numpy_integers_are_integers(key: Any) -> None:
    np.testing.assert_allclose(core()[key].get_matrix(), A[key], atol=1e-15)


@pytest.mark.parametrize("key", [5, -6, (0, 6), (5, 0), (0, -7)])
def test_out_of_range_raises(key: Any) -> None:
    with pytest.raises(KeyRangeError, match="out of range"):
        core()[key]
    with pytest.raises(IndexError):
        core()[key] = 0.0


@pytest.mark.parametrize("key", [[0, 1], 1.0, "a", True, np.True_, None, np.array([0, 1]), (0, [1])])
def test_other_keys_are_type_errors(key: Any) -> None:
    with pytest.raises(KeyTypeError):
        core()[key]
    with pytest.raises(TypeError):
        core()[key] = 0.0


@pytest.mark.parametrize("key", [(0, 0, 0), (slice(None), 1, slice(None)), (Ellipsis, 0, Ellipsis)])
def test_too_many_keys(key: Any) -> None:
    with pytest.raises(KeyRangeError):
        core()[key]


def test_wrong_sizes_name_both_shapes() -> None:
    a = core()
    for call in (
        lambda: a @ np.ones(5),
        lambda: np.ones(6) @ a,
        lambda: a[1:3] @ np.ones((5, 2)),
        lambda: a.T @ np.ones(6),
        lambda: a.matvec(np.ones((2, 6))),
        lambda: a.vecmat(np.ones((2, 5))),
        lambda: a[0] @ np.ones(5),
    ):
        with pytest.raises(ShapeError, match=r"\d+.*\d"):
            call()
    with pytest.raises(ShapeError):
        a.matmat(np.ones(6))
    with pytest.raises(ShapeError):
        a @ 3.0


def test_views_of_no_elements_multiply_to_nothing_or_zero() -> None:
    a = core()
    assert (a[2:2] @ np.ones(6)).shape == (0,)
    assert (np.zeros(0) @ a[2:2]).shape == (6,)
    np.testing.assert_array_equal(a[:, 3:3] @ np.zeros(0), np.zeros(5))
    np.testing.assert_array_equal(a[:, 3:3] @ np.zeros((0, 2)), np.zeros((5, 2)))
    assert a[2:2, 3:3].get_matrix().shape == (0, 0)


def test_a_view_still_drives_all_lines() -> None:
    """Unselected inputs are driven with zero, through the same DAC and the same arrays: a DAC without a zero level
    leaves a current there, as in hardware."""
    dac = {"xbar.dac.mvm.model": "QuantizerDAC", "xbar.dac.mvm.bits": 3}
    whole = core_on(A, dac)
    x = np.array([0.5, -0.3])
    embedded = np.zeros(6)
    embedded[1:3] = x
    y = whole[:, 1:3] @ x
    np.testing.assert_array_equal(y, whole @ embedded)
    assert np.max(np.abs(y - A[:, 1:3] @ x)) > 0.05


def test_views_share_the_core() -> None:
    a = core()
    view = a[1:3, ::2]
    a[1, 2] = 0.25
    assert float(view[0, 1]) == pytest.approx(0.25, abs=1e-15)
    np.testing.assert_allclose(view @ np.ones(3), a.get_matrix()[1:3, ::2] @ np.ones(3), atol=1e-14)


def test_iteration_and_length() -> None:
    a = core()
    assert len(a) == 5
    assert len(a.T) == 6
    assert [row.shape for row in a.T] == [(5,)] * 6
    with pytest.raises(TypeError):
        len(a[0, 0])
    with pytest.raises(TypeError):
        float(a[0])
