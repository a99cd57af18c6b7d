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
    return [(layer.form_matrix().detach(), layer.get_matrix())]


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
    cut = case.analog(pieces(whole), bias_rows)
    groups = whole.core.num_cores_row
    assert (whole.core.num_cores_col, cut.core.num_cores_col) == (1, 3)
    assert cut.core.num_cores_row == (2 if groups == 1 else groups)
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
        assert relative_error(ours.double(), theirs) < tolerance


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
    assert [(p.name, p.default) for p in ours[1 : len(theirs) + 1]] == [(p.name, p.default) for p in theirs]
    analog, plain = kind(CrossSimParameters(), **case.options, bias_rows=2, **case.choices), case.kind(**case.options)
    assert isinstance(analog, AnalogLayer)
    assert isinstance(analog, case.kind)
    assert list(analog.state_dict()) == [*plain.state_dict(), "_extra_state"]  # the chip comes last
    assert {k: v.shape for k, v in analog.named_parameters()} == {k: v.shape for k, v in plain.named_parameters()}
    assert analog.analog_bias == (plain.bias is not None)
    assert analog.form_matrix().shape == analog.core.shape


def test_reading_back_gives_the_parameters(case):
    digital, analog = case.digital(), case.analog(hardware(SMALL_ARRAYS), 3)
    held = [tensor for tensor in analog.get_core_weights() if tensor is not None]
    for ours, theirs in zip(held, digital.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_hold_the_same_chip(case, duplicate):
    analog = case.analog(hardware(PROGRAMMING_ERROR, SMALL_ARRAYS), 1)
    twin = duplicate(analog)
    for ours, theirs in zip(twin.core.arrays, analog.core.arrays, strict=True):
        assert (ours.conductance == theirs.conductance).all()
    inputs = case.inputs()
    for ours, theirs in zip(case.outputs(twin, inputs), case.outputs(analog, inputs), strict=True):
        assert torch.equal(ours, theirs)


def test_the_chip_travels_with_the_state(case):
    one = pieces(case.analog(hardware(), 1))
    one.update(PROGRAMMING_ERROR)
    analog = case.analog([one] * case.analog(one, 1).core.Ncores, 1)
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
    one = pieces(case.analog(hardware(), 1))
    several = [one.copy() for _ in range(case.analog(one, 1).core.Ncores)]
    several[4].update({**PROGRAMMING_ERROR, "xbar.device.clip_conductance": False})
    analog = case.analog(several, 1)
    block = analog.core.blocks[4]
    for _ in range(2):
        for twin in (analog, copy.deepcopy(analog)):
            for ideal, held in matrices(twin):
                expected = torch.zeros(ideal.shape, dtype=torch.bool)
                expected[block.rows, block.columns] = True
                assert torch.equal((held - ideal).abs() > 1e-9, expected)
        analog.reinitialize()
    analog.params = [one] * len(several)
    assert_equal_outputs(case, analog, case.digital(), 1e-12, torch.float64)
