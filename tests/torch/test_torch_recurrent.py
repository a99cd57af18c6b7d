"""Recurrent layers, beyond the contract of all layers: packed sequences and states, matrices as documented, time steps.

`test_layer_contract` has what every layer keeps.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from recurrent_cases import RECURRENT, flat, recurrent, sequences, states
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch_cases import CONVERTERS, PROGRAMMING_ERROR, READ_NOISE, hardware, relative_error

from crossohm import AnalogCore, ParameterError, ShapeError
from crossohm.torch import (
    AnalogGRU,
    AnalogGRUCell,
    AnalogLSTM,
    AnalogLSTMCell,
    AnalogRNN,
    AnalogRNNCell,
    from_torch,
    profile,
)

KINDS: dict[type[nn.Module], Any] = {
    nn.RNNCell: AnalogRNNCell,
    nn.LSTMCell: AnalogLSTMCell,
    nn.GRUCell: AnalogGRUCell,
    nn.RNN: AnalogRNN,
    nn.LSTM: AnalogLSTM,
    nn.GRU: AnalogGRU,
}
#: Rows of bias_ih and bias_hh.
BIAS_ROWS = [(0, 0), (1, 1), (0, 2), (3, 0)]
#: Cuts 4 * 4 rows and 7 columns with bias into 3 x 2 uneven pieces, and inside the hidden state.
UNEVEN = {"core.rows_max": 5, "core.cols_max": 6}


def analog_of(layer: nn.Module, params: Any, rows: tuple[int, int] = (0, 0)) -> Any:
    return KINDS[type(layer)].from_torch(layer, params, *rows, seed=1)


@pytest.fixture(params=RECURRENT)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("rows", BIAS_ROWS)
def test_ideal_layer_equals_torch(case, rows):
    layer, x = recurrent(case), sequences(case)
    analog = analog_of(layer, hardware(UNEVEN), rows)
    for arguments in ((x,), (x, states(case))):
        ours, theirs = analog(*arguments), layer(*arguments)
        assert type(ours) is type(theirs)
        for found, expected in zip(flat(ours), flat(theirs), strict=True):
            assert found.shape == expected.shape
            assert relative_error(found, expected) < 1e-12


@pytest.mark.parametrize("effect", [{}, PROGRAMMING_ERROR], ids=["ideal", "errors"])
def test_a_pass_without_gradients_is_that_with_gradients(case, effect):
    """Torch's own kernels act where the matrices alone do, also with errors; not where a cell has no place for them."""
    layer, x = recurrent(case), sequences(case)
    analog = analog_of(layer, hardware(effect), (0, 1))
    stepwise = flat(analog(x, states(case)))
    with torch.no_grad():
        for _ in range(2):
            for found, expected in zip(flat(analog(x, states(case))), stepwise, strict=True):
                assert found.shape == expected.shape
                assert relative_error(found, expected) < 1e-12
        for parameter in layer.parameters():
            parameter.mul_(0.5)
    for found, expected in zip(flat(analog(x)), flat(layer(x)), strict=True):
        assert effect or relative_error(found, expected) < 1e-12


@pytest.mark.parametrize(
    "effects", [(CONVERTERS,), (READ_NOISE,), (CONVERTERS, READ_NOISE)], ids=["adc", "noise", "both"]
)
def test_without_gradients_time_steps_are_the_products_they_are_with_gradients(case, effects):
    """In single precision, inputs of all time steps are then multiplied at once."""
    single = (case, torch.float32)
    layer, x, state = recurrent(*single), sequences(*single), states(*single)
    analog = analog_of(layer, hardware(UNEVEN, *effects), (1, 2))
    torch.manual_seed(0)
    stepwise = torch.cat([found.flatten() for found in flat(analog(x, state))])
    with torch.inference_mode():
        torch.manual_seed(0)
        at_once = torch.cat([found.flatten() for found in flat(analog(x, state))])
    assert (at_once - stepwise).abs().median() < 1e-6
    # A value next to a decision level of a converter may fall on either side.
    assert (at_once - stepwise).abs().max() < 0.05
    sum(found.sum() for found in flat(analog(x, state))).backward()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_in_double_and_half_precision_they_are_so_bit_for_bit(dtype):
    layer, x = recurrent("lstm", dtype), sequences("lstm", dtype)
    analog = analog_of(layer, hardware(UNEVEN, CONVERTERS), (1, 2))
    stepwise = flat(analog(x))
    with torch.no_grad():
        for found, expected in zip(flat(analog(x)), stepwise, strict=True):
            assert torch.equal(found, expected)


@pytest.mark.parametrize("case", ["rnn", "rnn-packed", "lstm-deep", "gru-both-ways"])
def test_without_gradients_no_whole_product_is_left(case, monkeypatch):
    analog = analog_of(recurrent(case, torch.float32), hardware(UNEVEN, CONVERTERS), (1, 0))
    x = sequences(case, torch.float32)
    monkeypatch.setattr(AnalogCore, "apply", None)
    with torch.no_grad():
        analog(x)
    with pytest.raises(TypeError):
        analog(x)


def test_packed_sequences_in_order_need_no_permutation():
    layer, x = recurrent("lstm-all"), sequences("lstm-all")
    sorted_ = PackedSequence(x.data, x.batch_sizes)
    ours, theirs = (module(sorted_, states("lstm-all")) for module in (analog_of(layer, hardware()), layer))
    assert ours[0].sorted_indices is None
    for found, expected in zip(flat(ours), flat(theirs), strict=True):
        assert relative_error(found, expected) < 1e-12


def test_ideal_gradients_equal_torch(case):
    layer = recurrent(case)
    analog = copy.deepcopy(analog_of(layer, hardware(UNEVEN), (1, 2)))
    found, expected = [], []
    for module, gradients in ((analog, found), (layer, expected)):
        x, start = sequences(case), flat(states(case))
        leaves = [tensor.requires_grad_() for tensor in (*flat(x), *start)]
        loss = sum(
            (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum()
            for y in flat(module(x, tuple(start) if len(start) == 2 else start[0]))
        )
        loss.backward()
        gradients += [tensor.grad for tensor in (*leaves, *module.parameters())]
    for ours, theirs in zip(found, expected, strict=True):
        assert relative_error(ours, theirs) < 1e-11


@pytest.mark.parametrize("case", ["rnn-relu-deep", "lstm-projected", "lstm-all", "gru-both-ways"])
def test_dropout_between_layers_is_that_of_torch(case):
    layer = recurrent(case)
    layer.dropout = 0.5
    analog = analog_of(layer, hardware())
    for training in (True, False):
        found = []
        for module in (layer, analog):
            torch.manual_seed(0)
            found.append(flat(module.train(training)(sequences(case))))
        for ours, theirs in zip(*found, strict=True):
            assert relative_error(ours, theirs) < 1e-12


# --- layout -----------------------------------------------------------------------------------------------------------


def test_gru_matrix_keeps_input_and_hidden_part_of_the_new_state_apart():
    cell = nn.GRUCell(2, 1)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.tensor([[1.0, 2], [3, 4], [5, 6]]))
        cell.weight_hh.copy_(torch.tensor([[7.0], [8], [9]]))
        cell.bias_ih.copy_(torch.tensor([0.1, 0.2, 0.3]))
        cell.bias_hh.copy_(torch.tensor([0.4, 0.5, 0.6]))
    expected = [[1, 2, 7, 0.1, 0.4], [3, 4, 8, 0.2, 0.5], [5, 6, 0, 0.3, 0], [0, 0, 9, 0, 0.6]]
    analog = analog_of(cell, hardware(), (1, 1))
    np.testing.assert_allclose(analog.form_matrix().numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(analog.get_matrix().detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    shared = analog_of(cell, hardware(), (0, 2)).form_matrix().numpy()
    np.testing.assert_allclose(shared[:, 3:], [[0.2, 0.2], [0.25, 0.25], [0, 0], [0.3, 0.3]], rtol=1e-6)


@pytest.mark.parametrize("case", ["rnn-cell", "lstm-cell"])
def test_other_matrices_are_torchs_weights_side_by_side(case):
    cell = recurrent(case)
    found = analog_of(cell, hardware(), (2, 1)).form_matrix()
    half = cell.bias_ih[:, None] / 2
    expected = torch.cat([cell.weight_ih, cell.weight_hh, half, half, cell.bias_hh[:, None]], dim=1)
    assert torch.equal(found, expected)


def test_layers_have_a_matrix_per_layer_and_direction():
    layer = recurrent("lstm-all")
    analog = analog_of(layer, hardware(), (1, 2))
    names = ["l0", "l0.projection", "l0_reverse", "l0_reverse.projection"]
    names += [name.replace("l0", "l1") for name in names]
    assert [held.name for held in analog.matrices] == [f"core.{name}" for name in names]
    shapes = [(16, 3 + 3 + 3), (3, 4)] * 2 + [(16, 6 + 3 + 3), (3, 4)] * 2
    assert [tuple(matrix.shape) for matrix in analog.form_matrix()] == shapes
    assert [held.core.shape for held in analog.matrices] == shapes
    for formed, held in zip(analog.form_matrix(), analog.get_matrix(), strict=True):
        torch.testing.assert_close(formed, held)
    assert torch.equal(analog.form_matrix()[3], layer.weight_hr_l0_reverse)


# --- the interface ----------------------------------------------------------------------------------------------------


def test_positional_arguments_follow_torch():
    rnn = AnalogRNN(hardware(), 3, 4, 2, "relu", False, True, 0.1, True, None, torch.float64, 1, [0, 2])
    assert (rnn.num_layers, rnn.nonlinearity, rnn.bias, rnn.batch_first) == (2, "relu", False, True)
    assert (rnn.dropout, rnn.bidirectional, rnn.weight_ih_l0.dtype) == (0.1, True, torch.float64)
    assert (rnn.bias_ih_rows, rnn.bias_hh_rows) == ([1, 1], [0, 2])
    lstm = AnalogLSTM(hardware(), 3, 4, 2, True, True, 0.1, False, 2, "cpu", torch.float64, 1, [0, 2])
    assert (lstm.proj_size, lstm.bidirectional, lstm.bias_hh_rows) == (2, False, [0, 2])
    gru = AnalogGRU(hardware(), 3, 4, 2, True, True, 0.1, True, "cpu", torch.float64, 1, [0, 2])
    assert (gru.bidirectional, gru.bias_hh_l1_rows, gru.bias_ih_l1_rows) == (True, 2, 1)
    cell = AnalogRNNCell(hardware(), 3, 4, False, "relu", None, torch.float64, 1, 2)
    assert (cell.bias_ih, cell.nonlinearity, cell.bias_ih_rows, cell.bias_hh_rows) == (None, "relu", 1, 2)
    for kind in (AnalogLSTMCell, AnalogGRUCell):
        cell = kind(hardware(), 3, 4, True, None, torch.float64, 1, 2)
        assert (cell.bias_ih_rows, cell.bias_hh_rows) == (1, 2)


def test_bias_rows_of_all_layers_or_one():
    layer = recurrent("gru-both-ways")
    analog = analog_of(layer, hardware(), (1, 0))
    assert [m.shape[1] for m in analog.form_matrix()] == [8, 8, 13, 13]
    assert (analog.analog_bias_ih, analog.analog_bias_hh) == ([True, True], [False, False])
    analog.bias_hh_rows = [0, 2]
    assert [m.shape[1] for m in analog.form_matrix()] == [8, 8, 15, 15]
    analog.bias_ih_l0_rows = 3
    assert (analog.bias_ih_rows, analog.bias_ih_l0_rows, analog.bias_ih_l1_rows) == ([3, 1], 3, 1)
    assert [m.shape[1] for m in analog.form_matrix()] == [10, 10, 15, 15]
    analog.bias_ih_rows = 0
    assert (analog.analog_bias_ih, analog.analog_bias_ih_l0, analog.analog_bias_hh_l1) == ([False, False], False, True)
    x = sequences("gru-both-ways")
    assert relative_error(analog(x)[0], layer(x)[0]) < 1e-12
    for wrong in ([1], [1, 2, 3], -1, [0, 1.5], "1"):
        with pytest.raises(ParameterError, match="bias_hh_rows"):
            analog.bias_hh_rows = wrong
    with pytest.raises(ParameterError, match="bias_ih_l1_rows"):
        analog.bias_ih_l1_rows = -1
    with pytest.raises(AttributeError, match="bias_ih_l2_rows"):
        _ = analog.bias_ih_l2_rows
    assert (analog.bias_ih_rows, analog.bias_hh_rows) == ([0, 0], [0, 2])


def test_reading_back_gives_weights_then_biases():
    layer = recurrent("gru-both-ways")
    found = analog_of(layer, hardware(), (2, 0)).get_core_weights()
    sites = ["l0", "l0_reverse", "l1", "l1_reverse"]
    expected = [getattr(layer, f"{kind}_{site}") for site in sites for kind in ("weight_ih", "weight_hh")]
    expected += [getattr(layer, f"{kind}_{site}") for site in sites for kind in ("bias_ih", "bias_hh")]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert found[9] is expected[9]
    plain = analog_of(recurrent("lstm-plain"), hardware()).get_core_weights()
    assert [None if part is None else tuple(part.shape) for part in plain] == [(16, 3), (16, 2), (2, 4), None, None]


def test_in_a_model_one_number_is_for_both_biases():
    model = nn.ModuleDict({"lstm": recurrent("lstm-deep"), "cell": recurrent("gru-cell"), "head": nn.Linear(4, 2)})
    analog = from_torch(model, hardware(), bias_rows={"lstm": 2, "cell": 1}, seed=1)
    assert (analog["lstm"].bias_ih_rows, analog["lstm"].bias_hh_rows) == ([2, 2], [2, 2])
    assert (analog["cell"].bias_ih_rows, analog["cell"].bias_hh_rows) == (1, 1)
    assert [held.name for held in analog["lstm"].matrices] == ["lstm.l0", "lstm.l1"]


@pytest.mark.parametrize(
    ("case", "shape", "state", "words"),
    [
        ("lstm", (4, 5, 2), None, ["(4, 5, 2)", "input_size=3"]),
        ("lstm", (5,), None, ["(5,)"]),
        ("lstm", (0, 5, 3), None, ["(0, 5, 3)", "time step"]),
        ("gru", (4, 5, 3), (1, 4, 4), ["(1, 4, 4)", "(1, 5, 4)"]),
        ("gru-cell", (5, 4), None, ["(5, 4)", "input_size=3"]),
        ("gru-cell", (5, 3), (4, 4), ["(4, 4)", "(5, 4)"]),
    ],
)
def test_inputs_that_do_not_fit_are_refused(case, shape, state, words):
    analog = analog_of(recurrent(case), hardware())
    with pytest.raises(ShapeError) as error:
        analog(torch.zeros(shape), None if state is None else torch.zeros(state))
    assert all(word in str(error.value) for word in words)


# --- hardware that is not ideal ---------------------------------------------------------------------------------------

QUANTISED = {
    "converters": (CONVERTERS,),
    "bits": (CONVERTERS, {"xbar.dac.mvm.bits": 5, "xbar.dac.mvm.input_bitslicing": True}),
    "errors": (CONVERTERS, PROGRAMMING_ERROR),
}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def numpy_step(kind: str, pre: np.ndarray, state: list[np.ndarray]) -> list[np.ndarray]:
    """The gates once more, in NumPy."""
    if kind == "RNN":
        return [np.tanh(pre)]
    a, b, c, d = np.split(pre, 4)
    if kind == "LSTM":
        cell = sigmoid(b) * state[1] + sigmoid(a) * np.tanh(c)
        return [sigmoid(d) * np.tanh(cell), cell]
    new = np.tanh(c + sigmoid(a) * d)
    return [(1 - sigmoid(b)) * new + sigmoid(b) * state[0]]


@pytest.mark.parametrize("effect", QUANTISED)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_every_time_step_is_one_product_of_input_state_and_ones(kind, effect):
    params = hardware(*QUANTISED[effect], UNEVEN)
    layer, x = recurrent(kind.lower()), sequences(kind.lower())
    analog = analog_of(layer, params, (2, 1))
    core = AnalogCore(analog.form_matrix()[0].numpy(), params, seed=analog.core.seed, name=analog.core.name)
    steps, batch, _ = x.shape
    state = [np.zeros((4, batch)) for _ in range(1 + (kind == "LSTM"))]
    outputs = []
    for t in range(steps):
        pre = core @ np.concatenate([x[t].numpy().T, state[0], np.ones((3, batch))])
        state = numpy_step(kind, pre, state)
        outputs.append(state[0].T)
    found = analog(x)[0].detach().numpy()
    assert np.median(np.abs(found - np.stack(outputs))) < 1e-12
    # A value next to a decision level of a converter may fall on either side.
    assert np.abs(found - np.stack(outputs)).max() < 0.05


def test_read_noise_is_fresh_at_every_time_step():
    params = hardware(READ_NOISE, {"core.style": "OFFSET", "xbar.device.Rmax": 1e5})
    layer = nn.RNN(3, 4, nonlinearity="relu", bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.abs_()
        layer.weight_hh_l0.zero_()
    analog = analog_of(layer, params)
    torch.manual_seed(0)
    with torch.no_grad():
        y = analog(torch.full((2, 4000, 3), 0.5, dtype=torch.float64))[0]
    ideal = layer(torch.full((1, 1, 3), 0.5, dtype=torch.float64))[0][0, 0]
    spread = y.std((0, 1))
    assert spread.min() > 0
    assert ((y.mean((0, 1)) - ideal).abs() / spread).max() < 5 / 8000**0.5
    first, second = y[0, :, 0], y[1, :, 0]
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 5 / 4000**0.5


def test_every_matrix_may_have_hardware_of_its_own():
    layer, x = recurrent("lstm-projected"), sequences("lstm-projected")
    fine, coarse = hardware(), hardware(UNEVEN, PROGRAMMING_ERROR)
    analog = analog_of(layer, [fine, [fine], coarse, [fine]], (1, 1))
    for chip in (analog, copy.deepcopy(analog)):
        errors = [
            float((held - ideal).abs().max()) for held, ideal in zip(chip.get_matrix(), chip.form_matrix(), strict=True)
        ]
        assert [error > 1e-3 for error in errors] == [False, False, True, False]
        assert [held.core.Ncores for held in chip.matrices] == [1, 1, 6, 1]
        chip.reinitialize()
    assert [isinstance(item, list) for item in analog.params] == [False, True, False, True]
    analog.params = [[fine]] * 4
    assert relative_error(analog(x)[0], layer(x)[0]) < 1e-12
    with pytest.raises(ParameterError, match=r"list of 3 lists.*4 matrices"):
        analog.params = [[fine]] * 3
    with pytest.raises(ParameterError, match="list"):
        analog.params = [[[fine]]] * 4
    assert len(analog.params) == 4


@pytest.mark.parametrize("case", ["rnn-cell", "lstm-all", "gru-packed"])
def test_bias_rows_of_both_kinds_travel_with_the_state(case):
    analog = analog_of(recurrent(case), hardware(UNEVEN, PROGRAMMING_ERROR), (1, 2))
    twin = KINDS[RECURRENT[case][0]].from_torch(recurrent(case), hardware(), seed=2)
    twin.load_state_dict(analog.state_dict())
    for ours, theirs in zip(flat(twin(sequences(case))), flat(analog(sequences(case))), strict=True):
        assert torch.equal(ours, theirs)
    assert (twin.bias_ih_rows, twin.bias_hh_rows) == (analog.bias_ih_rows, analog.bias_hh_rows)


def test_profiles_have_an_entry_for_every_matrix():
    model = nn.ModuleDict({"lstm": recurrent("lstm-all")})
    analog = from_torch(model, hardware(CONVERTERS), bias_rows=1, seed=1)
    x = sequences("lstm-all")
    with profile(analog) as seen:
        analog["lstm"](x)
    assert list(seen) == [held.name for held in analog["lstm"].matrices]
    vectors = len(x.data)
    data_lines = [held.core.shape[1] for held in from_torch(model, hardware(), seed=1)["lstm"].matrices]
    for name, held, lines in zip(seen, analog["lstm"].matrices, data_lines, strict=True):
        assert seen[name].inputs["mvm"].total == vectors * lines  # bias lines, driven with a constant one, are no data
        assert seen[name].constants == (held.core.shape[1] > lines)
        assert seen[name].adc["mvm", 0, 0].total == vectors * held.core.shape[0]


def test_distinct_matrices_have_distinct_errors():
    layer = nn.GRU(4, 4, num_layers=2, bidirectional=False)
    with torch.no_grad():
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(layer, f"{kind}_l1").copy_(getattr(layer, f"{kind}_l0"))
    first, second = analog_of(layer, hardware(PROGRAMMING_ERROR)).get_matrix()
    assert not torch.equal(first, second)
    again = analog_of(layer, hardware(PROGRAMMING_ERROR)).get_matrix()
    assert torch.equal(first, again[0])


@pytest.mark.parametrize("case", ["lstm-projected", "gru-both-ways"])
def test_function_transforms_see_torchs_layer(case):
    layer, x = recurrent(case), torch.stack([sequences(case), -sequences(case)])
    analog = analog_of(layer, hardware(UNEVEN), (1, 0))
    found = torch.func.vmap(lambda one: analog(one)[0])(x)
    assert relative_error(found, torch.stack([layer(one)[0] for one in x])) < 1e-12
    gradients = []
    for module in (layer, analog):

        def loss(parameters: dict[str, Tensor], module: nn.Module = module) -> Tensor:
            return torch.func.functional_call(module, parameters, (x[0],))[0].square().sum()

        gradients.append(torch.func.grad(loss)(dict(module.named_parameters())))
    for name, expected in gradients[0].items():
        assert relative_error(gradients[1][name], expected) < 1e-11


def test_repr_tells_the_hardware():
    text = repr(AnalogLSTM(hardware(), 3, 4, num_layers=2, bias_ih_rows=[1, 0]))
    assert text.startswith("AnalogLSTM(3, 4, num_layers=2, bias_ih_rows=[1, 0], bias_hh_rows=[0, 0], BALANCED")
