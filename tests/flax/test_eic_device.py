"""Networks of cores on chips: the same bits where hardware is perfect, noise with the law of its cells."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from crossohm import UnsupportedError
from crossohm.chip import ChipSpec
from crossohm.flax import Accumulator, EICNet, Execution, NoisyComparator, on_chip, recalibrate
from crossohm.flax.eic.device import program_cores
from crossohm.testing.hardware import hardware

CHIP = ChipSpec(core_in=16, core_out=16, slot=2, input_lines=64)
PERFECT = {"xbar.device.infinite_on_off_ratio": True}
ERRORS = {
    "xbar.device.cell_bits": 4,
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalIndependentDevice",
    "xbar.device.programming_error.magnitude": 0.05,
}
NOISE = {
    "xbar.device.read_noise.enable": True,
    "xbar.device.read_noise.model": "NormalIndependentDevice",
    "xbar.device.read_noise.magnitude": 0.02,
}
KEY = jax.random.key(5)
X = jnp.asarray(np.random.default_rng(1).integers(0, 2, (200, 48)), jnp.float32)


@cache
def network() -> EICNet:
    net = EICNet((48, 32, 20), CHIP, rngs=nnx.Rngs(0))
    net.calibrate(X, Execution())
    return net


def levels(net: EICNet, execution: Execution) -> list[np.ndarray]:
    """What every bank of comparators gets."""
    found: list[np.ndarray] = []

    def note(comparator: NoisyComparator, z: jax.Array) -> None:
        found.append(np.asarray(comparator.level(z, execution)))

    net.walk(X, execution, note)
    return found


@pytest.mark.slow
def test_perfect_cores_give_the_bits_of_the_ideal_network() -> None:
    net = network()
    chip = on_chip(net, hardware(PERFECT), 3, X)
    device, ideal = Execution("device", 0.0, KEY), Execution()
    for here, there in zip(levels(chip, device), levels(net, ideal), strict=True):
        np.testing.assert_allclose(here, there, rtol=0, atol=1e-5)
        clear = abs(there) > 1e-5
        np.testing.assert_array_equal((here >= 0)[clear], (there >= 0)[clear])
    assert chip.readout_range is not None
    low, high = np.asarray(chip.readout_range[...])
    half = (high - low) / 255 / 2 * float(net.scale[...])
    np.testing.assert_allclose(chip(X, device), net(X, ideal), rtol=0, atol=1.001 * half)
    np.testing.assert_array_equal(chip(X, ideal), net(X, ideal))


def test_reads_scatter_as_noise_of_every_cell_and_phases_add() -> None:
    accumulator = Accumulator(CHIP, 16, rngs=nnx.Rngs(0))
    program_cores(accumulator, hardware(PERFECT, NOISE), 0, "a", 0.0)
    assert accumulator.effective is not None and accumulator.read_variance is not None
    matrix, variance = np.asarray(accumulator.effective[...])[0], np.asarray(accumulator.read_variance[...])[0]
    bits = np.random.default_rng(2).integers(0, 2, (1, 3, 1, 16)).astype(np.float32)
    cells = matrix + np.sqrt(variance) * np.random.default_rng(3).standard_normal((4000, 3, 16, 16))
    brute = np.einsum("npij,pj->ni", cells, bits[0, :, 0])
    reads = accumulator.product(jnp.tile(jnp.asarray(bits), (4000, 1, 1, 1)), Execution("device", 0.0, KEY))[:, 0]
    np.testing.assert_allclose(np.std(reads, 0), brute.std(0), rtol=0.08)
    np.testing.assert_allclose(np.std(reads, 0).mean(), brute.std(0).mean(), rtol=0.02)
    np.testing.assert_allclose(np.mean(reads, 0), matrix @ bits.sum(1)[0, 0], atol=5 * brute.std(0).max() / 63)


def test_a_seed_is_a_chip_and_noise_maps_over_keys() -> None:
    net = network()
    first, again, other = (on_chip(net, hardware(ERRORS, NOISE), seed, X, comparator_offset=0.1) for seed in (0, 0, 1))
    traces = 0

    @jax.jit(static_argnums=0)
    def run(graph: Any, state: Any, keys: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        chip = nnx.merge(graph, state)
        return jax.vmap(lambda key: chip(X[:20], Execution("device", 0.1, key)))(keys)

    keys = jax.random.split(KEY, 3)
    scores = [np.asarray(run(*nnx.split(chip), keys)) for chip in (first, again, other)]
    assert traces == 1
    np.testing.assert_array_equal(scores[0], scores[1])
    assert (scores[0] != scores[2]).any()
    assert (scores[0][0] != scores[0][1]).any()


def test_recalibration_brings_columns_back_to_their_means() -> None:
    net = network()
    chip = on_chip(net, hardware(ERRORS), 0, X, comparator_offset=0.5)
    noisy, device = Execution("noisy", 0.1, jax.random.key(0)), Execution("device", 0.1, jax.random.key(0))
    wanted, before = levels(net, noisy), levels(chip, device)
    recalibrate(chip, X)
    for ideal, shifted, moved in zip(wanted, before, levels(chip, device), strict=True):
        assert abs(shifted.mean(0) - ideal.mean(0)).max() > 0.1
        np.testing.assert_allclose(moved.mean(0), ideal.mean(0), atol=1e-4)
    np.testing.assert_array_equal(chip(X, noisy), net(X, noisy))


def test_cores_that_are_not_programmed_do_not_run() -> None:
    with pytest.raises(UnsupportedError, match="on_chip"):
        network()(X, Execution("device", 0.1, KEY))
