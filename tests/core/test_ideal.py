"""With all non-idealities off, a core is its matrix: every operation equals NumPy's to rounding.

The sliced styles hold integer codes, so they are tested on integer-valued matrices that they represent exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_hardware import EXACT_RANGE, FULL_CODE, STYLES, core_on
from hypothesis import given, settings
from hypothesis import strategies as st

from crossohm import AnalogCore, ShapeError

SPLITS: list[dict[str, Any]] = [
    {},
    {"core.rows_max": 3, "core.cols_max": 2},
    {"core.rows_max": 4, "core.mapping.weights.col_partition_strategy": "MAX"},
]
COMPLEX = {"core.complex_matrix": True}
FLOATS = ["float32", "float64"]
EVERY_STYLE = pytest.mark.parametrize("style", list(STYLES))
FEW = settings(max_examples=12)
SOME = settings(max_examples=25)


def tolerance(matrix: Any, x: Any, dtype: Any) -> float:
    """Rounding errors grow with the full-scale current, since offsets and pairs subtract large currents."""
    inputs = max(matrix.shape) if np.ndim(matrix) else 1
    eps = float(np.finfo(np.dtype(dtype)).eps)
    largest = float(np.max(np.abs(x))) if np.size(x) else 0.0
    return 60 * eps * inputs * float(np.max(np.abs(matrix))) * largest + 1e-300


def same(actual: Any, expected: Any, matrix: Any, x: Any) -> None:
    """Shape, dtype and values as NumPy's."""
    assert isinstance(actual, np.ndarray | np.generic)
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if expected.dtype.kind in "iu":
        np.testing.assert_array_equal(actual, expected)
    else:
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance(matrix, x, expected.dtype))


@st.composite
def matrices(draw: Any, dtype: str, is_complex: bool = False) -> np.ndarray:
    """Integer codes times a common factor, the largest code included, so that every style holds them exactly."""
    shape = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = rng.integers(-FULL_CODE, FULL_CODE + 1, shape).astype(np.float64)
    codes[rng.integers(shape[0]), rng.integers(shape[1])] = rng.choice([-FULL_CODE, FULL_CODE])
    if is_complex:
        codes = codes + 1j * rng.integers(-FULL_CODE, FULL_CODE + 1, shape)
    matrix = codes * draw(st.sampled_from([1.0, 2.0**-7, 3.0]))
    return matrix.astype({"float32": "complex64", "float64": "complex128"}[dtype] if is_complex else dtype)


def operand(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.uniform(-1, 1, shape)
    return x.astype(dtype)


@EVERY_STYLE
@pytest.mark.parametrize("dtype", FLOATS)
@SOME
@given(data=st.data())
def test_products_with_vectors(style: str, dtype: str, data: Any) -> None:
    a = data.draw(matrices(dtype))
    m, n = a.shape
    core = core_on(a, STYLES[style], data.draw(st.sampled_from(SPLITS)))
    x, z = operand((n,), dtype), operand((m,), dtype)
    for right in (core.matvec(x), core.matmul(x), core.dot(x), core @ x, np.matmul(core, x), np.dot(core, x)):
        same(right, a @ x, a, x)
    for left in (core.vecmat(z), core.rmatmul(z), core.rdot(z), z @ core, np.matmul(z, core), np.dot(z, core)):
        same(left, z @ a, a, z)
    same(core.matvec(x[:, None]), a @ x[:, None], a, x)
    same(core.vecmat(z[None]), z[None] @ a, a, z)
    same(core.T @ z, a.T @ z, a, z)
    same(x @ core.T, x @ a.T, a, x)


@EVERY_STYLE
@pytest.mark.parametrize("dtype", FLOATS)
@FEW
@given(data=st.data())
def test_products_with_stacks(style: str, dtype: str, data: Any) -> None:
    a = data.draw(matrices(dtype))
    m, n = a.shape
    core = core_on(a, STYLES[style], data.draw(st.sampled_from(SPLITS)))
    lead = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    k = data.draw(st.integers(1, 4))
    x, z = operand((*lead, n, k), dtype), operand((*lead, k, m), dtype)
    for right in (core.matmat(x), core.matmul(x), core @ x, np.matmul(core, x)):
        same(right, a @ x, a, x)
    for left in (core.rmatmat(z), core.rmatmul(z), core.rdot(z), z @ core, np.matmul(z, core), np.dot(z, core)):
        same(left, z @ a, a, z)
    same(core.dot(x), np.dot(a, x), a, x)
    same(np.dot(core, x), np.dot(a, x), a, x)
    same(core.T @ operand((*lead, m, k), dtype), a.T @ operand((*lead, m, k), dtype), a, z)
    same(operand((*lead, k, n), dtype) @ core.T, operand((*lead, k, n), dtype) @ a.T, a, x)


@EVERY_STYLE
@pytest.mark.parametrize("dtype", FLOATS)
@FEW
@given(data=st.data())
def test_complex_products(style: str, dtype: str, data: Any) -> None:
    a = data.draw(matrices(dtype, is_complex=True))
    m, n = a.shape
    scale = max(np.abs(a.real).max(), np.abs(a.imag).max())
    exact = {"core.mapping.weights.min": -scale, "core.mapping.weights.max": scale}
    core = core_on(a, STYLES[style], data.draw(st.sampled_from(SPLITS)), COMPLEX, exact)
    assert (core.nrow, core.ncol) == (2 * m, 2 * n)
    lead = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    for kind in (a.dtype, dtype):  # complex and real inputs
        x, z = operand((n,), kind), operand((m,), kind)
        same(core @ x, a @ x, a, x)
        same(z @ core, z @ a, a, z)
        x, z = operand((*lead, n, 2), kind), operand((*lead, 2, m), kind)
        same(core @ x, a @ x, a, x)
        same(z @ core, z @ a, a, z)
        same(core.T @ operand((*lead, m, 2), kind), a.T @ operand((*lead, m, 2), kind), a, z)
    np.testing.assert_allclose(core.get_matrix(), a, atol=tolerance(a, 1.0, dtype))
    assert core.get_matrix().dtype == a.dtype


@pytest.mark.parametrize("dtype", FLOATS)
def test_real_products_on_complex_hardware_are_real(dtype: str) -> None:
    a, x = operand((3, 4), dtype), operand((4, 2), dtype)
    core = core_on(a, COMPLEX)
    same(core @ x, a @ x, a, x)
    same(x.T @ core.T, x.T @ a.T, a, x)
    assert core.get_matrix().dtype == dtype
    mixed = core @ (x + 1j * x)
    same(mixed, (a @ (x + 1j * x)).astype(mixed.dtype), a, 2 * x)


KEYS = st.one_of(
    st.integers(-4, 3),
    st.slices(4),
    st.just(slice(3, 0, -1)),
    st.just(slice(None, None, -1)),
    st.just(slice(None)),
)


@EVERY_STYLE
@SOME
@given(first=KEYS, second=KEYS, third=st.slices(2), transpose=st.booleans(), data=st.data())
def test_products_of_views(style: str, first: Any, second: Any, third: Any, transpose: bool, data: Any) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    a = rng.integers(-FULL_CODE, FULL_CODE + 1, (4, 4)).astype(np.float64)
    a[0, 0] = FULL_CODE
    core = core_on(a, STYLES[style], data.draw(st.sampled_from(SPLITS)))
    view, part = (core.T, a.T) if transpose else (core, a)
    view, part = view[first, second], part[first, second]
    if part.ndim:
        view, part = view[third], part[third]
    if part.ndim == 0:
        with pytest.raises(ShapeError):
            view @ np.ones(1)
        return
    assert view.shape == part.shape
    x = rng.uniform(-1, 1, (2, part.shape[-1], 3))
    z = rng.uniform(-1, 1, (2, 3, part.shape[0]))
    same(view @ x, part @ x, a, 1.0)
    same(view @ x[0, :, 0], part @ x[0, :, 0], a, 1.0)
    same(z @ view, z @ part, a, 1.0)
    same(z[0, 0] @ view, z[0, 0] @ part, a, 1.0)
    same(np.matmul(view, x), part @ x, a, 1.0)
    same(view.T @ z[0].T, part.T @ z[0].T, a, 1.0)


@EVERY_STYLE
def test_empty_batches(style: str) -> None:
    a = np.full((3, 4), float(FULL_CODE))
    core = core_on(a, STYLES[style])
    for x in (np.zeros((4, 0)), np.zeros((2, 4, 0)), np.zeros((0, 4, 2)), np.zeros((0, 3, 4, 2))):
        same(core @ x, a @ x, a, x)
        same(core.matmat(x), a @ x, a, x)
    for z in (np.zeros((0, 3)), np.zeros((2, 0, 3)), np.zeros((0, 2, 3))):
        same(z @ core, z @ a, a, z)
        same(core.rmatmat(z), z @ a, a, z)


@EVERY_STYLE
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "bool"])
def test_integer_matrices_multiply_exactly(style: str, dtype: str) -> None:
    rng = np.random.default_rng(4)
    a = rng.integers(0, 2, (4, 5)).astype(dtype) if dtype == "bool" else rng.integers(0, 128, (4, 5)).astype(dtype)
    exact = EXACT_RANGE if style.startswith("sliced") else {}
    core = core_on(a, STYLES[style], exact)
    np.testing.assert_array_equal(core.get_matrix(), a)
    assert core.get_matrix().dtype == core.dtype == a.dtype
    if dtype in ("int32", "int64"):
        x = rng.integers(-9, 9, (5, 3)).astype(dtype)
        same(core @ x, a @ x, a, x)
        same(x.T @ core.T, x.T @ a.T, a, x)
    y = core @ rng.uniform(-1, 1, 5).astype(np.float32)
    assert y.dtype == np.promote_types(a.dtype, np.float32)


@EVERY_STYLE
def test_lists_and_integer_inputs(style: str) -> None:
    a = [[FULL_CODE, -1.0, 3.0], [4.0, 0.0, -6.0]]
    core = core_on(a, STYLES[style])
    expected = np.array(a) @ [1, 2, 3]
    for y in (core @ [1, 2, 3], core.matvec([1, 2, 3]), core.matmat([[1], [2], [3]])[:, 0], core.dot([1, 2, 3])):
        np.testing.assert_allclose(y, expected, atol=1e-10)
    for y in ([1, 2] @ core, core.vecmat([1, 2]), core.rmatmat([[1, 2]])[0], core.rdot([1, 2])):
        np.testing.assert_allclose(y, [1, 2] @ np.array(a), atol=1e-10)


@pytest.mark.parametrize("matrix_dtype", ["float32", "float64", "int32", "int8", "complex64", "complex128", "float16"])
@pytest.mark.parametrize("input_dtype", ["float32", "float64", "int32", "int16", "float16"])
def test_native_result_dtype_is_numpys_promotion(matrix_dtype: str, input_dtype: str) -> None:
    core = core_on(np.ones((2, 3), matrix_dtype), COMPLEX if matrix_dtype.startswith("complex") else {})
    y = core @ np.ones(3, input_dtype)
    assert y.dtype == np.promote_types(matrix_dtype, input_dtype)
    np.testing.assert_allclose(y, 3, rtol=1e-3)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("NATIVE", "float64"),
        ("MATRIX", "float32"),
        ("INPUT", "float64"),
        ("FLOAT32", "float32"),
        ("FLOAT64", "float64"),
        ("FLOAT16", "float16"),
        ("INT64", "int64"),
        ("INT32", "int32"),
        ("INT16", "int16"),
        ("INT8", "int8"),
    ],
)
def test_output_dtype_rules(rule: str, expected: str) -> None:
    core = core_on(np.array([[1.6, 1.0], [-0.7, -1.0]], np.float32), {"core.output_dtype": rule})
    x = np.array([1.0, 1.0])
    for y in (core @ x, core @ np.stack([x, x], axis=1), core.T @ x, x @ core, core[0:1] @ x):
        assert y.dtype == expected
    if expected.startswith("int"):  # to nearest, not towards zero
        np.testing.assert_array_equal(core @ x, [3, -2])
    else:
        np.testing.assert_allclose(core @ x, [2.6, -1.7], rtol=1e-3 if expected == "float16" else 1e-6)


def test_a_core_behaves_as_an_array_where_no_product_is_meant() -> None:
    a = operand((3, 4), "float64")
    core = AnalogCore(a, seed=0)
    assert (core.shape, core.ndim, core.size, len(core)) == ((3, 4), 2, 12, 3)
    np.testing.assert_allclose(np.asarray(core), a, atol=1e-15)
    assert np.asarray(core, dtype=np.float32).dtype == np.float32
    np.testing.assert_allclose([np.asarray(row) for row in core], a, atol=1e-15)
    assert np.shape(core) == (3, 4)
    assert float(core[1, 2]) == pytest.approx(a[1, 2], abs=1e-15)
    assert str(core) == str(core.get_matrix())
