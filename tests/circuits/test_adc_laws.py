"""What holds for every converter: rounding laws, refusals, random rounding, speed-ups that change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from converter_specs import ALL_ERRORS, CIRCUIT_ADCS, adc_spec, build_adc
from hypothesis import given
from hypothesis import strategies as st

from crossohm._random import ChipDraw
from crossohm.backends import backend_of
from crossohm.circuits import get_adc
from crossohm.circuits.adc.code_scale import _BLOCK
from crossohm.circuits.adc.staircase import Staircase
from crossohm.errors import InputError, ParameterError, ShapeError, UnknownNameError

limits = st.floats(0.01, 1e4)
currents = st.lists(st.floats(-2e4, 2e4), min_size=1, max_size=30).map(np.array)


@given(x=currents, bits=st.integers(1, 16), low=st.floats(-1e4, 1e4), span=limits)
def test_quantizer_rounds_to_the_nearest_level(x, bits, low, span):
    converter = build_adc("QuantizerADC", bits, low, low + span)
    y = converter(x)
    scale = abs(low) + span
    assert np.all(np.abs(y - np.clip(x, low, low + span)) <= converter.lsb / 2 + 1e-12 * scale)
    np.testing.assert_allclose(converter(y), y, atol=1e-12 * scale)
    np.testing.assert_allclose(converter.output_levels[[0, -1]], [low, low + span], atol=1e-12 * scale)


@given(x=currents, bits=st.integers(2, 16), high=limits, dtype=st.sampled_from(["float32", "float64"]))
def test_sign_magnitude_is_odd_and_keeps_zero(x, bits, high, dtype):
    """Zero exactly; opposite inputs give opposite outputs (but for ties, where they may differ by one step)."""
    converter = build_adc("SignMagnitudeADC", bits, -high, high)
    x = x.astype(dtype)
    assert np.all(converter(np.zeros_like(x)) == 0)
    assert np.all(np.abs(converter(-x) + converter(x)) <= converter.lsb * (1 + 1e-5))
    untied = np.abs(x / converter.lsb % 1 - 0.5) > 1e-2
    np.testing.assert_array_equal(converter(-x)[untied], -converter(x)[untied])


@given(x=currents, bits=st.integers(1, 10), high=limits, model=st.sampled_from(CIRCUIT_ADCS))
def test_circuits_without_errors_round_to_the_nearest_level(x, bits, high, model):
    converter = build_adc(model, bits, -high, high, gain_db=300.0)
    x = x + 1e-7 * high  # off the one input that a 1.5-bit stage gets wrong: exactly Vref/4
    y = converter(x)
    assert np.all(np.abs(y - np.clip(x, -high, high)) <= converter.lsb / 2 * (1 + 1e-9))
    assert np.all(np.diff(converter(np.sort(x))) >= 0)
    if bits != 2 or model in ("RampADC", "SarADC"):  # ±Vref/4 are levels of two bits
        np.testing.assert_array_equal(converter(y), y)


@pytest.mark.parametrize("model", CIRCUIT_ADCS)
@pytest.mark.parametrize("field", [name for name in ALL_ERRORS if name != "gain_db"])
def test_errors_vanish_with_their_magnitude(model, field):
    x = np.random.default_rng(0).uniform(-1, 1, (300, 8))
    ideal = build_adc(model, 6, -1, 1, lines=8)(x)
    wrong = [np.mean(np.abs(build_adc(model, 6, -1, 1, lines=8, **{field: s})(x) - ideal)) for s in (0.1, 0.01, 1e-6)]
    assert wrong == [0, 0, 0] or wrong[0] > wrong[1] > 5 * wrong[2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", ["RampADC", "SarADC"])
def test_float32_decides_like_float64(model, dtype):
    """At, just below and just above every threshold of every line."""
    converter = build_adc(model, 8, -1, 1, **{**ALL_ERRORS, "sigma_comparator": 0.0}, lines=4, group_size=1)
    staircase = converter.decision.staircase
    near = staircase.thresholds.astype(dtype)
    for x in (near, np.nextafter(near, dtype_max(dtype)), np.nextafter(near, -dtype_max(dtype))):
        row = np.arange(staircase.rows)[:, None]
        slow = np.stack(
            [np.sum(t[:, None] < r.astype("float64"), 0) for t, r in zip(staircase.thresholds, x, strict=True)]
        )
        np.testing.assert_array_equal(staircase(x, row), np.take_along_axis(staircase.values, slow, 1).astype(dtype))


def dtype_max(dtype):
    return np.dtype(dtype).type(np.finfo(dtype).max)


@given(
    thresholds=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40),
    x=st.lists(st.floats(-150, 150, width=32), min_size=1, max_size=40),
    repeat=st.integers(1, 3),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_staircase_counts_the_thresholds_below(thresholds, x, repeat, dtype):
    """Clustered, equal and single thresholds included."""
    table = np.sort(np.repeat(np.array(thresholds, "float64"), repeat))
    staircase = Staircase(table[None], np.arange(len(table) + 1.0)[None])
    points = np.array(x + thresholds, dtype)
    np.testing.assert_array_equal(staircase(points), np.searchsorted(table, points.astype("float64"), side="left"))


def test_ties_of_the_ramp_go_to_the_lower_code():
    """An input in the middle of two levels."""
    converter = build_adc("RampADC", 3, -1, 1, gain_db=400.0)
    np.testing.assert_array_equal(converter(np.array([-0.25, 0.0, 0.25])), [-0.375, -0.125, 0.125])


@pytest.mark.parametrize("model", CIRCUIT_ADCS)
def test_blocks_change_nothing(model):
    """Large NumPy arrays are converted in blocks, small ones at once."""
    converter = build_adc(model, 6, -1, 1, lines=16, **ALL_ERRORS)
    x = np.random.default_rng(0).uniform(-1, 1, (_BLOCK // 16 + 77, 16)).astype("float32")
    np.testing.assert_array_equal(converter(x), np.concatenate([converter(part) for part in np.array_split(x, 40)]))


@pytest.mark.parametrize("model", CIRCUIT_ADCS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_its_dtype(model, dtype):
    torch = pytest.importorskip("torch")
    converter = build_adc(model, 8, -1, 1, **ALL_ERRORS)
    x = torch.linspace(-1, 1, 400).reshape(100, 4).to(getattr(torch, dtype))
    assert converter(x).dtype == x.dtype
    np.testing.assert_allclose(converter(x).float().numpy(), converter(x.float().numpy()), atol=4e-3)


@pytest.mark.parametrize("model", ["QuantizerADC", "SignMagnitudeADC"])
def test_gradient_keeps_levels_exact_in_torch(model):
    """Values with and without a gradient tape are the same bits."""
    torch = pytest.importorskip("torch")
    converter = build_adc(model, 6, -1.3, 1.3)
    x = torch.linspace(-2, 2, 997)
    assert torch.equal(converter(x.clone().requires_grad_()).detach(), converter(x))


# Six standard deviations of a mean of n Bernoulli variables: a correct converter fails once in 10^8 runs.
@pytest.mark.parametrize("model", ["QuantizerADC", "SignMagnitudeADC"])
def test_stochastic_rounding_is_unbiased(model):
    converter = build_adc(model, 3, -1, 1, stochastic_rounding=True)
    repeats, x = 20_000, np.linspace(-0.99, 0.99, 23)
    y = converter(np.broadcast_to(x, (repeats, 23)), ChipDraw(np.random.default_rng(1)))
    np.testing.assert_allclose(y.mean(0), x, rtol=0, atol=6 * 0.5 * converter.lsb / np.sqrt(repeats))
    below = np.floor((y - converter.output_levels[0]) / converter.lsb + 0.5)
    assert np.all(np.abs(y - x) < converter.lsb)
    assert below.min() >= 0


@pytest.mark.parametrize("model", ["QuantizerADC", "SignMagnitudeADC"])
def test_stochastic_rounding_in_torch_and_jax(model):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    converter = build_adc(model, 3, -1, 1, stochastic_rounding=True)
    assert converter.stochastic
    x = torch.full((20_000,), 0.3, requires_grad=True)
    y = converter(x, backend_of(x).stream(torch.Generator().manual_seed(1)))
    y.sum().backward()
    assert abs(y.mean().item() - 0.3) < 3 * converter.lsb / 20_000**0.5
    np.testing.assert_allclose(x.grad.numpy(), 1, atol=1e-6)
    v = jax.numpy.full(20_000, 0.3)
    convert = jax.jit(lambda v, key: converter(v, backend_of(v).stream(key)))
    assert abs(float(convert(v, jax.random.key(0)).mean()) - 0.3) < 3 * converter.lsb / 20_000**0.5


def test_stochastic_rounding_needs_a_source():
    with pytest.raises(InputError, match="rng"):
        build_adc("QuantizerADC", 3, -1, 1, stochastic_rounding=True)(np.zeros(3))


@pytest.mark.parametrize("model", ["QuantizerADC", *CIRCUIT_ADCS])
@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 1), (1, -1), (0, np.nan), (-np.inf, 1)])
def test_refuses_empty_ranges(model, low, high):
    with pytest.raises(ParameterError, match=r"adc\.calibrated_range"):
        build_adc(model, 4, low, high)
    adc = get_adc(model, "adc.model")
    with pytest.raises(ParameterError, match="range"):
        adc.build(adc_spec(model, 4), low, high, {})


def test_ranges_do_not_matter_without_bits():
    for model in ("QuantizerADC", "SignMagnitudeADC", *CIRCUIT_ADCS):
        assert build_adc(model, 0, 0, 0).levels is None


def test_sign_magnitude_refuses_what_it_cannot_be():
    for bits, low, high, fields in ((4, -1, 2, {}), (4, -1, 1, {"signed": False}), (1, -1, 1, {})):
        with pytest.raises(ParameterError, match="adc"):
            build_adc("SignMagnitudeADC", bits, low, high, **fields)


def test_refuses_another_number_of_lines():
    converter = build_adc("RampADC", 4, -1, 1, lines=5, **ALL_ERRORS)
    for shape in ((3, 4), (5,), (5, 3)):
        with pytest.raises(ShapeError, match="converters"):
            converter(np.zeros(shape))


def test_unknown_model_names_its_neighbour():
    with pytest.raises(UnknownNameError, match="RampADC"):
        get_adc("RampAdc", "xbar.adc.mvm.model")


@pytest.mark.parametrize("model", CIRCUIT_ADCS)
def test_mismatch_is_plain_arrays_of_documented_shape(model):
    spec = adc_spec(model, 5, group_size=4)
    shapes = {name: a.shape for name, a in get_adc(model, "p").mismatch(spec, 10, np.random.default_rng(0)).items()}
    expected = {
        "RampADC": {"capacitors": (6,), "comparators": (10,)},
        "SarADC": {"capacitors": (3, 6), "comparators": (3,)},
        "PipelineADC": {"C1": (3, 4), "C2": (3, 4), "Cpar": (3, 4), "comparators": (3, 9)},
        "CyclicADC": {"C1": (3, 1), "C2": (3, 1), "Cpar": (3, 1), "comparators": (3, 3)},
    }
    assert shapes == expected[model]
