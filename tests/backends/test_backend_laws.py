"""What the physics needs beyond the array API standard: the same in every array library, with the same gradients."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from crossohm.backends import backend_of, beyond, is_array
from crossohm.errors import InputError

LIBRARIES: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.array,
    "torch": lambda value: torch.tensor(np.array(value)),
    "jax": jnp.asarray,
    "tensorflow": tf.constant,
}
FLOATS = st.floats(-8, 8, width=32, allow_subnormal=False)  # JAX takes them for zero
#: Of one size: JAX compiles anew for every other.
VECTORS = arrays.arrays(np.float32, 8, elements=FLOATS)
MATRICES = arrays.arrays(np.float32, (3, 4), elements=FLOATS)
EVERY = pytest.mark.parametrize("library", LIBRARIES)
X = np.linspace(-3, 3, 13, dtype=np.float32)


def host(value: Any) -> np.ndarray:
    return np.asarray(backend_of(value).to_numpy(value))


def gradient(function: Callable[[Any], Any], x: np.ndarray, library: str) -> np.ndarray:
    """Of the sum of ``function(x)``."""
    if library == "tensorflow":
        with tf.GradientTape() as tape:
            leaf = tf.constant(x)
            tape.watch(leaf)
            total = tf.reduce_sum(function(leaf))
        return np.asarray(tape.gradient(total, leaf))
    if library == "jax":
        return np.asarray(jax.grad(lambda value: jnp.sum(function(value)))(jnp.asarray(x)))
    leaf = torch.tensor(x, requires_grad=True)
    function(leaf.clone()).sum().backward()
    return np.asarray(leaf.grad)


# --- which library ----------------------------------------------------------------------------------------------------


@EVERY
def test_arrays_are_known_by_their_type(library: str) -> None:
    x = LIBRARIES[library](X)
    assert is_array(x)
    assert backend_of(x).name == library
    assert backend_of(x).dtype_name(x) == "float32"


@pytest.mark.parametrize("value", [[1.0], 1.0, "text", None, {"a": 1}])
def test_what_is_no_array_is_told_apart(value: Any) -> None:
    assert not is_array(value)
    with pytest.raises(InputError, match=r"NumPy, PyTorch, JAX, TensorFlow or CuPy.*numpy\.asarray"):
        backend_of(value)


@EVERY
@pytest.mark.parametrize("dtype", ["float64", "float16", "int32"])
def test_dtypes_by_name(library: str, dtype: str) -> None:
    if library == "jax" and dtype == "float64":
        return  # JAX computes in single precision unless told otherwise
    x = LIBRARIES[library](X)
    backend = backend_of(x)
    assert backend.dtype_name(backend.astype(x, dtype)) == dtype
    assert backend.dtype_name(backend.asarray(1.5, backend.astype(x, dtype))) == dtype


@EVERY
def test_indices_select(library: str) -> None:
    x = LIBRARIES[library](X)
    backend = backend_of(x)
    np.testing.assert_array_equal(host(backend.xp.take(x, backend.indices([3, 0], x), axis=0)), X[[3, 0]])


@EVERY
def test_entries_of_a_table_are_looked_up_at_any_shape(library: str) -> None:
    table = LIBRARIES[library](X)
    backend, index = backend_of(table), np.array([[3, 0, 3], [12, 1, 5]])
    np.testing.assert_array_equal(host(backend.looked_up(table, backend.indices(index, table))), X[index])


@EVERY
@given(rows=MATRICES, fraction=st.floats(0, 1))
def test_between_the_entries_of_a_row(library: str, rows: np.ndarray, fraction: float) -> None:
    ordered = LIBRARIES[library](np.sort(rows, axis=1))
    found = host(backend_of(ordered).between(ordered, fraction))
    np.testing.assert_allclose(found, np.quantile(rows.astype(float), fraction, axis=1), atol=1e-5)


@EVERY
def test_keys_tell_libraries_and_dtypes_apart(library: str) -> None:
    keys = {backend_of(x).key(x) for x in (make(X) for make in LIBRARIES.values())}
    assert len(keys) == len(LIBRARIES)
    x = LIBRARIES[library](X)
    backend = backend_of(x)
    assert backend.key(x) == backend.key(x[:2]) != backend.key(backend.astype(x, "float16"))


# --- arithmetic -------------------------------------------------------------------------------------------------------


@EVERY
@given(
    x=VECTORS,
    low=st.floats(-4, 0, width=32, allow_subnormal=False),
    width=st.floats(0.125, 6, width=32, allow_subnormal=False),
)
def test_clip(library: str, x: np.ndarray, low: float, width: float) -> None:
    backend = backend_of(LIBRARIES[library](x))
    high = float(np.float32(low + width))
    np.testing.assert_array_equal(host(backend.clip(LIBRARIES[library](x), low, high)), np.clip(x, low, high))


@EVERY
@given(x=VECTORS, first=st.integers(-4, 0), count=st.integers(1, 8))
def test_round_within(library: str, x: np.ndarray, first: int, count: int) -> None:
    backend = backend_of(LIBRARIES[library](x))
    found = host(backend.round_within(LIBRARIES[library](x), first, first + count))
    np.testing.assert_array_equal(found, np.clip(np.rint(x), first, first + count))


@EVERY
@given(total=VECTORS, factor=st.floats(-3, 3, width=32, allow_subnormal=False))
def test_add_scaled_takes_numbers_and_arrays(library: str, total: np.ndarray, factor: float) -> None:
    make = LIBRARIES[library]
    backend, x = backend_of(make(total)), make(total[::-1].copy())
    for given_as in (float(factor), backend.asarray(factor, x)):
        found = host(backend.add_scaled(make(total), x, given_as))
        np.testing.assert_allclose(found, total + np.float32(factor) * total[::-1], rtol=1e-6, atol=1e-6)


@EVERY
@given(x=VECTORS)
def test_root_is_zero_below_zero(library: str, x: np.ndarray) -> None:
    found = host(backend_of(LIBRARIES[library](x)).root(LIBRARIES[library](x)))
    np.testing.assert_allclose(found, np.sqrt(np.maximum(x, 0)), rtol=1e-6)


@EVERY
@given(
    x=VECTORS,
    low=st.floats(-4, 0, width=32, allow_subnormal=False),
    high=st.floats(0.125, 4, width=32, allow_subnormal=False),
)
def test_share_outside_leaves_zeros_out(library: str, x: np.ndarray, low: float, high: float) -> None:
    x = np.where(np.abs(x) < 1, np.float32(0), x)
    found = backend_of(LIBRARIES[library](x)).share_outside(LIBRARIES[library](x), low, high)
    driven = x[x != 0]
    if not len(driven):
        assert found is None
        return
    assert found == pytest.approx(np.mean((driven < np.float32(low)) | (driven > np.float32(high))))


@EVERY
@given(size=st.sampled_from([1, 5]), seed=st.integers(0, 100))
def test_inverses_of_positive_matrices(library: str, size: int, seed: int) -> None:
    root = np.random.default_rng(seed).normal(size=(2, size, size))
    matrices = (root @ np.swapaxes(root, 1, 2) + size * np.eye(size)).astype("float32").astype("float64")
    found = host(backend_of(LIBRARIES[library](matrices)).inverse_of_positive(LIBRARIES[library](matrices)))
    np.testing.assert_allclose(found @ matrices, np.broadcast_to(np.eye(size), found.shape), atol=1e-4)


@EVERY
def test_what_is_not_positive_has_no_inverse(library: str) -> None:
    matrices = np.stack([np.eye(3), -np.eye(3)]).astype("float32")
    if library == "numpy":
        matrices = matrices.astype("float64")
    found = host(backend_of(LIBRARIES[library](matrices)).inverse_of_positive(LIBRARIES[library](matrices)))
    np.testing.assert_allclose(found[0], np.eye(3), atol=1e-6)
    assert np.isnan(found[1]).any()


# --- placing ----------------------------------------------------------------------------------------------------------


@EVERY
@given(matrix=MATRICES, data=st.data())
def test_assigned_is_a_copy(library: str, matrix: np.ndarray, data: st.DataObject) -> None:
    rows, columns = (
        np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=2, max_size=2, unique=True))) for n in matrix.shape
    )
    held = LIBRARIES[library](matrix)
    backend = backend_of(held)
    values = backend.asarray(np.arange(len(rows) * len(columns)).reshape(len(rows), -1), held)
    index = (backend.indices(rows, held)[:, None], backend.indices(columns, held))
    wanted = matrix.copy()
    wanted[np.ix_(rows, columns)] = host(values)
    np.testing.assert_array_equal(host(backend.assigned(held, index, values)), wanted)
    np.testing.assert_array_equal(host(held), matrix)


@EVERY
@given(matrix=MATRICES, below=st.integers(0, 1), beside=st.sampled_from([0, 2]))
def test_assembled_leaves_zeros_around_the_blocks(library: str, matrix: np.ndarray, below: int, beside: int) -> None:
    height, width = matrix.shape
    block = LIBRARIES[library](matrix)
    places = [(slice(0, height), slice(beside, beside + width), block)]
    found = host(backend_of(block).assembled((height + below, beside + width), places))
    np.testing.assert_array_equal(found, np.pad(matrix, ((0, below), (beside, 0))))


@EVERY
def test_writable_memory_is_not_shared(library: str) -> None:
    x = LIBRARIES[library](X)
    own = backend_of(x).writable(x)
    if library not in ("jax", "tensorflow"):  # whose arrays cannot be changed
        own += 1
    np.testing.assert_array_equal(host(x), X)


# --- gradients --------------------------------------------------------------------------------------------------------

GRADIENTS = pytest.mark.parametrize("library", ["torch", "jax", "tensorflow"])


@GRADIENTS
@given(x=VECTORS)
def test_conversions_pass_the_gradient_inside(library: str, x: np.ndarray) -> None:
    def decide(value: Any) -> Any:
        return backend_of(value).xp.round(value)

    found = gradient(lambda value: backend_of(value).convert(value, -2.0, 3.0, decide), x, library)
    low, high = beyond(-2.0, 3.0, float(np.finfo("float32").eps))
    np.testing.assert_array_equal(found, ((x >= low) & (x <= high)).astype("float32"))


@GRADIENTS
@given(x=VECTORS)
def test_limits_are_inside_of_a_clip(library: str, x: np.ndarray) -> None:
    x = np.append(x, np.float32([-2, 3]))
    found = gradient(lambda value: backend_of(value).clip(value, -2.0, 3.0), x, library)
    np.testing.assert_array_equal(found, ((x >= -2) & (x <= 3)).astype("float32"))


@GRADIENTS
@given(x=VECTORS)
def test_roots_have_finite_gradients(library: str, x: np.ndarray) -> None:
    found = gradient(lambda value: backend_of(value).root(value), np.append(x, np.float32(0)), library)
    assert np.isfinite(found).all()
    positive = np.append(x, np.float32(0)) > 0
    np.testing.assert_allclose(found[positive], 0.5 / np.sqrt(np.append(x, 0)[positive]), rtol=1e-5)
    assert not found[~positive].any()


@GRADIENTS
@given(x=VECTORS, factor=st.floats(-3, 3, width=32, allow_subnormal=False))
def test_straight_through_has_the_value_of_one_and_the_gradient_of_the_other(
    library: str, x: np.ndarray, factor: float
) -> None:
    def function(value: Any) -> Any:
        backend = backend_of(value)
        return backend.straight_through(backend.xp.floor(value), value * backend.asarray(factor, value))

    np.testing.assert_array_equal(host(function(LIBRARIES[library](x))), np.floor(x))
    np.testing.assert_array_equal(gradient(function, x, library), np.full_like(x, factor))


@GRADIENTS
def test_what_is_detached_has_no_gradient(library: str) -> None:
    found = gradient(lambda value: value * backend_of(value).detached(value), X, library)
    np.testing.assert_array_equal(found, X)


# --- randomness -------------------------------------------------------------------------------------------------------


def generators(library: str) -> Callable[[int], Any]:
    if library == "torch":
        return lambda seed: torch.Generator().manual_seed(seed)
    if library == "tensorflow":
        return tf.random.Generator.from_seed
    return jax.random.key if library == "jax" else np.random.default_rng


@EVERY
def test_streams_follow_their_generator(library: str) -> None:
    make, like = generators(library), LIBRARIES[library](np.zeros((200, 50), "float32"))
    backend = backend_of(like)
    normal = [host(backend.stream(make(seed)).normal(like)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(normal[0], normal[1])
    assert (normal[0] != normal[2]).mean() > 0.99
    uniform = host(backend.stream(make(1)).uniform(like))
    assert normal[0].dtype == uniform.dtype == np.float32
    # 10,000 draws: means within five standard errors.
    assert abs(normal[0].mean()) < 5 / 100
    assert abs(normal[0].std() - 1) < 5 / np.sqrt(20_000)
    assert abs(uniform.mean() - 0.5) < 5 / np.sqrt(12 * 10_000)
    assert 0 <= uniform.min() < uniform.max() < 1


@EVERY
def test_draws_of_one_stream_differ(library: str) -> None:
    like = LIBRARIES[library](np.zeros(100, "float32"))
    stream = backend_of(like).stream(generators(library)(3))
    assert (host(stream.normal(like)) != host(stream.normal(like))).mean() > 0.9


@EVERY
def test_two_integers_are_seeds_in_every_library(library: str) -> None:
    """What ``keras.random.SeedGenerator`` gives."""
    like = LIBRARIES[library](np.zeros(1000, "float32"))
    backend = backend_of(like)

    def drawn(*seeds: int) -> np.ndarray:
        given = LIBRARIES[library](np.array(seeds, "int32" if library == "tensorflow" else "uint32"))
        stream = backend.stream(given)
        return np.stack([host(stream.normal(like)), host(stream.normal(like)), host(stream.uniform(like))])

    one = drawn(3, 4)
    np.testing.assert_array_equal(one, drawn(3, 4))
    for other in (drawn(4, 3), drawn(3, 5), one[[1, 0, 2]]):
        assert (one[:2] != other[:2]).mean() > 0.9
    assert 0 <= one[2].min() < one[2].max() < 1


@EVERY
def test_the_generator_of_an_operation_is_the_one_given(library: str) -> None:
    x, own = LIBRARIES[library](X), generators(library)(4)
    assert backend_of(x).operation_rng(own, np.random.default_rng(0), x) is own


# --- the way from and to the host -------------------------------------------------------------------------------------


@EVERY
def test_numbers_come_back_as_they_went(library: str) -> None:
    x = LIBRARIES[library](X)
    np.testing.assert_array_equal(backend_of(x).to_numpy(x), X)
    assert isinstance(backend_of(x).to_numpy(x), np.ndarray)


@EVERY
def test_values_are_known_outside_of_traces(library: str) -> None:
    x = LIBRARIES[library](X)
    assert not backend_of(x).is_traced(x)
    assert not backend_of(x).on_accelerator(x)
    seen = []
    jax.jit(lambda value: seen.append(backend_of(value).is_traced(value)) or value)(jnp.asarray(X))
    tf.function(lambda value: seen.append(backend_of(value).is_traced(value)) or value)(tf.constant(X))
    assert seen == [True, True]


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_limits_with_room_for_rounding(scale: float) -> None:
    low, high = beyond(-scale, 2 * scale, float(np.finfo("float32").eps))
    assert low < -scale < 2 * scale < high
    assert high - 2 * scale == pytest.approx(-scale - low)
    assert high - 2 * scale < 1e-4 * scale


# --- digests ----------------------------------------------------------------------------------------------------------

DTYPES = ["float16", "bfloat16", "float32", "float64", "int8", "int32", "int64", "bool"]


def of_dtype(library: str, values: np.ndarray, dtype: str) -> Any:
    x = LIBRARIES[library](values)
    return backend_of(x).astype(x, dtype)


def digest(x: Any) -> bytes:
    found = backend_of(x).digest(x)
    assert tuple(found.shape) == (2,)
    assert backend_of(found).dtype_name(found) in ("int32", "uint32")
    return host(found).tobytes()


@pytest.mark.parametrize(
    ("library", "dtype"),  # NumPy has no bfloat16
    [pair for pair in product(LIBRARIES, DTYPES) if pair != ("numpy", "bfloat16")],
)
@pytest.mark.parametrize("count", [1, 7, 5000])
def test_every_change_of_one_element_changes_the_digest(library: str, dtype: str, count: int) -> None:
    values = np.random.default_rng(count).integers(0, 2, count).astype("float32")
    before = digest(of_dtype(library, values, dtype))
    assert digest(of_dtype(library, values.copy(), dtype)) == before
    seen = {before}
    for place in {0, count // 2, count - 1}:
        changed = values.copy()
        changed[place] = 1 - changed[place]
        seen.add(digest(of_dtype(library, changed, dtype)))
    assert len(seen) == 1 + len({0, count // 2, count - 1})


@EVERY
def test_digests_see_swaps_signs_and_last_places(library: str) -> None:
    values = np.random.default_rng(5).normal(size=(40, 30)).astype("float32")
    signs, swapped, nudged = values.copy(), values.copy(), values.copy()
    signs[3:5, 7] *= -1
    swapped[[0, 1]] = swapped[[1, 0]]
    nudged[-1, -1] = np.nextafter(nudged[-1, -1], np.float32(9))
    assert len({digest(LIBRARIES[library](value)) for value in (values, signs, -values, swapped, nudged)}) == 5


@pytest.mark.parametrize("dtype", DTYPES)
def test_digests_are_the_same_while_traced(dtype: str) -> None:
    values = np.random.default_rng(6).integers(-3, 4, (31, 21)).astype("float32")
    x = of_dtype("jax", values, dtype)
    np.testing.assert_array_equal(jax.jit(backend_of(x).digest)(x), backend_of(x).digest(x))
    x = of_dtype("tensorflow", values, dtype)
    for compiled in (False, True):
        np.testing.assert_array_equal(
            tf.function(backend_of(x).digest, jit_compile=compiled)(x), backend_of(x).digest(x)
        )


def test_digests_of_what_is_differentiated() -> None:
    def total(x: Any) -> Any:
        return backend_of(x).xp.sum(x * backend_of(x).astype(backend_of(x).digest(x)[0] != 0, "float32"))

    for library in ("torch", "jax", "tensorflow"):
        assert np.isin(gradient(total, X, library), (0, 1)).all()


# --- cutting ----------------------------------------------------------------------------------------------------------


@EVERY
def test_equal_parts_are_those_of_the_last_axis_unless_another_is_named(library: str) -> None:
    x = np.arange(72, dtype=np.float32).reshape(2, 12, 3)
    value = LIBRARIES[library](x)
    for axis, parts in (-1, backend_of(value).parted(value, 3)), (1, backend_of(value).parted(value, 3, axis=1)):
        assert len(parts) == 3
        for part, wanted in zip(parts, np.split(x, 3, axis=axis), strict=True):
            np.testing.assert_array_equal(host(part), wanted)


# --- calls of the host ------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("stale", [True, False])
@pytest.mark.parametrize("traced", [False, True])
def test_the_host_is_called_where_something_is_stale_and_only_there(library: str, stale: bool, traced: bool) -> None:
    """Also in functions that are compiled, once and for both cases."""
    calls = []

    def work(x: np.ndarray) -> tuple[np.ndarray, ...]:
        calls.append(x)
        return (2 * np.asarray(x), np.arange(3, dtype=np.float64))  # another dtype than what is kept

    def renewed(flag: Any, x: Any) -> Any:
        return backend_of(x).renewed(flag, (x, x[:3]), work, (x,))

    flag, x = LIBRARIES[library](np.array(stale)), LIBRARIES[library](X)
    compilers: dict[str, Callable[..., Any]] = {"jax": jax.jit, "tensorflow": tf.function}
    run = compilers[library](renewed) if traced and library in compilers else renewed
    first, second = run(flag, x)
    np.testing.assert_array_equal(host(first), 2 * X if stale else X)
    np.testing.assert_array_equal(host(second), np.arange(3) if stale else X[:3])
    assert len(calls) == int(stale)
