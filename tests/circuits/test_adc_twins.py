"""Each circuit ADC against a slow twin that follows the published equations one conversion at a time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from converter_specs import ALL_ERRORS, adc_spec

from crossohm.circuits import get_adc

LINES = 10
BITS = (1, 2, 3, 4, 5, 7, 8)
HEAVY = {**ALL_ERRORS, "sigma_capacitor": 0.4, "sigma_comparator": 0.1, "sigma_C1": 0.15, "sigma_C2": 0.15}


def bit(number, i):
    return (number >> i) & 1


def gain(spec):
    return 10 ** (spec.gain_db / 20)


def ramp_level(spec, vref, d, code):
    b = spec.bits
    if spec.symmetric_cdac:
        caps = [2**i + d[i] * 2 ** (i / 2) for i in range(b)] + [2 ** (b - 1) + d[b] * 2 ** ((b - 1) / 2)]
        s = code - 2 ** (b - 1)
        t = sum(bit(abs(s), i) * caps[i] for i in range(b))
        beta = caps[b] / (caps[b] + t)
        sign = -1 if s < 0 else 1
        return (sign * t / caps[b - 1] * vref + vref / 2**b) / (1 + 1 / (gain(spec) * beta))
    caps = [2**i + d[i] * 2 ** (i / 2) for i in range(b + 1)]
    t = sum(bit(code, i) * caps[i] for i in range(b))
    beta = caps[b] / (caps[b] + t)
    return (2 * vref * t / caps[b] - vref * (2**b - 1) / 2**b) / (1 + 1 / (gain(spec) * beta))


def ramp_code(spec, vref, errors, line, x):
    offset = errors["comparators"][line] * vref
    distances = [abs(ramp_level(spec, vref, errors["capacitors"], c) - x - offset) for c in range(2**spec.bits)]
    return distances.index(min(distances))


def sar_threshold(spec, vref, d, code):
    b = spec.bits
    if not spec.split_cdac:
        symmetric = adc_spec("RampADC", b, gain_db=spec.gain_db, symmetric_cdac=True)
        return ramp_level(symmetric, vref, d, code) - vref / 2**b
    s = code - 2 ** (b - 1)
    sign = -1 if s < 0 else 1
    if b == 1:
        t = 0.0  # only code 1 is ever tried; there is no array to split
    else:
        h = b // 2
        caps = [2**i + d[i] * 2 ** (i / 2) for i in range(h)]
        caps += [2 ** (i - h) + d[i] * 2 ** ((i - h) / 2) for i in range(h, b - 1)]
        caps += [1 + d[b - 1]]
        k = 2**h / (2**h - 1)
        bridge = k + d[b] * k**0.5
        lower = caps[b - 1] + sum(caps[:h])
        upper = sum(caps[h : b - 1])
        a = sum(bit(abs(s), i) * caps[i] for i in range(h))
        m = sum(bit(abs(s), i) * caps[i] for i in range(h, b))
        t = (a * bridge + m * (lower + bridge)) / ((lower + bridge) * (upper + bridge) - bridge**2)
        if code == 0:
            t = 1
    return (sign * t * vref + vref / 2**b) / (1 + 1 / gain(spec)) - vref / 2**b


def sar_code(spec, vref, errors, line, x):
    group = line // spec.group_size
    offset = errors["comparators"][group] * vref
    register = 0
    for i in range(spec.bits):
        trial = register + 2 ** (spec.bits - 1 - i)
        if x > sar_threshold(spec, vref, errors["capacitors"][group], trial) - offset:
            register = trial
    return register


def staged_code(spec, vref, errors, line, x):
    b, group = spec.bits, line // spec.group_size
    pipeline = spec.model == "PipelineADC"
    offsets = errors["comparators"][group] * vref
    digits = [0] * b
    for n in range(b - 1):
        built = n if pipeline else 0
        c1, c2 = 1 + errors["C1"][group][built], 1 + errors["C2"][group][built]
        beta = c1 / (c1 + c2 + errors["Cpar"][group][built])
        gamma = c2 / c1
        high, low = vref / 4 + offsets[2 * built], -vref / 4 + offsets[2 * built + 1]
        digits[n] += x > high
        digits[n + 1] += low < x < high
        direction = int(x < low) - int(x > high)
        x = ((1 + gamma) * x + direction * vref * gamma) / (1 + 1 / (gain(spec) * beta))
    digits[b - 1] += x > offsets[2 * (b - 1) if pipeline else 2]
    return sum(digit * 2 ** (b - 1 - n) for n, digit in enumerate(digits))


TWINS = {"RampADC": ramp_code, "SarADC": sar_code, "PipelineADC": staged_code, "CyclicADC": staged_code}
VARIANTS = [
    ("RampADC", {"symmetric_cdac": True}),
    ("RampADC", {"symmetric_cdac": False}),
    ("SarADC", {"split_cdac": True, "group_size": 4}),
    ("SarADC", {"split_cdac": False, "group_size": 4}),
    ("SarADC", {"split_cdac": True, "group_size": 16}),
    ("PipelineADC", {"group_size": 3}),
    ("CyclicADC", {"group_size": 3}),
]


def assert_equals_twin(spec, low, high, positions=(2,), batch=12):
    adc = get_adc(spec.model, "adc.model")
    rng = np.random.default_rng(spec.bits)
    errors = adc.mismatch(spec, LINES, rng)
    converter = adc.build(spec, low, high, errors)
    vref = max(abs(low), abs(high))
    x = rng.uniform(1.1 * low, 1.1 * high, (batch, LINES, *positions))
    expected = np.empty_like(x)
    for where, value in np.ndenumerate(np.clip(x, low, high)):
        code = TWINS[spec.model](spec, vref, errors, where[1], value)
        expected[where] = vref * (2 * code - 2**spec.bits + 1) / 2**spec.bits
    np.testing.assert_allclose(converter(x), expected, rtol=0, atol=1e-12 * vref)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("model", "fields"), VARIANTS)
def test_equals_the_published_equations_with_all_errors_on(model, fields, bits):
    assert_equals_twin(adc_spec(model, bits, **{**ALL_ERRORS, **fields}), -1.5, 1.5)


@pytest.mark.parametrize("bits", (3, 6))
@pytest.mark.parametrize(("model", "fields"), VARIANTS)
def test_equals_the_published_equations_where_errors_disorder_the_levels(model, fields, bits):
    assert_equals_twin(adc_spec(model, bits, **{**HEAVY, **fields}), -0.6, 2.0)


@pytest.mark.parametrize(("model", "fields"), VARIANTS)
def test_equals_the_published_equations_without_errors(model, fields):
    assert_equals_twin(adc_spec(model, 5, **fields), -1.0, 1.0, positions=())


def test_heavy_errors_do_disorder_the_levels():
    """Otherwise the test above would test nothing new."""
    spec = adc_spec("RampADC", 6, **HEAVY)
    errors = get_adc("RampADC", "adc.model").mismatch(spec, LINES, np.random.default_rng(6))
    levels = [ramp_level(spec, 1.0, errors["capacitors"], c) for c in range(64)]
    assert any(upper < lower for lower, upper in pairwise(levels))


@pytest.mark.parametrize("model", ["SarADC", "PipelineADC", "CyclicADC"])
def test_groups_have_errors_of_their_own(model):
    """Also of their capacitors, and the smaller last group as well."""
    spec = adc_spec(model, 6, group_size=4, **{**ALL_ERRORS, "sigma_comparator": 0.0})
    adc = get_adc(model, "adc.model")
    converter = adc.build(spec, -1.0, 1.0, adc.mismatch(spec, LINES, np.random.default_rng(0)))
    x = np.linspace(-1, 1, 1001)[:, None].repeat(LINES, 1)
    y = converter(x)
    for group in (range(0, 4), range(4, 8), range(8, 10)):
        assert all(np.array_equal(y[:, group[0]], y[:, line]) for line in group)
    assert np.any(y[:, 0] != y[:, 4])
    assert np.any(y[:, 4] != y[:, 8])


@pytest.mark.parametrize("model", TWINS)
def test_mismatch_does_not_depend_on_the_limits(model):
    """Offsets are relative to Vref: twice the range and twice the input give twice the output."""
    spec = adc_spec(model, 5, group_size=4, **ALL_ERRORS)
    adc = get_adc(model, "adc.model")
    errors = adc.mismatch(spec, LINES, np.random.default_rng(3))
    x = np.random.default_rng(4).uniform(-1, 1, (50, LINES))
    np.testing.assert_array_equal(adc.build(spec, -2.0, 2.0, errors)(2 * x), 2 * adc.build(spec, -1.0, 1.0, errors)(x))
