"""`mvm_params`: hardware of plain cores under the names of CrossSim's ``set_params``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossohm import AnalogCore, ParameterError, UnknownNameError
from crossohm.params import dnn_inference_params, mvm_params, without_effect

RNG = np.random.default_rng(0)
MATRIX, X = RNG.normal(size=(5, 8)), RNG.uniform(-1, 1, 8)


def test_the_defaults_are_an_ideal_core_of_any_inputs() -> None:
    params = mvm_params()
    assert without_effect(params) == ()
    core = AnalogCore(MATRIX, params, seed=1)
    np.testing.assert_allclose(core @ (1e6 * X), MATRIX @ (1e6 * X), rtol=1e-12)
    assert not params.xbar.device.infinite_on_off_ratio
    assert params.xbar.array.Icol_max == 0


def test_complex_matrices_and_inputs() -> None:
    matrix, x = MATRIX + 1j * MATRIX[::-1], X + 1j * X[::-1]
    core = AnalogCore(matrix, mvm_params(complex_matrix=True, complex_input=True))
    np.testing.assert_allclose(core @ x, matrix @ x, rtol=1e-12)


@pytest.mark.parametrize(
    "keywords",
    [
        {"weight_bits": 8}, {"wtmodel": "OFFSET", "weight_bits": 8}, {"Nslices": 2, "weight_bits": 8},
        {"error_model": "generic", "alpha_error": 0.1}, {"Rp_row": 1.0, "Rp_col": 1.0}, {"NrowsMax": 4},
        {"input_bits": 8, "input_range": (-2, 2), "adc_bits": 8, "adc_range": (-3, 3)},
        {"adc_bits": 6, "adc_range_option": "MAX"},
    ],
)  # fmt: skip
def test_keywords_mean_what_they_mean_for_layers(keywords: dict[str, Any]) -> None:
    layer = {"core_style" if name == "wtmodel" else name: value for name, value in keywords.items()}
    plain: dict[str, Any] = dict(input_bits=0, adc_bits=0, infinite_on_off_ratio=False, digital_bias=True)
    plain |= dict(input_range=(-1, 1))
    assert mvm_params(**keywords) == dnn_inference_params(**plain | layer)
    AnalogCore(MATRIX, mvm_params(**keywords), seed=1) @ X


@pytest.mark.parametrize(
    ("kind", "errors"),
    [
        ("ramp", {"sigma_capacitor": 0.25}), ("sar", {"sigma_capacitor": 0.10}), ("cyclic", {}),
        ("pipeline", {"sigma_C1": 0.10, "sigma_comparator": 0.10}),
    ],
)  # fmt: skip
def test_circuit_adcs_have_errors(kind: Any, errors: dict[str, float]) -> None:
    params = mvm_params(adc_bits=8, adc_type=kind, adc_range=(-4, 4))
    ideal = dnn_inference_params(
        adc_bits=8, adc_type=kind, adc_range=(-4, 4), input_bits=0, input_range=(-1, 1), infinite_on_off_ratio=False
    )
    changed = {path.rpartition(".")[2]: mine for path, (mine, _) in params.diff(ideal).items()}
    assert changed == {"gain_db": 60.0, **errors}
    assert without_effect(params) == ()


@pytest.mark.parametrize(
    ("keywords", "kind", "message"),
    [
        ({"adc_bits": 8}, ParameterError, "adc_range = None: an ADC of 8 bits needs its limits"),
        ({"input_bits": 8}, ParameterError, "input_range = None: a DAC of 8 bits needs"),
        ({"wtmodel": "BALANCE"}, UnknownNameError, "wtmodel = 'BALANCE'.*Did you mean 'BALANCED'"),
        ({"complex_matrix": "False"}, ParameterError, "complex_matrix = 'False'"),
        ({"adc_bits": "8"}, ParameterError, "adc_bits = '8'"),
        ({"digital_offset": "True"}, ParameterError, "digital_offset = 'True'"),
        ({"adc_bit": 8}, TypeError, "adc_bit"),
    ],
)
def test_what_is_wrong_is_named(keywords: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        mvm_params(**keywords)
