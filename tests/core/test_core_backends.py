"""One chip in every array library: same conductances bit for bit, same results to rounding, gradients where asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_hardware import STYLES, core_on, hardware
from covering import every_pair

from crossohm import AnalogCore, InputError
from crossohm.backends import backend_of

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
tf = pytest.importorskip("tensorflow")

RNG = np.random.default_rng(11)
A = RNG.uniform(-1, 1, (5, 7))
X = RNG.uniform(-1, 1, (7, 4))
NOISY_WRITE = {
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalProportionalDevice",
    "xbar.device.programming_error.magnitude": 0.1,
}
READ_NOISE = {
    "xbar.device.read_noise.enable": True,
    "xbar.device.read_noise.model": "NormalIndependentDevice",
    "xbar.device.read_noise.magnitude": 0.01,
}
CONVERTERS = {
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 6,
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 7,
    "xbar.adc.mvm.adc_range_option": "MAX",
}
CIRCUIT = {
    "xbar.adc.mvm.model": "RampADC",
    "xbar.adc.mvm.bits": 6,
    "xbar.adc.mvm.adc_range_option": "MAX",
    "xbar.adc.mvm.sigma_capacitor": 0.02,
    "xbar.adc.mvm.sigma_comparator": 0.02,
}
EVERY_STYLE = pytest.mark.parametrize("style", list(STYLES))
CHAINS = {
    "ideal": {},
    "converters": CONVERTERS,
    "input slices": {**CONVERTERS, "xbar.dac.mvm.input_bitslicing": True, "xbar.adc.mvm.adc_per_ibit": True},
    "circuit ADC": CIRCUIT,
    "current limit": {"xbar.array.Icol_max": 1.0},
    "input percentile": {"core.mapping.inputs.mvm.percentile": 0.9},
    "nonlinear cells": {
        "xbar.device.nonlinear_IV.enable": True,
        "xbar.device.nonlinear_IV.model": "CubicDevice",
        "xbar.device.Vread": 1.0,
    },
    "partitions": {"core.rows_max": 3, "core.cols_max": 2, **CONVERTERS},
}
EVERY_CHAIN = pytest.mark.parametrize("chain", list(CHAINS))

TO = {"numpy": np.asarray, "torch": torch.as_tensor, "jax": jnp.asarray, "tensorflow": tf.constant}
LIBRARY = pytest.mark.parametrize("library", ["torch", "jax"])


def back(y: Any) -> np.ndarray:
    return y.detach().numpy() if isinstance(y, torch.Tensor) else np.asarray(y)


# --- programming ------------------------------------------------------------------------------------------------------


@EVERY_STYLE
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_seed_same_chip_bit_for_bit(style: str, dtype: str) -> None:
    matrices = [A.astype(dtype), torch.as_tensor(A.astype(dtype)), tf.constant(A.astype(dtype))]
    if dtype == "float32":  # JAX holds no float64 unless its global switch is set
        matrices.append(jnp.asarray(A.astype(dtype)))
    cores = [core_on(matrix, STYLES[style], NOISY_WRITE, CIRCUIT, seed=9) for matrix in matrices]
    first = cores[0].blocks[0].record
    for core in cores[1:]:
        record = core.blocks[0].record
        assert record.conductance.dtype == first.conductance.dtype
        np.testing.assert_array_equal(record.conductance, first.conductance)
        np.testing.assert_array_equal(record.target, first.target)
        assert record.limits == first.limits
        assert record.mismatch.keys() == first.mismatch.keys()
        for name, value in record.mismatch.items():
            np.testing.assert_array_equal(value, first.mismatch[name])
        for name, value in record.units.items():
            np.testing.assert_array_equal(value, first.units[name])
        np.testing.assert_array_equal(core.get_matrix(), cores[0].get_matrix())


def test_rewriting_from_another_library_keeps_the_chip() -> None:
    cores = [core_on(A.astype(np.float32), NOISY_WRITE, seed=9) for _ in TO]
    for core, library in zip(cores, TO, strict=True):
        core.set_matrix(TO[library]((A / 2).astype(np.float32)))
        core[1:3] = TO[library](np.full(7, 0.1, np.float32))
    for core in cores[1:]:
        np.testing.assert_array_equal(core.blocks[0].record.conductance, cores[0].blocks[0].record.conductance)


# --- multiplying ------------------------------------------------------------------------------------------------------


def quantised(chain: str) -> bool:
    return chain in ("converters", "input slices", "circuit ADC", "partitions")


def agree(actual: np.ndarray, expected: np.ndarray, chain: str, dtype: str) -> None:
    """Equal to rounding; behind a converter a rare element next to a threshold may fall to the other side."""
    scale = np.abs(expected).max()
    close = np.abs(actual - expected) <= (2e-5 if dtype == "float32" else 1e-11) * scale
    one_step_elsewhere = 1 if quantised(chain) and dtype == "float32" else 0
    assert np.sum(~close) <= one_step_elsewhere
    assert np.max(np.abs(actual - expected)) <= 0.1 * scale


@EVERY_STYLE
@EVERY_CHAIN
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", ["torch", "tensorflow"])
def test_torch_and_tensorflow_agree_with_numpy(style: str, chain: str, dtype: str, library: str) -> None:
    make = TO[library]
    core = core_on(A.astype(dtype), STYLES[style], CHAINS[chain], NOISY_WRITE)
    x, z = X.astype(dtype), X.T[:, :5].copy().astype(dtype)
    for ours, numpys in (
        (core @ make(x), core @ x),
        (core @ make(x[:, 0]), core @ x[:, 0]),
        (make(z) @ core, z @ core),
        (core.T @ make(z.T.copy()), core.T @ z.T),
        (core[1:4] @ make(x), core[1:4] @ x),
        (core @ make(np.stack([x, x])), core @ np.stack([x, x])),
        (core[2, :3] @ make(x[:3]), core[2, :3] @ x[:3]),
    ):
        assert backend_of(ours).name == library
        assert backend_of(ours).dtype_name(ours) == dtype
        assert tuple(ours.shape) == numpys.shape
        agree(back(ours), numpys, chain, dtype)


@pytest.mark.parametrize(
    ("style", "chain", "operand"),
    every_pair(
        ["balanced", "digital-subtraction", "unit-column", "sliced-offset"],
        CHAINS,
        ["matrix", "vector", "from the left"],
    ),
)
def test_jax_agrees_with_numpy_also_under_jit(style: str, chain: str, operand: str) -> None:
    core = core_on(A.astype(np.float32), STYLES[style], CHAINS[chain], NOISY_WRITE)
    x = {"matrix": X, "vector": X[:, 0], "from the left": X.T[:, :5]}[operand].astype(np.float32)
    function = core.rmatmul if operand == "from the left" else core.matmul
    expected = function(x)
    for run in (function, jax.jit(function)):
        y = run(jnp.asarray(x))
        assert isinstance(y, jax.Array)
        assert y.dtype == np.float32
        agree(np.asarray(y), expected, chain, "float32")


def test_left_operand_of_jax_dispatches_to_the_core() -> None:
    core = core_on(A.astype(np.float32))
    z = jnp.asarray(X.T[:, :5].astype(np.float32))
    np.testing.assert_allclose(np.asarray(z @ core), np.asarray(z) @ A, atol=1e-5)


@pytest.mark.reference_defect("Q07")
def test_one_core_serves_all_libraries_in_turn() -> None:
    core = core_on(A.astype(np.float32), CONVERTERS)
    x = X.astype(np.float32)
    expected = core @ x
    for library in ("torch", "jax", "tensorflow", "numpy", "torch", "jax", "tensorflow"):
        agree(back(core @ TO[library](x)), expected, "converters", "float32")
    y = core @ torch.as_tensor(x).double()
    assert y.dtype == torch.float64


@pytest.mark.parametrize("matrix", ["float32", "float64"])
@pytest.mark.parametrize("inputs", ["float32", "float64", "float16", "int32"])
@pytest.mark.parametrize("library", [torch, tf], ids=["torch", "tensorflow"])
def test_result_dtype_follows_the_rules(matrix: str, inputs: str, library: Any) -> None:
    y = core_on(A.astype(matrix)) @ library.ones(7, dtype=getattr(library, inputs))
    assert backend_of(y).dtype_name(y) == str(np.promote_types(matrix, inputs))


@pytest.mark.parametrize("library", [torch, tf], ids=["torch", "tensorflow"])
def test_bfloat16(library: Any) -> None:
    ones = library.ones(7, dtype=library.bfloat16)
    assert (core_on(A.astype(np.float32)) @ ones).dtype == library.float32
    matrix = torch.as_tensor(A, dtype=torch.bfloat16) if library is torch else tf.constant(A, tf.bfloat16)
    y = AnalogCore(matrix, seed=0) @ ones
    assert y.dtype == library.bfloat16
    np.testing.assert_allclose(backend_of(y).to_numpy(y), A.sum(axis=1), atol=0.05)


@pytest.mark.parametrize("library", ["torch", "jax", "tensorflow"])
@pytest.mark.parametrize("inputs", ["float32", "complex64"])
def test_complex_cores(library: str, inputs: str) -> None:
    core = core_on((A - 1j * A[::-1]).astype("complex64"), {"core.complex_matrix": True, "core.complex_input": True})
    x = (X + (0.5j * X[::-1] if inputs == "complex64" else 0)).astype(inputs)
    for y, wanted in ((core @ TO[library](x), core @ x), (TO[library](x.T[:, :5]) @ core, x.T[:, :5] @ core)):
        assert backend_of(y).dtype_name(y) == "complex64"
        np.testing.assert_allclose(back(y), wanted, atol=1e-4)


# --- batches ----------------------------------------------------------------------------------------------------------


@EVERY_STYLE
@EVERY_CHAIN
def test_batch_size_does_not_change_results(style: str, chain: str) -> None:
    scope = {"core.mapping.inputs.mvm.percentile_scope": "vector"}
    core = core_on(A, STYLES[style], CHAINS[chain], NOISY_WRITE, scope)
    x = np.random.default_rng(2).uniform(-1, 1, (7, 33))
    whole = core @ x
    singles = np.stack([core @ column for column in x.T], axis=1)
    halves = np.concatenate([core @ x[:, :10], core @ x[:, 10:]], axis=1)
    for other in (singles, halves):
        close = np.abs(other - whole) <= 1e-12 * np.abs(whole).max()
        assert np.mean(close) > (0.99 if quantised(chain) else 0.999999)
    stacked = core @ np.stack([x, x[:, ::-1]])
    assert np.mean(np.abs(stacked[0] - whole) <= 1e-12 * np.abs(whole).max()) > 0.99


# --- generators -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["auto", "explicit"])
def test_generators_make_noise_repeatable(sampling: str) -> None:
    core = core_on(A.astype(np.float32), READ_NOISE, {"simulation.read_noise_sampling": sampling})
    x = X.astype(np.float32)
    makers = {
        "numpy": lambda seed: np.random.default_rng(seed),
        "torch": lambda seed: torch.Generator().manual_seed(seed),
        "jax": jax.random.key,
        "tensorflow": tf.random.Generator.from_seed,
    }
    for library, make in makers.items():
        given = TO[library](x)
        runs = [back(core.matmat(given, rng=make(seed))) for seed in (1, 1, 2)]
        np.testing.assert_array_equal(runs[0], runs[1])
        assert np.all(runs[0] != runs[2])
        for call in (core.matmul, core.dot):
            np.testing.assert_array_equal(back(call(given, rng=make(1))), runs[0])


def test_one_generator_advances() -> None:
    core = core_on(A, READ_NOISE)
    rng = np.random.default_rng(0)
    assert np.all(core.matvec(X[:, 0], rng=rng) != core.matvec(X[:, 0], rng=rng))


@pytest.mark.reference_defect("Q52")
def test_default_noise_is_the_chips_own_and_repeatable() -> None:
    """Without a generator, products follow the seed of the core, whatever global generators do."""
    runs = []
    for global_seed in (0, 1):
        np.random.seed(global_seed)  # which must not matter
        core = core_on(A, READ_NOISE, seed=3)
        runs.append([core @ X, X[:5].T @ core, core @ X[:, 0]])
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("library", ["torch", "tensorflow"])
def test_global_generators_govern_the_noise_of_their_library(library: str) -> None:
    core = core_on(A, READ_NOISE)
    seed = torch.manual_seed if library == "torch" else tf.random.get_global_generator().reset_from_seed
    runs = []
    for _ in range(2):
        seed(5)
        runs.append(back(core @ TO[library](X)))
    np.testing.assert_array_equal(*runs)
    assert (back(core @ TO[library](X)) != runs[0]).any()


def test_wrong_generators_are_refused() -> None:
    core = core_on(A, READ_NOISE)
    for library, named in (("torch", r"torch\.Generator"), ("tensorflow", r"tf\.random\.Generator")):
        with pytest.raises(InputError, match=named):
            core.matmat(TO[library](X), rng=np.random.default_rng(0))


# --- JAX under transformation -----------------------------------------------------------------------------------------


def test_noise_under_jit_needs_a_key() -> None:
    core = core_on(A.astype(np.float32), READ_NOISE)
    x = jnp.asarray(X, dtype=jnp.float32)
    with pytest.raises(InputError, match=r"rng"):
        jax.jit(lambda v: core @ v)(x)
    noisy = jax.jit(lambda v, key: core.matmul(v, rng=key))
    first, again, other = (noisy(x, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.all(np.asarray(first) != np.asarray(other))
    assert core.matmul(x).shape == (5, 4)  # outside of jit the core's own stream serves


@pytest.mark.parametrize("style", list(STYLES))
def test_jax_gradient_is_the_transposed_matrix(style: str) -> None:
    core = core_on(A.astype(np.float32), STYLES[style])
    weights = jnp.asarray(RNG.normal(size=5), dtype=jnp.float32)
    gradient = jax.jit(jax.grad(lambda v: jnp.dot(weights, core @ v)))(jnp.asarray(X[:, 0], dtype=jnp.float32))
    np.testing.assert_allclose(gradient, np.asarray(weights) @ core.get_matrix(), atol=2e-5)


def test_jax_gradient_with_noise_and_converters_is_finite() -> None:
    core = core_on(A.astype(np.float32), READ_NOISE, CONVERTERS)

    def loss(v: Any, key: Any) -> Any:
        return jnp.sum(core.matmul(v, rng=key) ** 2)

    x = jnp.asarray(X, dtype=jnp.float32)
    gradient = jax.jit(jax.grad(loss))(x, jax.random.key(0))
    assert np.all(np.isfinite(gradient))
    exact = 2 * A.T @ (A @ X)
    assert np.corrcoef(np.asarray(gradient).ravel(), exact.ravel())[0, 1] > 0.98
    still = jax.grad(loss)(jnp.zeros_like(x), jax.random.key(0))
    assert np.all(np.isfinite(still))


def test_jax_vmap() -> None:
    core = core_on(A.astype(np.float32), CONVERTERS)
    x = X.T.astype(np.float32)
    y = jax.vmap(lambda v: core @ v)(jnp.asarray(x))
    agree(np.asarray(y), (core @ x.T).T, "converters", "float32")


# --- torch autograd ---------------------------------------------------------------------------------------------------


@EVERY_STYLE
def test_torch_gradient_is_the_transposed_matrix(style: str) -> None:
    core = core_on(A, STYLES[style], {"xbar.device.cell_bits": 0})
    x = torch.as_tensor(X[:, 0], dtype=torch.float64).requires_grad_()
    weights = torch.as_tensor(RNG.normal(size=5))
    (weights @ (core @ x)).backward()
    np.testing.assert_allclose(x.grad.numpy(), weights.numpy() @ core.get_matrix(), atol=1e-12)


@EVERY_CHAIN
def test_torch_gradient_passes_straight_through_converters(chain: str) -> None:
    """Inside the ranges the gradient is that of the stored matrix, whatever rounds on the way."""
    core = core_on(A, CHAINS[chain])
    x = torch.as_tensor(0.3 * X, dtype=torch.float64).requires_grad_()
    y = core @ x
    upstream = torch.as_tensor(RNG.normal(size=tuple(y.shape)))
    y.backward(upstream)
    exact = core.get_matrix().T @ upstream.numpy()
    found = x.grad.numpy()
    assert np.all(np.isfinite(found))
    if chain in ("ideal", "converters", "input slices", "circuit ADC", "partitions"):
        np.testing.assert_allclose(found, exact, atol=1e-10)
    else:
        assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("sampling", ["auto", "explicit"])
def test_torch_gradient_with_read_noise_is_finite(sampling: str) -> None:
    core = core_on(A, READ_NOISE, CONVERTERS, {"simulation.read_noise_sampling": sampling})
    for inputs in (torch.as_tensor(X), torch.zeros(7, 4, dtype=torch.float64)):
        x = inputs.clone().requires_grad_()
        core.matmul(x, rng=torch.Generator().manual_seed(0)).square().sum().backward()
        assert torch.isfinite(x.grad).all()


def test_inputs_are_never_modified() -> None:
    for chain in CHAINS.values():
        core = core_on(A, chain)
        x = X.copy()
        core @ x
        np.testing.assert_array_equal(x, X)
        t = torch.as_tensor(X.copy())
        core @ t
        np.testing.assert_array_equal(t.numpy(), X)


def test_results_do_not_alias_the_core() -> None:
    core = core_on(A)
    core.get_matrix()[:] = 0
    np.testing.assert_allclose(core.get_matrix(), A, atol=1e-15)
    given = A.copy()
    core = AnalogCore(given, hardware(), seed=0)
    given[:] = 0
    np.testing.assert_allclose(core @ np.eye(7), A, atol=1e-14)
