"""DAC levels, input slices and how they recombine."""

from __future__ import annotations

import numpy as np
import pytest
from converter_specs import make_dac
from hypothesis import given
from hypothesis import strategies as st

from crossohm.circuits import DAC, build_dac, dac
from crossohm.errors import ParameterError, UnknownNameError, UnsupportedError

X = np.array([0.8, -0.6, 0.3])
inputs = st.lists(st.floats(-1.2, 1.2), min_size=1, max_size=20).map(np.array)


def recombine(converter, xq):
    planes = converter.planes(xq, 0, len(converter.plane_weights))
    weights = np.array(converter.plane_weights).reshape(-1, *(1,) * xq.ndim)
    return converter.plane_offset + (weights * planes).sum(0)


def test_published_levels():
    np.testing.assert_allclose(make_dac("SignMagnitudeDAC", 4).quantize(X), [6 / 7, -4 / 7, 2 / 7], atol=1e-15)
    np.testing.assert_allclose(make_dac("QuantizerDAC", 4).quantize(X), [13 / 15, -9 / 15, 5 / 15], atol=1e-15)
    unsigned = make_dac("QuantizerDAC", 4, 0.0, 1.0, signed=False)
    np.testing.assert_allclose(unsigned.quantize(np.abs(X)), [0.8, 0.6, 4 / 15], atol=1e-15)


def test_published_slices():
    one = make_dac("SignMagnitudeDAC", 4, input_bitslicing=True, slice_size=1)
    two = make_dac("SignMagnitudeDAC", 4, input_bitslicing=True, slice_size=2)
    xq = one.quantize(X)
    np.testing.assert_array_equal(one.planes(xq, 0, 3), [[0, 0, 0], [1, 0, 1], [1, -1, 0]])
    np.testing.assert_allclose(two.planes(xq, 0, 2), [[2 / 3, 0, 2 / 3], [1 / 3, -1 / 3, 0]], atol=1e-15)


def test_plane_weights_equal_the_running_shift_and_add():
    """Acc = (acc + r_k) / 2^s, then times (2^s - 1) 2^(sK - m) 2^m / (2^m - 1)."""
    for bits, size in ((4, 1), (4, 2), (8, 3), (9, 4)):
        m, outputs = bits - 1, np.random.default_rng(bits).normal(size=-(-(bits - 1) // size))
        acc = 0.0
        for r in outputs:
            acc = (acc + r) / 2**size
        acc *= (2**size - 1) * 2 ** (size * len(outputs) - m) * 2**m / (2**m - 1)
        weights = make_dac("SignMagnitudeDAC", bits, input_bitslicing=True, slice_size=size).plane_weights
        np.testing.assert_allclose(np.dot(weights, outputs), acc, rtol=1e-13)


@given(x=inputs, bits=st.integers(2, 24), size=st.integers(1, 9), dtype=st.sampled_from(["float32", "float64"]))
def test_sign_magnitude_slices_recombine(x, bits, size, dtype):
    converter = make_dac("SignMagnitudeDAC", bits, input_bitslicing=True, slice_size=size)
    check_planes(converter, x.astype(dtype), bits - 1, size)


@given(
    x=inputs,
    bits=st.integers(1, 23),
    size=st.integers(1, 9),
    low=st.sampled_from([0.0, 0.25, 0.7]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_unsigned_slices_recombine_also_if_the_range_starts_above_zero(x, bits, size, low, dtype):
    converter = make_dac("QuantizerDAC", bits, low, 1.0, signed=False, input_bitslicing=True, slice_size=size)
    assert converter.plane_offset == low
    # What float32 can tell apart above an offset is coarser than the finest codes.
    check_planes(converter, x.astype(dtype), bits, size, exact=dtype == "float64" or low == 0 or bits <= 18)


def check_planes(converter, x, bits, size, exact=True):
    xq = converter.quantize(x)
    planes = converter.planes(xq, 0, len(converter.plane_weights))
    assert planes.shape == (-(-bits // size), *x.shape)
    assert planes.dtype == x.dtype
    assert np.all(np.abs(planes) <= 1)
    digits = np.abs(planes.astype("float64")) * (2**size - 1)
    np.testing.assert_allclose(digits, np.rint(digits), atol=1e-4)
    np.testing.assert_allclose(recombine(converter, xq), xq, rtol=0, atol=4 * np.finfo(x.dtype).eps)
    if exact:
        span = 1 - converter.plane_offset
        code = np.rint(np.abs(xq.astype("float64") - converter.plane_offset) / span * (2**bits - 1))
        joined = (np.rint(digits) * (2.0 ** (size * np.arange(len(planes))))[:, None]).sum(0)
        np.testing.assert_array_equal(joined, code)


@given(x=inputs, first=st.integers(0, 6), count=st.integers(1, 7))
def test_some_planes_are_the_same_as_in_all(x, first, count):
    converter = make_dac("SignMagnitudeDAC", 8, input_bitslicing=True, slice_size=1)
    xq, last = converter.quantize(x), min(first + count, 7)
    np.testing.assert_array_equal(converter.planes(xq, first, last), converter.planes(xq, 0, 7)[first:last])


@given(x=inputs, bits=st.integers(2, 16))
def test_sign_magnitude_is_odd_and_keeps_zero(x, bits):
    converter = make_dac("SignMagnitudeDAC", bits)
    np.testing.assert_array_equal(converter.quantize(-x), -converter.quantize(x))
    assert converter.quantize(np.zeros(1))[0] == 0
    assert converter.levels == 2**bits - 1


@given(x=inputs, bits=st.integers(2, 16), model=st.sampled_from(["QuantizerDAC", "SignMagnitudeDAC"]))
def test_rounds_to_the_nearest_level(x, bits, model):
    converter = make_dac(model, bits)
    xq = converter.quantize(x)
    assert np.all(np.abs(xq - np.clip(x, -1, 1)) <= converter.lsb / 2 + 1e-12)
    np.testing.assert_allclose(converter.quantize(xq), xq, atol=1e-15)
    assert np.all(np.diff(converter.quantize(np.sort(x))) >= 0)


def test_zero_is_no_level_of_a_symmetric_quantizer():
    assert abs(make_dac("QuantizerDAC", 4).quantize(np.zeros(1))[0]) == pytest.approx(1 / 15)


@pytest.mark.parametrize("model", ["IdealDAC", "QuantizerDAC", "SignMagnitudeDAC"])
def test_zero_bits_is_the_identity(model):
    converter = make_dac(model, 0)
    assert converter.quantize(X) is X
    assert (converter.levels, converter.lsb, converter.sliced, converter.plane_weights) == (None, None, False, ())


REFUSED = [
    ("IdealDAC", {"bits": 4, "input_bitslicing": True}, "model"),
    ("IdealDAC", {"bits": 0, "input_bitslicing": True}, "bits"),
    ("QuantizerDAC", {"bits": 0, "input_bitslicing": True}, "bits"),
    ("QuantizerDAC", {"bits": 4, "input_bitslicing": True}, "input_bitslicing"),
    ("QuantizerDAC", {"bits": 4, "signed": False}, "signed"),
    ("QuantizerDAC", {"bits": 4, "low": 1.0}, "dac"),
    ("SignMagnitudeDAC", {"bits": 4, "signed": False}, "signed"),
    ("SignMagnitudeDAC", {"bits": 4, "low": -0.5}, "dac"),
    ("SignMagnitudeDAC", {"bits": 1}, "bits"),
]


@pytest.mark.parametrize(("model", "fields", "path"), REFUSED)
def test_refuses_what_cannot_be_built(model, fields, path):
    spec = type("Spec", (), {"model": model, "signed": True, "input_bitslicing": False, "slice_size": 1, **fields})
    with pytest.raises(ParameterError) as caught:
        build_dac(spec, fields.get("low", -1.0), 1.0, "dac")
    assert caught.value.path.removeprefix("dac.") == path


def test_unknown_model_names_its_neighbour():
    with pytest.raises(UnknownNameError, match="QuantizerDAC"):
        make_dac("QuantiserDAC", 4)


def test_planes_of_an_unsliced_dac_are_refused():
    with pytest.raises(UnsupportedError, match="input_bitslicing"):
        make_dac("SignMagnitudeDAC", 4).planes(X, 0, 1)


CONVERTERS = [
    make_dac("QuantizerDAC", 6),
    make_dac("SignMagnitudeDAC", 8, input_bitslicing=True, slice_size=2),
    make_dac("QuantizerDAC", 8, 0.25, 1.0, signed=False, input_bitslicing=True, slice_size=3),
]


@pytest.mark.parametrize("converter", CONVERTERS, ids=["quantizer", "sign-magnitude", "offset"])
def test_libraries_agree(converter):
    torch, jax, tf = map(pytest.importorskip, ("torch", "jax", "tensorflow"))
    x = np.random.default_rng(0).uniform(-1.1, 1.1, (4, 5, 3)).astype("float32")
    for make in (torch.from_numpy, jax.numpy.asarray, tf.constant):
        y = converter.quantize(make(x))
        np.testing.assert_allclose(np.asarray(y), converter.quantize(x), atol=1e-6)
        if converter.sliced:
            last = len(converter.plane_weights)
            planes = converter.planes(y, 1, last)
            np.testing.assert_allclose(np.asarray(planes), converter.planes(converter.quantize(x), 1, last), atol=1e-6)
    if converter.sliced:
        traced = jax.jit(lambda v: converter.planes(converter.quantize(v), 0, 2))(jax.numpy.asarray(x))
        np.testing.assert_allclose(traced, converter.planes(converter.quantize(x), 0, 2), atol=1e-6)


@pytest.mark.parametrize("converter", CONVERTERS, ids=["quantizer", "sign-magnitude", "offset"])
def test_gradient_of_the_recombined_input_is_straight_through(converter):
    """One inside the range, zero where the input clips, also through the slices."""
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    x = np.array([-1.4, -0.6, 0.3, 0.8, 1.7], "float32")
    lowest = 0.25 if converter.plane_offset else -1
    expected = ((x > lowest) & (x < 1)).astype("float32")

    def chain(v):
        xq = converter.quantize(v)
        return (recombine_any(converter, xq) if converter.sliced else xq).sum()

    leaf = torch.from_numpy(x).requires_grad_()
    chain(leaf).backward()
    np.testing.assert_allclose(leaf.grad.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(np.asarray(jax.grad(chain)(jax.numpy.asarray(x))), expected, atol=1e-6)


def recombine_any(converter, xq):
    planes = converter.planes(xq, 0, len(converter.plane_weights))
    return converter.plane_offset + sum(w * p for w, p in zip(converter.plane_weights, planes, strict=True))


@dac("LogarithmicDAC")
class LogarithmicDAC(DAC):
    def quantize(self, x, low, high, bits):
        return np.sign(x) * 2.0 ** np.round(np.log2(np.abs(x)))


def test_users_dac_in_four_lines():
    converter = make_dac("LogarithmicDAC", 4)
    np.testing.assert_array_equal(converter.quantize(np.array([0.3, -0.8, 5.0])), [0.25, -1, 1])
    with pytest.raises(ParameterError, match="sliced"):
        make_dac("LogarithmicDAC", 4, input_bitslicing=True)
