"""A core among NumPy's functions and the arrays of other libraries: products are analog or refused, the rest reads.

Law: nothing that multiplies by a core gives what the stored matrix gives; with a coarse ADC the two differ everywhere.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse as sparse
import tensorflow as tf
import torch
from core_hardware import STYLES, core_on
from scipy.sparse.linalg import aslinearoperator

from crossohm import AnalogCore, InputError, OperandError
from crossohm.params import CrossSimParameters

pandas = pytest.importorskip("pandas")
dask = pytest.importorskip("dask.array")
xarray = pytest.importorskip("xarray")

A = np.random.default_rng(0).normal(size=(6, 5))
Z = np.random.default_rng(1).normal(size=(4, 6))
X = np.random.default_rng(2).normal(size=(5, 3))


def coarse() -> AnalogCore:
    """A core whose ADCs round so much that no analog product looks like the digital one."""
    both = {f"xbar.adc.{side}.{key}": value for side in ("mvm", "vmm") for key, value in ADC.items()}
    return core_on(A, {"xbar.adc.match": False}, both)


ADC = {"model": "QuantizerADC", "bits": 3, "adc_range_option": "MAX"}

FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": np.asarray,
    "list": lambda x: x.tolist(),
    "matrix": np.asmatrix,
    "masked": np.ma.array,
    "data frame": pandas.DataFrame,
    "CSR array": sparse.csr_array,
    "CSR matrix": sparse.csr_matrix,
    "CSC array": sparse.csc_array,
    "COO array": sparse.coo_array,
    "linear operator": aslinearoperator,
    "dask": dask.from_array,
    "xarray": xarray.DataArray,
    "torch": torch.tensor,
    "JAX": jnp.asarray,
    "TensorFlow": tf.constant,
}
LEFT: dict[str, Callable[[Any, Any], Any]] = {
    "@": lambda x, core: x @ core,
    "*": lambda x, core: x * core,
    "method": lambda x, core: x.dot(core) if hasattr(x, "dot") else core.rdot(x),
    "np.dot": np.dot,
    "np.matmul": np.matmul,
    "np.linalg.matmul": np.linalg.matmul,
    "rmatmul": lambda x, core: core.rmatmul(x),
    "rdot": lambda x, core: core.rdot(x),
}
RIGHT: dict[str, Callable[[Any, Any], Any]] = {
    "@": lambda x, core: core @ x,
    "*": lambda x, core: core * x,
    "np.dot": lambda x, core: np.dot(core, x),
    "np.matmul": lambda x, core: np.matmul(core, x),
    "matmul": lambda x, core: core.matmul(x),
    "dot": lambda x, core: core.dot(x),
}
#: Forms that a core itself takes, whoever is asked first in ``@``.
TAKEN = [form for form in FORMS if form != "linear operator"]


def outcome(product: Callable[[], Any]) -> np.ndarray | None:
    """The product as an array, or None if it was refused."""
    try:
        y = product()
        y = y.compute() if hasattr(y, "compute") else y
        return np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    except (ValueError, TypeError, NotImplementedError):
        return None


def assert_analog_or_refused(y: np.ndarray | None, analog: np.ndarray) -> None:
    if y is not None:
        np.testing.assert_allclose(y, analog, rtol=1e-5)


@pytest.mark.parametrize("operation", list(LEFT))
@pytest.mark.parametrize("form", list(FORMS))
def test_products_from_the_left_are_analog_or_refused(form: str, operation: str) -> None:
    core = coarse()
    assert_analog_or_refused(outcome(lambda: LEFT[operation](FORMS[form](Z), core)), Z @ core)
    vector = Z[0]
    if form in ("array", "list", "masked", "torch", "JAX", "TensorFlow", "xarray", "dask"):
        assert_analog_or_refused(outcome(lambda: LEFT[operation](FORMS[form](vector), core)), vector @ core)


@pytest.mark.parametrize("operation", list(RIGHT))
@pytest.mark.parametrize("form", list(FORMS))
def test_products_from_the_right_are_analog_or_refused(form: str, operation: str) -> None:
    core = coarse()
    assert_analog_or_refused(outcome(lambda: RIGHT[operation](FORMS[form](X), core)), core @ X)


@pytest.mark.parametrize("form", TAKEN)
def test_a_core_takes_what_becomes_an_array(form: str) -> None:
    """These are never refused where the core is asked; results are plain arrays of the right shape."""
    core = coarse()
    for y, analog in (
        (core @ FORMS[form](X), core @ X),
        (core.rmatmul(FORMS[form](Z)), Z @ core),
        (core[:, 1:].T @ FORMS[form](A), core[:, 1:].T @ A),
        (core[1] @ FORMS[form](X), core[1] @ X),
    ):
        assert y.shape == analog.shape
        np.testing.assert_allclose(np.asarray(y), analog, rtol=1e-5)
    np.testing.assert_allclose(AnalogCore(FORMS[form](A)).get_matrix(), A, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("form", ["matrix", "masked"])
def test_look_alikes_of_numpy_multiply_from_both_sides(form: str) -> None:
    core = coarse()
    y = FORMS[form](Z) @ core
    assert type(y) is np.ndarray
    np.testing.assert_array_equal(y, Z @ core)


PRODUCTS: dict[str, Callable[[Any], Any]] = {
    "np.einsum": lambda core: np.einsum("ij,jk", Z, core),
    "np.inner": lambda core: np.inner(Z, core.T),
    "np.tensordot": lambda core: np.tensordot(Z, core, 1),
    "np.vdot": lambda core: np.vdot(Z[0], core[:, 0]),
    "np.outer": lambda core: np.outer(Z[0], core[:, 0]),
    "np.kron": lambda core: np.kron(Z, core),
    "np.linalg.multi_dot": lambda core: np.linalg.multi_dot([Z, core]),
    "np.linalg.matrix_power": lambda core: np.linalg.matrix_power(core[:5], 2),
    "np.multiply": lambda core: A * core,
    "np.subtract": lambda core: A - core,
    "np.add": lambda core: np.add(core, 1.0),
    "np.divide": lambda core: core / A,
    "np.multiply.outer": lambda core: np.multiply.outer(Z[0], core),
    "np.matmul with out": lambda core: np.matmul(Z, core, out=np.empty((4, 5))),
    "np.vecmat": lambda core: np.vecmat(Z, core) if hasattr(np, "vecmat") else core * A,
    "x.dot": lambda core: Z.dot(core),
}
OTHER_PRODUCTS: dict[str, Callable[[Any], Any]] = {
    "view": lambda core: Z[:, :3].dot(core[:3]),
    "transpose": lambda core: X.T.dot(core.T).T,
    "array of a core": lambda core: np.asanyarray(core).T.dot(Z.T).T,
    "masked dot": lambda core: np.ma.dot(Z, core),
    "masked inner": lambda core: np.ma.inner(Z, core.T),
    "torch": lambda core: torch.matmul(torch.tensor(Z), core),
    "torch layer": lambda core: torch.nn.functional.linear(torch.tensor(Z), core),
    "JAX": lambda core: jnp.matmul(jnp.asarray(Z), core),
    "TensorFlow": lambda core: tf.matmul(tf.constant(Z), core),
    "TensorFlow times": lambda core: core * tf.ones(core.shape),
    "times TensorFlow": lambda core: tf.ones(core.shape) * core,
    "TensorFlow axes": lambda core: tf.tensordot(tf.constant(Z), core, 1),
    "TensorFlow vector": lambda core: tf.linalg.matvec(core, tf.constant(X[:, 0])),
    "dask": lambda core: dask.dot(dask.from_array(Z), core),
    "dask matmul": lambda core: dask.matmul(dask.from_array(Z), core),
    "series": lambda core: pandas.Series(Z[0]) @ core,
    "series method": lambda core: pandas.Series(Z[0]).dot(core),
    "xarray": lambda core: xarray.dot(
        xarray.DataArray(Z, dims=("a", "b")), xarray.DataArray(core, dims=("b", "c")), dim="b"
    ),
}


@pytest.mark.parametrize("name", list(PRODUCTS))
def test_other_products_and_arithmetic_are_refused_by_name_with_the_remedy(name: str) -> None:
    with pytest.raises(OperandError, match="get_matrix") as caught:
        PRODUCTS[name](coarse())
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize("name", list(OTHER_PRODUCTS))
def test_products_of_other_libraries_are_analog_or_refused(name: str) -> None:
    core = coarse()
    found = outcome(lambda: OTHER_PRODUCTS[name](core))
    assert_analog_or_refused(found, Z @ core if found is None or found.ndim == 2 else Z[0] @ core)


def test_a_users_own_operand_is_refused_as_any_library() -> None:
    class Stack:
        def __matmul__(self, other: Any) -> Any:
            return Z @ np.asarray(other)

    with pytest.raises(OperandError, match="__matmul__"):
        Stack() @ coarse()


def test_a_linear_operator_of_a_core_is_analog() -> None:
    core = coarse()
    np.testing.assert_array_equal(aslinearoperator(core).matmat(X), core @ X)


def test_masked_entries_have_no_voltage() -> None:
    hole = np.ma.array(X, mask=X > 1)
    core = coarse()
    for use in (lambda: core @ hole, lambda: AnalogCore(hole), lambda: core.__setitem__(..., np.ma.masked_less(A, 0))):
        with pytest.raises(InputError, match="masked"):
            use()


READING: dict[str, Callable[[Any, Any], Any]] = {
    "allclose": np.allclose,
    "array_equal": np.array_equal,
    "norm": lambda a, _: np.linalg.norm(a),
    "svd": lambda a, _: np.linalg.svd(a)[1],
    "lstsq": lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0],
    "pinv": lambda a, _: np.linalg.pinv(a),
    "sum": lambda a, _: np.sum(a),
    "sum over an axis": lambda a, _: np.sum(a, axis=0),
    "mean": lambda a, _: np.mean(a),
    "max": lambda a, _: np.max(a),
    "abs": lambda a, _: np.abs(a),
    "root": lambda a, _: np.sqrt(np.abs(a)),
    "finite": lambda a, _: np.isfinite(a),
    "comparison": np.greater,
    "comparison, other way": lambda a, b: b <= a,
    "cumulative": lambda a, _: np.maximum.accumulate(a),
    "reduction": lambda a, _: np.add.reduce(a),
    "stack": lambda a, b: np.stack([a, b]),
    "concatenate": lambda a, b: np.concatenate((b, a)),
    "where": lambda a, b: np.where(b > 0, a, 0),
    "histogram": lambda a, _: np.histogram(a, 5)[0],
    "fft": lambda a, _: np.fft.fft(a),
    "ravel": lambda a, _: np.ravel(a),
    "asarray": lambda a, _: np.asarray(a),
    "array in single precision": lambda a, _: np.array(a, dtype=np.float32),
    "list of arrays": lambda a, b: np.array([a, b]),
    "copy": lambda a, _: np.asarray(np.asanyarray(a).copy()),
    "data frame": lambda a, _: pandas.DataFrame(a).to_numpy(),
    "assert": lambda a, b: np.testing.assert_allclose(a, b, atol=3),
}


@pytest.mark.parametrize("part", ["core", "transpose", "view", "row"])
@pytest.mark.parametrize("name", list(READING))
def test_functions_that_do_not_multiply_read_the_matrix(name: str, part: str) -> None:
    cut: dict[str, Any] = {
        "core": lambda m: m,
        "transpose": lambda m: m.T,
        "view": lambda m: m[1:4, ::2],
        "row": lambda m: m[2],
    }
    core = cut[part](core_on(A, STYLES["offset"]))
    if part == "row" and name in ("svd", "lstsq", "pinv", "data frame"):
        pytest.skip("of matrices")
    read, other = core.get_matrix(), np.asarray(cut[part](A))
    found, expected = READING[name](core, other), READING[name](read, other)
    assert type(found) is type(expected)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_saving_reads() -> None:
    core, file = core_on(A), io.BytesIO()
    np.save(file, core)
    file.seek(0)
    np.testing.assert_array_equal(np.load(file), core.get_matrix())


@pytest.mark.parametrize("swap", [np.transpose, lambda m: np.swapaxes(m, 0, 1), lambda m: np.moveaxis(m, 0, -1)])
def test_rearranged_axes_are_views_that_multiply_in_analog(swap: Any) -> None:
    core = coarse()
    np.testing.assert_array_equal(swap(core) @ A, core.T @ A)
    np.testing.assert_array_equal(np.moveaxis(core, 0, 0) @ X, core @ X)


WRITING: dict[str, Callable[[Any], Any]] = {
    "np.copyto": lambda core: np.copyto(core, A),
    "np.put": lambda core: np.put(core, [0], 1.0),
    "np.fill_diagonal": lambda core: np.fill_diagonal(core, 1.0),
    "np.add": lambda core: np.add(A, A, out=core),
    "np.cumsum": lambda core: np.cumsum(A, axis=0, out=core),
}


@pytest.mark.parametrize("name", list(WRITING))
def test_functions_that_write_are_refused(name: str) -> None:
    """They would write on what was read, which changes no array."""
    with pytest.raises(OperandError, match=rf"{name} .*core\[\.\.\.\] = values"):
        WRITING[name](core_on(A))
    target = np.zeros_like(A)
    np.copyto(target, core_on(A))
    np.testing.assert_allclose(target, A)


def test_ideal_cores_follow_the_same_rule() -> None:
    with pytest.raises(OperandError):
        Z.dot(AnalogCore(A, CrossSimParameters()))
