"""What every layer kind must do, tested on the table of `layer_cases`."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch
from layer_cases import LAYERS, Case, pieces
from torch import Tensor, nn
from torch_cases import PROGRAMMING_ERROR, SLICED, SMALL_ARRAYS, STYLES, hardware, relative_error

from crossohm import CrossSimParameters
from crossohm.torch import AnalogLayer, from_torch, to_torch
from crossohm.torch.kinds import ANALOG_KINDS

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")


@pytest.fixture(params=LAYERS.values(), ids=LAYERS)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def matrices(layer: AnalogLayer) -> list[tuple[Tensor, Tensor]]:
    """What the matrices of a layer should be, and what the arrays hold."""
    formed, held = layer.form_matrix(), layer.get_matrix()
    return [(formed, held)] if isinstance(formed, Tensor) else list(zip(formed, held, strict=True))


def per_array(case: Case, bias_rows: int) -> list[list[CrossSimParameters]]:
    """For each matrix of a layer cut into pieces, a description per array."""
    each = [[params] for params in pieces(case.analog(hardware(), bias_rows))]
    counts = [matrix.core.Ncores for matrix in case.analog(each, bias_rows).matrices]
    return [[params.copy() for _ in range(count)] for (params,), count in zip(each, counts, strict=True)]


def assert_equal_outputs(case: Case, analog: nn.Module, digital: nn.Module, tolerance: float, dtype: Any) -> None:
    for found, expected in zip(
        case.outputs(analog, case.inputs(dtype)), case.outputs(digital, case.inputs(dtype)), strict=True
    ):
        assert found.dtype == dtype
        assert found.shape == expected.shape
        assert relative_error(found, expected) < tolerance


@pytest.mark.parametrize("bias_rows", [0, 1, 2, 4])
def test_ideal_layer_equals_torch(case, bias_rows):
    whole = case.analog(hardware(), bias_rows)
    cut = case.analog([[params] for params in pieces(whole)], bias_rows)
    for ours, theirs in zip(cut.matrices, whole.matrices, strict=True):
        groups = theirs.core.num_cores_row
        assert (theirs.core.num_cores_col, ours.core.num_cores_col) == (1, 3)
        assert ours.core.num_cores_row == (2 if groups == 1 else groups)
    for analog in (whole, cut):
        assert_equal_outputs(case, analog, case.digital(), 1e-12, torch.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 1e-3), (torch.bfloat16, 8e-3)])
def test_single_and_half_precision(case, dtype, tolerance):
    digital, analog = case.digital(dtype), case.analog(hardware(SMALL_ARRAYS), 1, dtype=dtype)
    inputs = case.inputs(dtype)
    found = case.outputs(analog, inputs)
    exact = case.outputs(digital.double(), [x.double() for x in inputs])
    for ours, theirs in zip(found, exact, strict=True):
        assert ours.dtype == dtype
        assert relative_error(ours.double(), theirs) < tolerance * case.rounding


@pytest.mark.parametrize("style", STYLES)
def test_every_mapping_equals_torch(case, style):
    # A current limit far away keeps slices, signs and partitions apart, as converters would.
    params = hardware(STYLES[style], SMALL_ARRAYS, {"xbar.array.Icol_max": 1e6, "xbar.device.Rmax": 1e5})
    assert_equal_outputs(case, case.analog(params, 2), case.digital(), 1e-12, torch.float64)


@pytest.mark.parametrize("style", SLICED)
def test_integer_weights_survive_slicing(case, style):
    digital = case.digital()
    limits = {"percentile": None, "min": -127, "max": 127}
    params = hardware(SLICED[style], SMALL_ARRAYS, {f"core.mapping.weights.{k}": v for k, v in limits.items()})
    with torch.no_grad():
        for parameter in digital.parameters():
            parameter.copy_(torch.randint(-42, 43, parameter.shape) * 3)
    assert_equal_outputs(case, from_torch(digital, params, 3, seed=1, **case.choices), digital, 1e-12, torch.float64)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("bias_rows", [0, 2])
def test_ideal_gradients_equal_torch(case, bias_rows, training):
    digital = case.digital().train(training)
    analog = case.analog(hardware(SMALL_ARRAYS), bias_rows).train(training)
    found, expected = [], []
    for module, grads in ((analog, found), (digital, expected)):
        inputs = [x.requires_grad_() for x in case.inputs()]
        loss: Any = 0.0
        for y in case.outputs(module, inputs):
            loss = loss + (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum()
        loss.backward()
        grads += [x.grad for x in inputs] + [p.grad for p in module.parameters()]
    for ours, theirs in zip(found, expected, strict=True):
        assert relative_error(ours, theirs) < 1e-11


def test_constructor_takes_the_hardware_then_torch_arguments(case):
    kind = ANALOG_KINDS[case.kind]
    ours, theirs = (list(inspect.signature(cls).parameters.values()) for cls in (kind, case.kind))
    assert ours[0].name == "params"
    if all(parameter.kind is parameter.POSITIONAL_OR_KEYWORD for parameter in theirs):
        assert [(p.name, p.default) for p in ours[1 : len(theirs) + 1]] == [(p.name, p.default) for p in theirs]
    rows = ["bias_rows"] if kind.bias_kinds == 1 else ["bias_ih_rows", "bias_hh_rows"]
    analog = kind(CrossSimParameters(), **case.options, **dict.fromkeys(rows, 2), **case.choices)
    plain = case.kind(**case.options)
    assert isinstance(analog, AnalogLayer)
    assert isinstance(analog, case.kind)
    assert set(analog.state_dict()) == {*plain.state_dict(), "_extra_state"}
    assert {k: v.shape for k, v in analog.named_parameters()} == {k: v.shape for k, v in plain.named_parameters()}
    columns = sum(matrix.core.shape[1] for matrix in analog.matrices)
    for name in rows:
        setattr(analog, name, 0)
    without = sum(matrix.core.shape[1] for matrix in analog.matrices)
    assert (columns > without) == case.options.get("bias", True)
    assert [tuple(formed.shape) for formed, _ in matrices(analog)] == [held.core.shape for held in analog.matrices]


def test_reading_back_gives_the_parameters(case):
    digital, analog = case.digital(), case.analog(hardware(SMALL_ARRAYS), 3)
    held = list(to_torch(analog, physical_weights=True).parameters())
    for ours, theirs in zip(held, digital.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
    # Some kinds give their parameters in another order, and None for missing biases.
    for part in analog.get_core_weights():
        assert part is None or any(part.shape == whole.shape and torch.equal(part, whole) for whole in held)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_hold_the_same_chip(case, duplicate):
    analog = case.analog(hardware(PROGRAMMING_ERROR, SMALL_ARRAYS), 1)
    twin = duplicate(analog)
    for one, other in zip(twin.matrices, analog.matrices, strict=True):
        for ours, theirs in zip(one.core.arrays, other.core.arrays, strict=True):
            assert (ours.conductance == theirs.conductance).all()
    inputs = case.inputs()
    for ours, theirs in zip(case.outputs(twin, inputs), case.outputs(analog, inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_the_chip_travels_with_the_state(case):
    several = per_array(case, 1)
    for params in several:
        params[-1].update(PROGRAMMING_ERROR)
    analog = case.analog(several, 1)
    twin = case.analog(hardware(), 0, seed=2)
    twin.load_state_dict(analog.state_dict())
    for _ in range(2):
        for (_, ours), (_, theirs) in zip(matrices(twin), matrices(analog), strict=True):
            assert torch.equal(ours, theirs)
        inputs = case.inputs()
        for ours, theirs in zip(case.outputs(twin, inputs), case.outputs(analog, inputs), strict=True):
            assert torch.equal(ours, theirs)
        twin.reinitialize(5)
        analog.reinitialize(5)


def test_conversion_back_is_exact(case):
    digital = case.digital()
    plain = to_torch(case.analog(hardware(PROGRAMMING_ERROR), 2))
    assert type(plain) is case.kind
    assert repr(plain) == repr(digital)
    assert vars(plain).keys() == vars(digital).keys()
    for ours, theirs in zip(plain.parameters(), digital.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    inputs = case.inputs()
    for ours, theirs in zip(case.outputs(plain, inputs), case.outputs(digital, inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_one_description_per_array_changes_only_its_block(case):
    plain, several = per_array(case, 1), per_array(case, 1)
    for params in several:
        params[4].update({**PROGRAMMING_ERROR, "xbar.device.clip_conductance": False})
    # Layers with one matrix take a flat list too.
    analog = case.analog(several if len(several) > 1 else several[0], 1)
    for _ in range(2):
        for twin in (analog, copy.deepcopy(analog)):
            for (ideal, held), matrix in zip(matrices(twin), twin.matrices, strict=True):
                block = matrix.core.blocks[4]
                expected = torch.zeros(ideal.shape, dtype=torch.bool)
                expected[block.rows, block.columns] = True
                assert torch.equal((held - ideal).abs() > 1e-9, expected)
        analog.reinitialize()
    analog.params = plain
    assert_equal_outputs(case, analog, case.digital(), 1e-12, torch.float64)
