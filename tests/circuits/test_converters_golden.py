"""Converters against recorded answers: the recorded conductances, times the input, through our converters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from converter_specs import build_adc, make_dac

ADC_CASES = ("adc8max", "adc5sm", "adcdac", "ramp", "sar", "pipe", "cyc", "ramp40", "pipe40")
DAC_CASES = ("dac8", "dac4sm", "ibit1", "ibit1per", "ibit2per")
NAMES = [f"{style}-{case}" for style in ("bal1", "bal2") for case in ADC_CASES + DAC_CASES]


@pytest.fixture(scope="module")
def golden(shared):
    cases = json.loads((shared / "golden" / "cases.json").read_text())
    return {case["name"]: case["params"] for case in cases}, np.load(shared / "golden" / "arrays.npz")


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_recorded_product(golden, name):
    """Balanced core, on/off ratio 10, ADC range of all inputs: the ADC sees 0.9 / max|A| times the product."""
    params, arrays = golden[0][name], golden[1]
    matrix, programmed, x = (arrays[f"{name}.{part}"] for part in ("matrix", "programmed", "x"))
    converters = {"adc": {}, "dac": {}}
    for path, value in params.items():
        if path.startswith("xbar."):
            converters[path.split(".")[1]][path.split(".")[3]] = value
    adc = {"model": "IdealADC", "bits": 0, **converters["adc"]}
    outputs, inputs = matrix.shape
    convert = build_adc(low=-inputs, high=inputs, lines=outputs, **adc)
    dac = make_dac(**{"model": "IdealDAC", "bits": 0, **converters["dac"]})
    currents = programmed * 0.9 / np.abs(matrix).max()
    xq = dac.quantize(x)
    if adc.get("adc_per_ibit"):
        planes = dac.planes(xq, 0, len(dac.plane_weights))
        y = sum(w * convert((currents @ plane).T).T for w, plane in zip(dac.plane_weights, planes, strict=True))
    else:
        y = convert((currents @ xq).T).T
    expected = arrays[f"{name}.mvm"]
    np.testing.assert_allclose(y * np.abs(matrix).max() / 0.9, expected, atol=1e-6 * np.abs(expected).max())
