"""Plans inside `tf.function`: a batch of any size, compiled by XLA or not, traced once for any number of writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from core_hardware import STYLES, core_on, hardware
from covering import every_pair

from crossohm import AnalogCore
from crossohm.backends import backend_of
from crossohm.chain import join, split
from crossohm.errors import UnsupportedError
from crossohm.layers.maps.convolution import Convolution
from crossohm.layers.maps.grouped import GroupedConvolution
from crossohm.testing.hardware import CONVERTERS, PROGRAMMING_ERROR, READ_NOISE

RNG = np.random.default_rng(5)
X = RNG.uniform(-1, 1, (4, 6)).astype("float32")
MATRIX = RNG.normal(size=(5, 6))
SEEDS = tf.constant([3, 4])
OPEN = tf.TensorSpec((None, 6), tf.float32)

PERCENTILE = "core.mapping.inputs.mvm.percentile"
SLICES = {
    "xbar.dac.mvm": {"model": "SignMagnitudeDAC", "bits": 5, "input_bitslicing": True},
    "xbar.adc.mvm": {"model": "QuantizerADC", "bits": 7, "adc_range_option": "MAX", "adc_per_ibit": True},
}
ERRORS = {"bits": 5, "adc_range_option": "MAX", "sigma_comparator": 0.02}
CHAINS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "converters": CONVERTERS,
    "input slices": SLICES,
    "RampADC": {"xbar.adc.mvm": {"model": "RampADC", "sigma_capacitor": 0.05, **ERRORS}},
    "SarADC": {"xbar.adc.mvm": {"model": "SarADC", "sigma_capacitor": 0.05, "group_size": 2, **ERRORS}},
    "PipelineADC": {"xbar.adc.mvm": {"model": "PipelineADC", "sigma_C1": 0.05, "group_size": 2, **ERRORS}},
    "partitions": {**CONVERTERS, "core.rows_max": 4, "core.cols_max": 3},
    "largest input": {**CONVERTERS, PERCENTILE: 1.0},
    "range of the call": {**CONVERTERS, PERCENTILE: 0.8},
    "range of each vector": {**CONVERTERS, PERCENTILE: 0.8, "core.mapping.inputs.mvm.percentile_scope": "vector"},
    "current limit": {"xbar.array.Icol_max": 1.0},
    "wires": {**CONVERTERS, "xbar.array.parasitics": {"enable": True, "Rp_row": 1.0, "Rp_col": 2.0}},
}  # fmt: skip
NOISE: dict[str, dict[str, Any]] = {
    "by moments": {**READ_NOISE, **PROGRAMMING_ERROR},
    "explicit": {**READ_NOISE, "simulation.read_noise_sampling": "explicit"},
    "stochastic rounding": {**CONVERTERS, "xbar.adc.mvm.stochastic_rounding": True},
}


def core_of(style: str, changes: dict[str, Any]) -> AnalogCore:
    return core_on(MATRIX, STYLES[style], changes, seed=7)


@pytest.mark.parametrize(
    ("style", "chain"), [(style, chain) for i, style in enumerate(STYLES) for chain in [*CHAINS, *NOISE][i % 2 :: 2]]
)
def test_a_batch_of_unknown_size(style: str, chain: str) -> None:
    plan = core_of(style, (CHAINS | NOISE)[chain]).plan(tf.constant(X))
    structure, leaves = split(plan)
    variables = [tf.Variable(leaf) for leaf in leaves]

    @tf.function(input_signature=[OPEN, tf.TensorSpec((2,), tf.int32)], autograph=False)
    def product(x: Any, seeds: Any) -> Any:
        return join(structure, variables)(x, seeds)

    for x in (X, X[:3]):
        y = product(x, SEEDS)
        assert y.shape == (len(x), 5)
        np.testing.assert_allclose(y, plan(tf.constant(x), SEEDS), atol=1e-5)
    assert product.experimental_get_tracing_count() == 1
    assert product(X[:0], SEEDS).shape == (0, 5)


@pytest.mark.parametrize(
    ("style", "chain"), [(style, chain) for i, style in enumerate(STYLES) for chain in [*CHAINS][i % 5 :: 5]]
)
def test_xla_computes_the_same(style: str, chain: str) -> None:
    plan = core_of(style, CHAINS[chain]).plan(tf.constant(X))
    structure, leaves = split(plan)
    compiled = tf.function(lambda x, *own: join(structure, own)(x), jit_compile=True, autograph=False)
    found = compiled(tf.constant(X), *leaves)
    # Fused sums may round a current in the middle of two levels to the other one.
    different = np.abs(found - plan(tf.constant(X))) > 1e-4
    assert different.mean() <= 0.1


@pytest.mark.parametrize("chain", NOISE)
def test_noise_under_xla_is_that_of_its_seeds(chain: str) -> None:
    structure, leaves = split(core_of("balanced", NOISE[chain]).plan(tf.constant(X)))
    compiled = tf.function(lambda x, seeds: join(structure, leaves)(x, seeds), jit_compile=True, autograph=False)
    x = tf.constant(np.repeat(X[:1], 400, axis=0))
    first, again, other = (np.asarray(compiled(x, tf.constant(seeds))) for seeds in ([1, 2], [1, 2], [2, 1]))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    eager = np.asarray(join(structure, leaves)(x, SEEDS))
    error = 6 * eager.std(axis=0) / np.sqrt(200)
    np.testing.assert_array_less(np.abs(first.mean(axis=0) - eager.mean(axis=0)), error + 1e-6)


@pytest.mark.parametrize("style", ["balanced", "unit-column", "sliced-offset"])
@pytest.mark.parametrize("chain", ["ideal", "converters", "SarADC", "partitions"])
def test_nothing_is_traced_again_after_a_hundred_writes(style: str, chain: str) -> None:
    core, x = core_of(style, CHAINS[chain]), tf.constant(X)
    structure, leaves = split(core.plan(x))
    variables = [tf.Variable(leaf) for leaf in leaves]
    product = tf.function(lambda x: join(structure, variables)(x), autograph=False)
    for write in range(100):
        core[write % 5, write % 6] = 0.1
        found, leaves = split(core.plan(x))
        assert found == structure
        for variable, leaf in zip(variables, leaves, strict=True):
            variable.assign(leaf)
        y = product(x)
        if write % 25 == 0:
            np.testing.assert_allclose(y, core.plan(x)(x), atol=1e-5)
    assert product.experimental_get_tracing_count() == 1


def test_a_core_multiplies_inside_of_a_traced_function() -> None:
    """Autograph, which rewrites Python, included; the global generator draws afresh in every call."""
    core = core_of("balanced", {**CONVERTERS, **READ_NOISE})

    @tf.function
    def product(x: Any) -> Any:
        return x @ core.T, core @ tf.transpose(x)

    rows, columns = product(tf.constant(X))
    assert rows.shape == (4, 5)
    assert columns.shape == (5, 4)
    again, _ = product(tf.constant(X))
    assert (np.asarray(rows) != np.asarray(again)).any()


def test_products_have_gradients() -> None:
    core, x = core_of("balanced", CONVERTERS), tf.constant(X)
    ideal = core_of("balanced", {})
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, wanted = tf.reduce_sum(x @ core.T), tf.reduce_sum(x @ ideal.T)
    inside = np.abs(X) < 1
    np.testing.assert_allclose(tape.gradient(y, x)[inside], tape.gradient(wanted, x)[inside], rtol=1e-4)


def test_other_sizes_have_to_be_known() -> None:
    contraction = Convolution(2, (3,), (1,), (1,))
    product = tf.function(
        contraction.windows,
        input_signature=[tf.TensorSpec((None, 2, None), tf.float64)],
        autograph=False,
    )
    with pytest.raises(UnsupportedError, match="fixed size"):
        product(np.ones((2, 2, 5)))


@pytest.mark.parametrize("per_group", [False, True])
@pytest.mark.parametrize("chain", ["ideal", "converters", "explicit"])
def test_convolutions_of_a_batch_of_unknown_size(per_group: bool, chain: str) -> None:
    whole = Convolution(4, (3, 2), (2, 1), (1, 1), bias_columns=1, groups=2, padding=(1, 0))
    contraction: Any = GroupedConvolution(whole) if per_group else whole
    columns = (2 if per_group else 4) * 6 + 1
    changes = {**(CHAINS | NOISE)[chain], "core.rows_max": 8}
    params = hardware(STYLES["balanced"], changes)
    core = AnalogCore(RNG.normal(size=(6, columns)), params, seed=2, row_groups=2 if per_group else 1)
    x = RNG.uniform(-1, 1, (3, 5, 6, 7)).astype("float32")
    x[:, 4] = 1
    wanted = core.apply(tf.constant(x), contraction, SEEDS)
    for spec in ((None, 5, 6, 7), (3, 5, 6, 7)):
        product = tf.function(lambda x, seeds: core.apply(x, contraction, seeds), autograph=False)
        found = product.get_concrete_function(tf.TensorSpec(spec, tf.float32), SEEDS)(tf.constant(x), SEEDS)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "groups", "compiled"),
    every_pair([((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 1), (2, 1)), ((2, 2), (1, 2))], [1, 2, 4], [False, True]),
)
def test_gradients_of_convolutions_while_traced(
    steps: tuple[tuple[int, int], tuple[int, int]], groups: int, compiled: bool
) -> None:
    stride, dilation = steps
    contraction = Convolution(4, (3, 2), stride, dilation, groups=groups)
    x = tf.constant(RNG.normal(size=(3, 4, 7, 8)).astype("float32"))
    matrix = tf.constant(RNG.normal(size=(8, 24)).astype("float32"))
    grad = tf.constant(RNG.normal(size=(3, 8, *contraction.positions((7, 8)))).astype("float32"))

    def gradients(grad: Any, x: Any) -> Any:
        return contraction.input_gradient(grad, matrix, x.shape), contraction.matrix_gradient(grad, x)

    traced: Callable[..., Any] = tf.function(gradients, jit_compile=compiled, autograph=False)
    if not compiled:
        open_ = (tf.TensorSpec((None, *value.shape[1:]), tf.float32) for value in (grad, x))
        traced = traced.get_concrete_function(*open_)
    for found, wanted in zip(traced(grad, x), gradients(grad, x), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert backend_of(x).is_traced(x) is False
