"""Cores of a chip as hardware: the same devices as those of `AnalogCore`, and reads with the same law."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from crossohm import AnalogCore, ParameterError, ShapeError, UnsupportedError
from crossohm.chip import ProgrammedCores, program
from crossohm.params import CrossSimParameters
from crossohm.testing.hardware import hardware

RNG = np.random.default_rng(4)
WEIGHTS = RNG.uniform(-1, 1, (2, 3, 12, 20)).astype(np.float32)
CONTINUOUS = {"xbar.device.infinite_on_off_ratio": True}
ERRORS = {
    "xbar.device.cell_bits": 4,
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalIndependentDevice",
    "xbar.device.programming_error.magnitude": 0.05,
}
SINGLE = {"core.style": "OFFSET"}
WIRES = {"xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 3.0, "xbar.array.parasitics.Rp_col": 5.0}


def noise(model: str, magnitude: float) -> dict[str, Any]:
    path = "xbar.device.read_noise"
    return {f"{path}.enable": True, f"{path}.model": model, f"{path}.magnitude": magnitude}


def core_of(params: CrossSimParameters, place: tuple[int, int], seed: int = 7, w_max: float = 1.0) -> AnalogCore:
    """The core that stands at ``place``, built by hand."""
    own = params.copy()
    own.core.mapping.weights.min, own.core.mapping.weights.max = -w_max, w_max
    return AnalogCore(WEIGHTS[place], own, seed=seed, name=f"layer1.{place[0]}.{place[1]}")


def written(*overrides: dict[str, Any], seed: int = 7, **given: Any) -> ProgrammedCores:
    return program(WEIGHTS, hardware(*overrides), seed, "layer1", **given)


def test_perfect_devices_hold_the_weights() -> None:
    cores = written(CONTINUOUS)
    np.testing.assert_allclose(cores.effective, WEIGHTS, rtol=0, atol=2e-7)
    assert cores.read_variance is None
    assert cores.effective.dtype == np.float32
    assert not cores.offsets.any() and cores.offsets.shape == (2, 3, 12)


@pytest.mark.parametrize("w_max", [1.0, 0.5])
@pytest.mark.parametrize("overrides", [ERRORS, WIRES, ERRORS | WIRES], ids=["errors", "wires", "both"])
def test_every_core_is_the_analog_core_of_its_name(overrides: dict[str, Any], w_max: float) -> None:
    cores = written(overrides, w_max=w_max)
    for place in np.ndindex(2, 3):
        core = core_of(hardware(overrides), (place[0], place[1]), w_max=w_max)
        np.testing.assert_array_equal(cores.effective[place], core.effective_matrix())
        if not core.params.xbar.array.parasitics.effective:
            np.testing.assert_array_equal(cores.effective[place], core.get_matrix())


def test_one_chip_for_each_seed_and_name() -> None:
    first, again, other = (written(ERRORS, comparator_offset=0.2, seed=seed) for seed in (7, 7, 8))
    renamed = program(WEIGHTS, hardware(ERRORS), 7, "layer2", comparator_offset=0.2)
    for name in ("effective", "offsets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))
        assert not np.array_equal(getattr(first, name), getattr(renamed, name))
    same = program(np.stack([WEIGHTS[0, 0]] * 2), hardware(ERRORS), 7, "layer1", comparator_offset=0.2)
    assert not np.array_equal(same.effective[0], same.effective[1])
    assert not np.array_equal(same.offsets[0], same.offsets[1])


def test_offsets_of_comparators_have_the_spread_asked_for() -> None:
    offsets = program(np.zeros((20, 200, 1)), hardware(), 3, "a", comparator_offset=0.2).offsets
    assert offsets.std() == pytest.approx(0.2, rel=0.05)
    assert abs(offsets.mean()) < 0.02


@pytest.mark.parametrize(
    ("model", "magnitude"),
    [("NormalProportionalDevice", 0.1), ("NormalIndependentDevice", 0.01), ("NormalIndependentDevice", 0.1)],
    ids=["proportional", "independent", "reaches zero"],
)
@pytest.mark.parametrize("clip", [False, True])
def test_reads_scatter_as_those_of_the_core(model: str, magnitude: float, clip: bool) -> None:
    params = hardware(ERRORS, noise(model, magnitude), {"xbar.device.clip_conductance": clip})
    params.simulation.read_noise_sampling = "explicit"
    reads, x = 4000, np.where(RNG.random(20) < 0.5, 1.0, -1.0) * RNG.integers(0, 3, 20)
    cores = program(WEIGHTS, params, 7, "layer1")
    assert cores.read_variance is not None
    found = np.asarray(core_of(params, (1, 2)) @ np.repeat(x[:, None], reads, 1))
    mean, variance = cores.effective[1, 2] @ x, cores.read_variance[1, 2] @ x**2
    z = norm.isf(1e-6)
    assert np.all(np.abs(found.mean(1) - mean) < z * np.sqrt(variance / reads))
    assert np.all(np.abs(found.var(1) / variance - 1) < z * np.sqrt(3 / reads))


def test_noise_that_reaches_no_limit_leaves_the_matrix_as_it_is() -> None:
    quiet = hardware(ERRORS, noise("NormalProportionalDevice", 0.01))
    np.testing.assert_array_equal(program(WEIGHTS, quiet, 7, "layer1").effective, written(ERRORS).effective)


def test_nonnegative_weights_are_one_device_from_lowest_to_highest() -> None:
    weights, device = np.abs(WEIGHTS), {"xbar.device.Rmin": 1e3, "xbar.device.Rmax": 5e3}
    ideal = program(weights, hardware(SINGLE, CONTINUOUS), 7, "a", sign="nonnegative")
    np.testing.assert_allclose(ideal.effective, weights, rtol=0, atol=5e-7)
    raised = program(2 * weights, hardware(SINGLE, device), 7, "a", sign="nonnegative", w_max=2.0)
    np.testing.assert_allclose(raised.effective, 2 * weights + 2 * 0.2 / 0.8, rtol=0, atol=2e-6)
    zeros_sum = np.tile([1.0, -1.0], 10)
    np.testing.assert_allclose(raised.effective @ zeros_sum, 2 * weights @ zeros_sum, atol=2e-5)
    noisy = program(
        weights, hardware(SINGLE, device, noise("NormalIndependentDevice", 0.01)), 7, "a", sign="nonnegative"
    )
    assert noisy.read_variance is not None
    np.testing.assert_allclose(noisy.read_variance, (0.01 / 0.8) ** 2, rtol=1e-4)


@pytest.mark.parametrize(
    ("overrides", "sign", "path"),
    [
        (SINGLE, "pair", "core.style"),
        ({}, "nonnegative", "core.style"),
        (SINGLE | {"core.offset.style": "UNIT_COLUMN_SUBTRACTION"}, "nonnegative", "core.offset.style"),
        ({"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8}, "pair", "xbar.adc.mvm.bits"),
        ({"xbar.dac.mvm.model": "QuantizerDAC", "xbar.dac.mvm.bits": 8}, "pair", "xbar.dac.mvm.bits"),
        ({"xbar.array.Icol_max": 5.0}, "pair", "xbar.array.Icol_max"),
        ({"core.complex_matrix": True}, "pair", "core.complex_matrix"),
        (
            {"xbar.device.nonlinear_IV.enable": True, "xbar.device.nonlinear_IV.model": "RRAMMilo"},
            "pair",
            "xbar.device.nonlinear_IV",
        ),
        (noise("UniformIndependentDevice", 0.1), "pair", "xbar.device.read_noise.model"),
    ],
)
def test_hardware_that_comparators_do_not_read_is_refused(overrides: dict[str, Any], sign: Any, path: str) -> None:
    with pytest.raises(ParameterError, match=path):
        written(overrides, sign=sign)


def test_wires_with_read_noise_and_vectors_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="no one effective matrix"):
        written(WIRES, noise("NormalIndependentDevice", 0.01))
    with pytest.raises(ShapeError, match="no matrix"):
        program(np.ones(3), hardware(), 0, "a")
