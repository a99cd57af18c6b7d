"""Products one after another whose inputs are known beforehand but for late features are those of whole inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from core_hardware import STYLES, core_on, hardware
from covering import every_pair

from crossohm import AnalogCore
from crossohm.chain import Dense
from crossohm.chain.running import sequence
from crossohm.chain.running.plan import CACHED_ELEMENTS
from crossohm.circuits import DAC, DACS, dac

COLUMNS, ONES = 9, 2
LATE = slice(3, 7)
SIZES = [4, 4, 3, 1, 1]
MATRIX = np.random.default_rng(0).uniform(-1, 1, (6, COLUMNS))
X = np.random.default_rng(1).uniform(-1.2, 1.2, (sum(SIZES), COLUMNS))
X[:, COLUMNS - ONES :] = 1

INPUTS: dict[str, dict[str, Any]] = {
    "no dac": {},
    "zero is no level": {"xbar.dac.mvm.model": "QuantizerDAC", "xbar.dac.mvm.bits": 6},
    "zero is a level": {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 6},
}
ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8, "xbar.adc.mvm.adc_range_option": "MAX"}
OUTPUTS: dict[str, dict[str, Any]] = {
    "no adc": {},
    "adc": ADC,
    "stochastic adc": ADC | {"xbar.adc.mvm.stochastic_rounding": True},
    "limited": ADC | {"xbar.array.Icol_max": 1.0},
}
NOISE: dict[str, dict[str, Any]] = {
    "fixed cells": {},
    "read noise": {
        "xbar.device.read_noise.enable": True,
        "xbar.device.read_noise.model": "NormalProportionalDevice",
        "xbar.device.read_noise.magnitude": 0.02,
    },
}
#: Arrays cut inside the late features; into arrays of late and of early features only; or not at all.
CUTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "mixed": {"core.rows_max": 4, "core.cols_max": 5},
    "apart": {"core.cols_max": 3},
}

#: Of the range of the inputs and beyond, which is said at the first product.
pytestmark = pytest.mark.filterwarnings("ignore:core 'core'")


class LargestOfTheCall(DAC):
    """Levels that follow from all inputs of a call."""

    def quantize(self, x: Any, low: float, high: float, bits: int) -> Any:
        return (x / abs(x).max() * bits).round() / bits * abs(x).max()


def parts(x: Any) -> list[Any]:
    return [x[end - size : end] for size, end in zip(SIZES, np.cumsum(SIZES), strict=True)]


def one_by_one(core: AnalogCore, x: Any, rng: Any) -> np.ndarray:
    return np.concatenate([np.asarray(core.apply(part, Dense(COLUMNS, ONES), rng)) for part in parts(x)])


def in_sequence(core: AnalogCore, x: Any, rng: Any) -> np.ndarray | None:
    backend = torch if isinstance(x, torch.Tensor) else np
    early = backend.concatenate([x[:, : LATE.start], x[:, LATE.stop :]], axis=1)
    product = core.sequence(early, Dense(COLUMNS, ONES), LATE, SIZES, rng)
    if product is None:
        return None
    return np.concatenate([np.asarray(product(part[:, LATE])) for part in parts(x)])


@pytest.mark.parametrize(("style", "cut", "dac", "adc", "noise"), every_pair(STYLES, CUTS, INPUTS, OUTPUTS, NOISE))
def test_a_sequence_is_its_products(style: str, cut: str, dac: str, adc: str, noise: str) -> None:
    core = core_on(MATRIX, STYLES[style], CUTS[cut], INPUTS[dac], OUTPUTS[adc], NOISE[noise])
    whole = one_by_one(core, X, np.random.default_rng(2))
    np.testing.assert_allclose(in_sequence(core, X, np.random.default_rng(2)), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("like", [np.float32, torch.float32, torch.float64], ids=str)
def test_sequences_of_every_library_and_precision(like: Any) -> None:
    x = torch.tensor(X, dtype=like) if isinstance(like, torch.dtype) else X.astype(like)
    core = core_on(MATRIX, CUTS["mixed"], INPUTS["zero is no level"], NOISE["read noise"])

    def rng() -> Any:
        return torch.Generator().manual_seed(2) if isinstance(x, torch.Tensor) else np.random.default_rng(2)

    whole, found = one_by_one(core, x, rng()), in_sequence(core, x, rng())
    assert found is not None
    assert found.dtype == whole.dtype
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-12 if found.dtype == np.float64 else 1e-5)


def test_noise_without_a_generator_goes_on_with_that_of_the_core() -> None:
    one, other = (core_on(MATRIX, ADC, NOISE["read noise"]) for _ in range(2))
    for _ in range(2):
        np.testing.assert_allclose(in_sequence(one, X, None), one_by_one(other, X, None), rtol=0, atol=1e-12)


def test_arrays_may_have_hardware_of_their_own() -> None:
    each = [hardware(CUTS["mixed"], INPUTS["zero is a level"], ADC, {"xbar.adc.mvm.bits": 4 + k}) for k in range(6)]
    core = AnalogCore(MATRIX, each, seed=1)
    np.testing.assert_allclose(in_sequence(core, X, None), one_by_one(core, X, None), rtol=0, atol=1e-12)


@pytest.mark.parametrize("most", [1, 30, 60])
def test_early_features_are_multiplied_for_some_products_at_a_time(monkeypatch: Any, most: int) -> None:
    monkeypatch.setattr(sequence, "CACHED_ELEMENTS", most)
    core = core_on(MATRIX, ADC)
    np.testing.assert_allclose(in_sequence(core, X, None), one_by_one(core, X, None), rtol=0, atol=1e-12)


def test_sequences_follow_what_is_written() -> None:
    core = core_on(MATRIX, ADC)
    in_sequence(core, X, None)
    core[2:4, 1:8] = 0.1
    np.testing.assert_allclose(in_sequence(core, X, None), one_by_one(core, X, None), rtol=0, atol=1e-12)
    core.set_matrix(-MATRIX)
    np.testing.assert_allclose(in_sequence(core, X, None), one_by_one(core, X, None), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {**INPUTS["zero is a level"], "xbar.dac.mvm.input_bitslicing": True, **ADC},
        {"core.mapping.inputs.mvm.percentile": 0.99},
        {"xbar.device.nonlinear_IV.enable": True, "xbar.device.nonlinear_IV.model": "CubicDevice"},
        {**NOISE["read noise"], "simulation.read_noise_sampling": "explicit"},
    ],
    ids=["sliced inputs", "range from the data", "nonlinear cells", "sampled noise"],
)
def test_elsewhere_products_are_made_whole(changes: dict[str, Any]) -> None:
    assert in_sequence(core_on(MATRIX, changes), X, None) is None


def test_a_user_s_dac_sees_whole_inputs(monkeypatch: Any) -> None:
    monkeypatch.setattr(DACS, "_classes", {**DACS._classes})
    dac("LargestOfTheCall")(LargestOfTheCall)
    core = core_on(MATRIX, {"xbar.dac.mvm.model": "LargestOfTheCall", "xbar.dac.mvm.bits": 6})
    assert in_sequence(core, X, None) is None


def test_nothing_is_begun_while_inputs_are_recorded_or_for_large_batches() -> None:
    core = core_on(MATRIX, ADC)
    with core.profile():
        assert in_sequence(core, X, None) is None
    assert core.sequence(X[:0, :5], Dense(COLUMNS, ONES), LATE, []) is None
    many = np.zeros((CACHED_ELEMENTS, 5))
    assert core.sequence(many, Dense(COLUMNS, ONES), LATE, [CACHED_ELEMENTS]) is None


def test_the_first_inputs_of_a_sequence_are_looked_at() -> None:
    core = core_on(MATRIX, INPUTS["zero is a level"])
    with pytest.warns(UserWarning, match="inputs of its first product"):
        in_sequence(core, 100 * X, None)
