"""One hardware description per physical array."""

from __future__ import annotations

import numpy as np
import pytest
from core_hardware import hardware

from crossohm import AnalogCore, ParameterError

MATRIX = np.random.default_rng(1).normal(size=(5, 8))
X = np.random.default_rng(2).uniform(-1, 1, (8, 3))
SIZES = {"core.rows_max": 4, "core.cols_max": 3}
ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 6}


def test_equal_descriptions_equal_one_description() -> None:
    one = hardware(SIZES, ADC, {"xbar.adc.mvm.adc_range_option": "MAX"})
    together, apart = AnalogCore(MATRIX, one, seed=1), AnalogCore(MATRIX, [one] * 4, seed=1)
    np.testing.assert_allclose(apart @ X, together @ X, rtol=1e-12)
    np.testing.assert_allclose(X[:5].T @ apart, X[:5].T @ together, rtol=1e-12)
    assert (apart.NrowsVec, apart.NcolsVec, apart.Ncores) == (together.NrowsVec, together.NcolsVec, together.Ncores)
    assert [a.partition for a in apart.arrays] == [a.partition for a in together.arrays]


@pytest.mark.parametrize("scope", ["call", "vector"])
def test_a_range_from_the_data_is_that_of_the_whole_call(scope: str) -> None:
    dac = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 5}
    inputs = {"core.mapping.inputs.mvm.percentile": 1.0, "core.mapping.inputs.mvm.percentile_scope": scope}
    one = hardware(SIZES, dac, inputs)
    together, apart = AnalogCore(MATRIX, one, seed=1), AnalogCore(MATRIX, [one] * 4, seed=1)
    x = X * np.linspace(0.1, 3, 8)[:, None]
    np.testing.assert_allclose(apart @ x, together @ x, rtol=1e-12)


def test_profiles_of_equal_descriptions_equal_that_of_one() -> None:
    one = hardware(SIZES, ADC, {"xbar.adc.mvm.adc_range_option": "MAX"})
    seen = []
    for params in (one, [one] * 4):
        core = AnalogCore(MATRIX, params, seed=1)
        with core.profile() as profile:
            core @ X
        seen.append(profile)
    together, apart = seen
    assert apart.inputs["mvm"].total == together.inputs["mvm"].total == X.size
    assert {key: h.total for key, h in apart.adc.items()} == {key: h.total for key, h in together.adc.items()}


def test_each_array_has_its_own_range_in_row_major_order() -> None:
    several = [hardware(SIZES, ADC, {"xbar.adc.mvm.calibrated_range": [-r, r]}) for r in (0.5, 1.0, 2.0, 4.0)]
    core = AnalogCore(MATRIX, several, seed=1)
    levels = {2 * r / 63 for r in (0.5, 1.0, 2.0, 4.0)}
    scale = core.max / core.params.xbar.device.Grange_norm
    for index, (rows, columns) in enumerate([(r, c) for r in core.NrowsVec for c in core.NcolsVec]):
        place = [a for a in core.arrays if a.partition == (index // 2, index % 2)]
        assert {a.conductance.shape for a in place} == {(rows, columns)}
    x = np.zeros(8)
    x[0] = 1.0  # drives the first input partition only; the others convert zero current
    first = (core @ x)[: core.NrowsVec[0]] / scale
    second = core.params.copy().xbar.adc.mvm.calibrated_range
    assert list(second) == [-0.5, 0.5]
    half_steps = 0.5 / 63 + 1.0 / 63  # every ADC is off by at most half an LSB
    exact = np.clip(MATRIX[: core.NrowsVec[0], 0] / scale, -0.5, 0.5)
    assert np.abs(first - exact).max() <= half_steps * (1 + 1e-12)
    assert len(levels) == 4


def test_partial_updates_reach_the_right_array() -> None:
    core = AnalogCore(MATRIX, [hardware(SIZES)] * 4, seed=1)
    before = core.get_matrix()
    core[2:4, 3:6] = 0.125
    expected = before.copy()
    expected[2:4, 3:6] = 0.125
    np.testing.assert_allclose(core.get_matrix(), expected, rtol=1e-12)


def test_the_number_of_descriptions_must_fit() -> None:
    with pytest.raises(ParameterError, match="2 x 2 arrays"):
        AnalogCore(MATRIX, [hardware(SIZES)] * 3)
    np.testing.assert_allclose(AnalogCore(MATRIX, [hardware({})]) @ X, MATRIX @ X, rtol=1e-12)
    with pytest.raises(ParameterError, match="params"):
        AnalogCore(MATRIX, [])
    with pytest.raises(ParameterError, match="CrossSimParameters"):
        AnalogCore(MATRIX, [{"core": {}}])  # type: ignore[list-item]
