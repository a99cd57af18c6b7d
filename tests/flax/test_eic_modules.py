"""Modules of networks of cores: against plain loops, and the laws of comparators."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from crossohm.chip import ChipSpec, NetworkShape, SlotPattern, slot_pattern
from crossohm.errors import MappingError, ParameterError, ShapeError, UnknownNameError
from crossohm.flax import Accumulator, EICDense, EICNet, Execution, NoisyComparator, PermuteBlock
from crossohm.flax.eic.comparator import compare
from crossohm.flax.eic.execution import Mode

CHIP = ChipSpec(core_in=16, core_out=16, slot=2)
IDEAL = Execution()


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("n_in", "n_out"), [(16, 16), (49, 19), (784, 300), (300, 10)])
def test_a_dense_keeps_the_product_of_every_core_apart(n_in: int, n_out: int) -> None:
    dense, x = EICDense(CHIP, n_in, n_out, rngs=nnx.Rngs(0)), normal(3, n_in)
    weights = np.asarray(dense.weights[...])
    ob, ib = weights.shape[:2]
    assert (ib, ob) == (-(-n_in // 16), -(-n_out // 16))
    padded = np.pad(x, ((0, 0), (0, ib * 16 - n_in)))
    found = dense.product(jnp.asarray(x), IDEAL)
    assert found.shape == (3, ib, ob, 16)
    for i in range(ob):
        for j in range(ib):
            expected = padded[:, 16 * j : 16 * (j + 1)] @ weights[i, j].T
            np.testing.assert_allclose(found[:, j, i], expected, atol=1e-5)


def test_cores_of_256_take_784_300_and_10() -> None:
    for n_in, n_out, blocks in ((784, 300, (2, 4)), (300, 10, (1, 2))):
        dense = EICDense(ChipSpec(), n_in, n_out, rngs=nnx.Rngs(0))
        assert dense.weights[...].shape == (*blocks, 256, 256)


def test_an_accumulator_multiplies_the_sum_of_bits() -> None:
    bits = (normal(3, 4, 2, 16) > 0).astype(np.float32)
    accumulator = Accumulator(CHIP, 30, rngs=nnx.Rngs(0))
    weights, found = np.asarray(accumulator.weights[...]), accumulator.product(jnp.asarray(bits), IDEAL)
    for i in range(2):
        np.testing.assert_allclose(found[:, i], bits.sum(1)[:, i] @ weights[i].T, atol=1e-5)


def test_the_rule_of_the_notebook_is_a_column_sum() -> None:
    bits = (normal(3, 4, 2, 16) > 0).astype(np.float32)
    accumulator = Accumulator(CHIP, 32, rngs=nnx.Rngs(0), kind="column_sum")
    expected = np.einsum("bjik,ijk->bik", bits.sum(1, keepdims=True).repeat(16, 1).transpose(0, 1, 2, 3),
                         np.asarray(accumulator.weights[...]))  # fmt: skip
    np.testing.assert_allclose(accumulator.product(jnp.asarray(bits), IDEAL), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tau", [0.0, 1.0, 2.0, 5.0, 10.0])
def test_a_softened_permutation_is_the_hard_one_with_a_gain(tau: float) -> None:
    pattern, x = slot_pattern(CHIP, "random", seed=3), normal(2, 16)
    assert pattern is not None
    eye = np.eye(8)
    soft = jax.nn.softmax(tau * eye[list(pattern.plus)]) - jax.nn.softmax(tau * eye[list(pattern.minus)])
    expected = np.einsum("ij,bjl->bil", soft, x.reshape(2, 8, 2)).reshape(2, 16)
    gain = (math.exp(tau) - 1) / (math.exp(tau) + 7)
    np.testing.assert_allclose(gain * PermuteBlock(pattern)(jnp.asarray(x)), expected, atol=1e-6)


def test_a_permutation_has_the_gradient_of_its_matrix() -> None:
    pattern = slot_pattern(CHIP, "cycle", seed=1)
    assert pattern is not None
    permute = PermuteBlock(pattern)
    matrix = np.asarray(jax.vmap(permute)(jnp.eye(16))).T
    weights = normal(16)
    gradient = jax.grad(lambda x: (jnp.asarray(weights) * permute(x)).sum())(jnp.zeros(16))
    np.testing.assert_array_equal(gradient, matrix.T @ weights)
    assert np.linalg.matrix_rank(matrix) == permute.rank * CHIP.slot
    np.testing.assert_array_equal(permute(jnp.ones((3, 16))), 0)


def test_dead_lines_are_zero() -> None:
    permute = PermuteBlock(SlotPattern((0, 1, 2), (0, 2, 1), 2))
    found = permute(jnp.asarray(normal(5, 6)))
    assert permute.dead_lines == 2
    np.testing.assert_array_equal(found[:, :2], 0)


def test_the_rate_of_ones_is_that_of_the_normal_distribution() -> None:
    z = jnp.array([-0.4, 0.0, 0.3, 1.0])
    comparator = NoisyComparator((4,))
    comparator.theta[...] = jnp.full(4, 0.1)
    bits = comparator(jnp.tile(z, (100_000, 1)), Execution("noisy", 0.5, jax.random.key(0)))
    expected = jax.scipy.stats.norm.cdf((z - 0.1) / 0.5)
    np.testing.assert_allclose(bits.mean(0), expected, atol=4 * 0.5 / math.sqrt(100_000))


def test_equality_gives_one_with_and_without_noise_of_zero() -> None:
    comparator = NoisyComparator((2,))
    for execution in (IDEAL, Execution("noisy", 0.0, jax.random.key(0))):
        np.testing.assert_array_equal(comparator(jnp.array([[0.0, -1e-6]]), execution), [[1, 0]])


@pytest.mark.parametrize("mode", ["ideal", "noisy"])
def test_the_expected_bit_has_no_derivative_without_noise(mode: Mode) -> None:
    execution, z = Execution(mode, 0.0, jax.random.key(0)), jnp.zeros((1, 4))
    with pytest.raises(ParameterError, match=r"execution\.sd.*> 0"):
        NoisyComparator((4,), surrogate="expected")(z, execution)
    assert NoisyComparator((4,), surrogate="clip")(z, execution).shape == z.shape


@pytest.mark.parametrize("surrogate", ["clip", "gauss", "triangle", "expected"])
def test_surrogates_are_centred_on_the_threshold(surrogate: str) -> None:
    u, sd, width = np.array([0.0, 0.5, 3.0]), 0.4, 1.0
    expected = {
        "clip": np.array([1, 1, 0]), "gauss": np.exp(-(u**2) / 2), "triangle": np.maximum(1 - u, 0),
        "expected": np.exp(-((u / sd) ** 2) / 2) / (sd * math.sqrt(2 * math.pi)),
    }[surrogate]  # fmt: skip
    gradient = jax.grad(lambda z: compare(surrogate, width, z - 3, jnp.zeros(()), jnp.float32(sd)).sum())
    np.testing.assert_allclose(gradient(jnp.asarray(u + 3, jnp.float32)), expected, rtol=1e-5, atol=1e-7)


def test_thresholds_get_minus_the_sum_over_the_batch() -> None:
    comparator, z, weights = NoisyComparator((5,)), jnp.asarray(normal(7, 5)), jnp.asarray(normal(7, 5))
    graph, params, rest = nnx.split(comparator, nnx.Param, ...)

    def total(params: nnx.State, z: jax.Array) -> jax.Array:
        return (weights * nnx.merge(graph, params, rest)(z, IDEAL)).sum()

    to_params, to_z = jax.grad(total, argnums=(0, 1))(params, z)
    np.testing.assert_allclose(to_params["theta"][...], -to_z.sum(0), rtol=1e-5)


def test_the_same_key_repeats_and_calls_with_others_differ() -> None:
    comparator, z = NoisyComparator((50,)), jnp.zeros((20, 50))
    first, again, other = (comparator(z, Execution("noisy", 1.0, jax.random.key(seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_bipolar_bits_are_unipolar_ones_moved() -> None:
    z = jnp.asarray(normal(4, 6))
    unipolar, bipolar = (NoisyComparator((6,), encoding=encoding)(z, IDEAL) for encoding in ("unipolar", "bipolar"))
    np.testing.assert_array_equal(bipolar, 2 * unipolar - 1)


def test_calibration_brings_what_is_compared_to_a_deviation_of_one() -> None:
    net = EICNet(NetworkShape(CHIP, (64, 32, 16), classes=4), rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).random((512, 64)), jnp.float32)
    execution = Execution("noisy", 0.1, jax.random.key(0))
    net.calibrate(x, execution)
    for layer in net.layers:
        z = layer.dense.product(x, execution)
        assert float(jnp.std(layer.comparator.gain[...] * z)) == pytest.approx(1, abs=0.05)
        np.testing.assert_allclose(layer.comparator.level(z, IDEAL).mean(0), 0, atol=1e-5)
        x = layer(x, execution)
    assert float(jnp.std(net.scale[...] * net._scores(x))) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_noise_over_a_batch_of_keys_can_be_mapped() -> None:
    net = EICNet((32, 32, 16), CHIP, rngs=nnx.Rngs(0))
    x, keys = jnp.asarray(normal(4, 32)), jax.random.split(jax.random.key(0), 3)
    mapped = jax.vmap(lambda key: net(x, Execution("noisy", 1.0, key)))(keys)
    for key, found in zip(keys, mapped, strict=True):
        np.testing.assert_allclose(found, net(x, Execution("noisy", 1.0, key)), rtol=1e-5)


def test_a_network_that_does_not_fit_is_refused_unless_asked_for() -> None:
    chip = ChipSpec(grid=(1, 1), core_in=16, core_out=16, slot=2)
    with pytest.raises(MappingError, match="grid 1 x 1"):
        EICNet((16, 16), chip, rngs=nnx.Rngs(0))
    assert EICNet((16, 16), chip, rngs=nnx.Rngs(0), strict=False).shape.chip == chip


def test_mistakes_are_told() -> None:
    with pytest.raises(ParameterError, match=r"execution.key"):
        Execution("noisy")
    with pytest.raises(UnknownNameError, match="nosy"):
        Execution("nosy")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="of 32 inputs"):
        EICDense(CHIP, 32, 16, rngs=nnx.Rngs(0)).product(jnp.ones((2, 31)), IDEAL)
    with pytest.raises(ShapeError, match="pool of 3"):
        Execution("noisy", 1.0, jax.random.key(0), jnp.ones(3)).normal(0, (2, 2))
