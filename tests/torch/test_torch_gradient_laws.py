"""What every gradient must be, for every dtype, mapping, converter, noise path and kind of layer.

Fine converters and nothing clipped: the ideal gradients. The same chip in another dtype: the same gradients. What is
clipped: zero; what is at a limit: not clipped.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from covering import every_pair
from layer_cases import LAYERS, Case, pieces
from torch import Tensor, nn
from torch_cases import PROGRAMMING_ERROR, READ_NOISE, SLICED, SMALL_ARRAYS, STYLES, digital, hardware, relative_error

from crossohm.circuits.adc import ADC, adc
from crossohm.circuits.dac import DAC, dac
from crossohm.datasets import load_dataset
from crossohm.torch import AnalogEmbedding, from_torch

DTYPES = {torch.float64: 1e-4, torch.float32: 1e-4, torch.bfloat16: 1e-2}
#: Wider than the inputs, and not one: gradients that forget the range come out four times too large or small.
RANGE = {"core.mapping.inputs.mvm.min": -4.0, "core.mapping.inputs.mvm.max": 4.0}
MAPPINGS = {
    **STYLES,
    "interleaved": {"core.balanced.interleaved_posneg": True},
    **{name: {**changes, "core.weight_bits": 16} for name, changes in SLICED.items()},
}


@adc("RoundingADC")
class RoundingADC(ADC):
    """Works in place, as a model may."""

    def convert(self, x: Any, low: float, high: float, bits: int) -> Any:
        step = (high - low) / 2**bits
        x -= low
        x /= step
        return x.round() * step + low


@dac("RoundingDAC")
class RoundingDAC(DAC):
    """The same for inputs."""

    def quantize(self, x: Any, low: float, high: float, bits: int) -> Any:
        return RoundingADC().convert(x, low, high, bits)


def inputs_by(model: str, bits: int = 22, **fields: Any) -> dict[str, Any]:
    return {f"xbar.dac.mvm.{name}": value for name, value in {"model": model, "bits": bits, **fields}.items()}


def outputs_by(model: str, bits: int = 20, **fields: Any) -> dict[str, Any]:
    given = {"model": model, "bits": bits, "adc_range_option": "MAX", **fields}
    return {f"xbar.adc.mvm.{name}": value for name, value in given.items()}


SIGN_MAGNITUDE, QUANTIZER = inputs_by("SignMagnitudeDAC"), outputs_by("QuantizerADC")
CHAINS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "sign-magnitude DAC": SIGN_MAGNITUDE,
    "quantizer DAC": inputs_by("QuantizerDAC"),
    "own DAC": inputs_by("RoundingDAC"),
    "sign-magnitude ADC": outputs_by("SignMagnitudeADC"),
    "quantizer ADC": QUANTIZER,
    "own ADC": outputs_by("RoundingADC"),
    "both": inputs_by("QuantizerDAC") | outputs_by("SignMagnitudeADC"),
    "off centre": SIGN_MAGNITUDE
    | outputs_by("QuantizerADC", adc_range_option="CALIBRATED", calibrated_range=[-40.0, 70.0]),
    "stochastic": SIGN_MAGNITUDE | outputs_by("QuantizerADC", stochastic_rounding=True),
    **{name: SIGN_MAGNITUDE | outputs_by(f"{name}ADC", 10) for name in ("Sar", "Ramp", "Pipeline", "Cyclic")},
    "range of a call": SIGN_MAGNITUDE | QUANTIZER | {"core.mapping.inputs.mvm.percentile": 1.0},
    "range of a vector": SIGN_MAGNITUDE
    | QUANTIZER
    | {"core.mapping.inputs.mvm.percentile": 1.0, "core.mapping.inputs.mvm.percentile_scope": "vector"},
    "clipped inputs": QUANTIZER | {"core.mapping.inputs.mvm.clipping": True},
    "input slices": inputs_by("SignMagnitudeDAC", 17, input_bitslicing=True, slice_size=2)
    | outputs_by("QuantizerADC", 22, adc_per_ibit=True),
    "input slices at once": inputs_by("SignMagnitudeDAC", 17, input_bitslicing=True) | QUANTIZER,
    "current limit": SIGN_MAGNITUDE | QUANTIZER | {"xbar.array.Icol_max": 1e6, "xbar.device.Rmax": 1e5},
}
FAINT = READ_NOISE | {"xbar.device.read_noise.magnitude": 1e-7}
NOISE = {
    "no noise": {},
    "moments": FAINT,
    "explicit": FAINT | {"simulation.read_noise_sampling": "explicit"},
}
KINDS = [
    "linear-sequence",
    "conv1d-circular",
    "conv2d-grouped",
    "conv3d-strided",
    "transposed2d-grouped",
    "apart2d-depthwise",
    "apart-transposed2d",
    "gru-cell",
    "lstm",
    "gru",
    "attention-sizes",
]


def gradients(layer: nn.Module, case: Case, dtype: torch.dtype, weights: torch.dtype | None = None) -> list[Tensor]:
    """Of a linear function of the outputs by inputs and parameters."""
    torch.manual_seed(6)
    inputs = [x.to(weights or dtype).requires_grad_() for x in case.inputs(dtype)]
    layer.zero_grad()
    loss: Any = 0.0
    for y in case.outputs(layer, inputs):
        loss = loss + (y * torch.linspace(-1, 1, y.numel(), dtype=dtype).to(y.dtype).reshape(y.shape)).sum()
    loss.backward()
    return [x.grad for x in inputs] + [p.grad for p in layer.parameters()]


def ideal(case: Case, dtype: torch.dtype) -> list[Tensor]:
    """The gradients of torch's own layer with the same numbers, in double precision."""
    return gradients(case.digital(dtype).double(), case, dtype, torch.float64)


def chain_on(mapping: str, chain: dict[str, Any]) -> dict[str, Any]:
    """``chain`` with a calibrated range for every weight slice."""
    span, slices = chain.get("xbar.adc.mvm.calibrated_range"), MAPPINGS[mapping].get("core.bit_sliced.num_slices")
    return chain if span is None or slices is None else chain | {"xbar.adc.mvm.calibrated_range": [span] * slices}


def assert_ideal(case: Case, params: Any, rows: int, policy: str, tolerances: dict[Any, float]) -> None:
    for dtype, tolerance in tolerances.items():
        analog = case.analog(params, rows, dtype=dtype)
        analog.gradient = policy
        for found, expected in zip(gradients(analog, case, dtype), ideal(case, dtype), strict=True):
            assert found.dtype == dtype
            assert relative_error(found.double(), expected) < tolerance * case.rounding, (dtype, policy)


@pytest.mark.parametrize(
    ("kind", "mapping", "chain", "noise", "dtype"),
    every_pair(["linear-batch", "conv2d-grouped"], MAPPINGS, CHAINS, NOISE, DTYPES),
)
def test_fine_converters_have_the_ideal_gradient(kind, mapping, chain, noise, dtype):
    rows, size = (0, {}) if kind == "linear-batch" else (2, SMALL_ARRAYS)
    params = hardware(RANGE, MAPPINGS[mapping], chain_on(mapping, CHAINS[chain]), NOISE[noise], size)
    assert_ideal(LAYERS[kind], params, rows, "chain", {dtype: DTYPES[dtype]})


@pytest.mark.parametrize(
    ("kind", "mapping", "policy", "rows", "noise"),
    every_pair(KINDS, ["balanced", "unit-column", "sliced-offset"], ["programmed", "chain", "wires"], [0, 2], NOISE),
)
def test_every_kind_of_layer_has_the_ideal_gradient(kind, mapping, policy, rows, noise):
    # What rounding does to the numbers between the products of a recurrent layer adds up in half precision.
    tolerances = DTYPES | {torch.bfloat16: 2e-2}
    params = hardware(RANGE, MAPPINGS[mapping], CHAINS["both"], NOISE[noise], SMALL_ARRAYS if rows else {})
    assert_ideal(LAYERS[kind], params, rows, policy, tolerances if noise == "no noise" else {torch.float32: 1e-4})


@pytest.mark.parametrize("kind", ["linear-batch", "conv2d-grouped", "apart2d-depthwise", "gru"])
def test_arrays_with_descriptions_of_their_own_have_the_ideal_gradient(kind):
    chains = itertools.cycle(["sign-magnitude DAC", "both", "own ADC", "quantizer ADC", "input slices"])
    cut = LAYERS[kind].analog([[params] for params in pieces(LAYERS[kind].analog(hardware(), 1))], 1)
    each = []
    for core in (matrix.core for matrix in cut.matrices):
        size = {name: core.params.get(name) for name in ("core.rows_max", "core.cols_max")}
        each.append([hardware(RANGE, CHAINS[next(chains)], size) for _ in range(core.Ncores)])
    assert_ideal(LAYERS[kind], each, 1, "chain", DTYPES)


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_recording_the_currents_leaves_the_gradient_alone(mapping):
    case = LAYERS["conv2d-grouped"]
    for chain in ("ideal", "both", "input slices"):
        analog = case.analog(hardware(RANGE, MAPPINGS[mapping], CHAINS[chain], SMALL_ARRAYS), 1, dtype=torch.float32)
        analog.gradient = "chain"
        with analog.core.profile():
            found = gradients(analog, case, torch.float32)
        for ours, theirs in zip(found, ideal(case, torch.float32), strict=True):
            assert relative_error(ours.double(), theirs) < 1e-4


@pytest.mark.parametrize("policy", ["programmed", "chain", "wires"])
def test_embeddings_have_the_ideal_gradient(policy):
    tokens = torch.tensor([[3, 0, 5], [3, 3, 1]])
    for dtype, tolerance in DTYPES.items():
        table = digital(nn.Embedding, {"num_embeddings": 6, "embedding_dim": 4, "padding_idx": 1}, dtype)
        analog = AnalogEmbedding.from_torch(copy.deepcopy(table), hardware(RANGE, CHAINS["both"]), seed=1)
        analog.gradient = policy
        for module in (table, analog):
            y = module(tokens)
            (y * torch.arange(y.numel(), dtype=dtype).reshape(y.shape)).sum().backward()
        assert relative_error(analog.weight.grad, table.weight.grad) < tolerance


def coarse() -> Iterator[tuple[str, dict[str, Any]]]:
    """Few-bit converters, and ranges that inputs, weights and currents exceed."""
    narrow = {
        "core.mapping.inputs.mvm.min": -0.7,
        "core.mapping.inputs.mvm.max": 0.7,
        "core.mapping.weights.percentile": None,
        "core.mapping.weights.min": -0.25,
        "core.mapping.weights.max": 0.25,
    }
    span = {"adc_range_option": "CALIBRATED", "calibrated_range": [-0.5, 0.4]}
    yield "SAR", narrow | inputs_by("SignMagnitudeDAC", 5) | outputs_by("SarADC", 5, **span)
    yield "own", narrow | inputs_by("RoundingDAC", 5) | outputs_by("RoundingADC", 5, **span)
    yield "quantizers", narrow | inputs_by("QuantizerDAC", 5) | outputs_by("QuantizerADC", 5, **span)
    yield "current limit", narrow | inputs_by("SignMagnitudeDAC", 5) | {"xbar.array.Icol_max": 0.4}
    yield "inputs", narrow | {"core.mapping.inputs.mvm.clipping": True}


@pytest.mark.parametrize("policy", ["programmed", "chain"])
@pytest.mark.parametrize("chain", [name for name, _ in coarse()])
@pytest.mark.parametrize("mapping", ["balanced", "digital-subtraction", "unit-column", "sliced"])
@pytest.mark.parametrize("kind", ["linear-batch", "conv2d-grouped", "apart2d-depthwise", "transposed2d-grouped"])
def test_single_precision_is_double_precision_on_the_same_chip(kind, mapping, chain, policy):
    case, limits = LAYERS[kind], chain_on(mapping, dict(coarse())[chain])
    params = hardware(MAPPINGS[mapping], PROGRAMMING_ERROR, limits, SMALL_ARRAYS)
    single = case.analog(params, 1, dtype=torch.float32)
    single.gradient = policy
    double = copy.deepcopy(single).double()
    found, expected = gradients(single, case, torch.float32), gradients(double, case, torch.float32, torch.float64)
    for ours, theirs in zip(found, expected, strict=True):
        assert relative_error(ours.double(), theirs) < 1e-5


MODELS = ["IdealDAC", "SignMagnitudeDAC", "QuantizerDAC", "RoundingDAC"]


@pytest.mark.parametrize("clipping", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_inputs_at_the_limit_are_inside_and_beyond_it_are_not(model, clipping):
    exact = [(torch.bfloat16, 0.75), (torch.bfloat16, 3.0)]  # what half precision rounds to more than 3.9 is beyond it
    for dtype, limit in [*itertools.product((torch.float64, torch.float32), (0.7, 1.0, 3.9, 11.3)), *exact]:
        bounds = {"core.mapping.inputs.mvm.min": -limit, "core.mapping.inputs.mvm.max": limit}
        params = hardware(bounds, inputs_by(model, 8), {"core.mapping.inputs.mvm.clipping": clipping})
        layer = digital(nn.Linear, {"in_features": 5, "out_features": 3, "bias": False}, dtype)
        analog = from_torch(layer, params, seed=1, gradient="chain")
        x = (torch.tensor([[-1.02, -1.0, 0.0, 1.0, 1.02]], dtype=dtype) * limit).requires_grad_()
        analog(x).sum().backward()
        inside = torch.tensor([False, True, True, True, False])
        if model == "IdealDAC" and not clipping:
            inside[:] = True
        expected = torch.where(inside, layer.weight.detach().double().sum(0), 0)[None]
        assert relative_error(x.grad.double(), expected) < DTYPES[dtype]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.25, 1.5)])
def test_unsigned_inputs_begin_inside(bounds):
    for dtype, sliced in itertools.product((torch.float64, torch.float32), (False, True)):
        limits = {"core.mapping.inputs.mvm.min": bounds[0], "core.mapping.inputs.mvm.max": bounds[1]}
        params = hardware(limits, inputs_by("QuantizerDAC", 8, signed=False, input_bitslicing=sliced), QUANTIZER)
        layer = digital(nn.Linear, {"in_features": 3, "out_features": 2}, dtype)
        analog = from_torch(layer, params, seed=1, gradient="chain")
        x = torch.tensor([[bounds[0], bounds[1], bounds[1] + 0.1]], dtype=dtype, requires_grad=True)
        analog(x).sum().backward()
        expected = layer.weight.detach().sum(0) * torch.tensor([1, 1, 0])
        assert relative_error(x.grad, expected[None]) < 1e-4


def accuracy_after_training(dtype: torch.dtype) -> float:
    """Of two layers trained through coarse hardware by steps in proportion to its gradients."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10)).to(dtype)
    span = {"adc_range_option": "CALIBRATED", "calibrated_range": [-4.0, 4.0]}
    errors = PROGRAMMING_ERROR | {"xbar.device.programming_error.magnitude": 0.02}
    params = hardware(errors, RANGE, inputs_by("QuantizerDAC", 6), outputs_by("QuantizerADC", 8, **span))
    analog = from_torch(model, params, 1, seed=1, gradient="chain")
    train, test = (load_dataset("digits", split=split) for split in ("train", "test"))
    x, seen = (torch.as_tensor(data.images, dtype=dtype).flatten(1) for data in (train, test))
    labels, true = (torch.as_tensor(data.labels) for data in (train, test))
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.1, momentum=0.9)
    for _ in range(120):
        optimizer.zero_grad()
        F.cross_entropy(analog(x), labels).backward()
        optimizer.step()
    with torch.no_grad():
        return float((analog(seen).argmax(1) == true).double().mean())


def test_training_reaches_the_same_accuracy_in_every_dtype():
    found = [accuracy_after_training(dtype) for dtype in (torch.float64, torch.float32, torch.bfloat16)]
    assert min(found) > 0.92
    assert max(found) - min(found) < 0.02
