"""Tables in arrays."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_cases import PROGRAMMING_ERROR, hardware, relative_error

from crossohm import CrossSimParameters, InputError, UnsupportedError
from crossohm.torch import AnalogEmbedding, AnalogLinear, analog_modules, from_torch, register, to_torch
from crossohm.torch.conversion.kinds import ANALOG_KINDS

TOKENS = torch.tensor([[1, 4, 4], [0, 2, 6]])


@pytest.fixture
def table() -> nn.Embedding:
    torch.manual_seed(3)
    return nn.Embedding(7, 5, padding_idx=4, dtype=torch.float64)


def test_ideal_tables_equal_torch(table):
    analog = AnalogEmbedding.from_torch(table, hardware({"core.rows_max": 3, "core.cols_max": 2}), 2, seed=1)
    assert analog.form_matrix().shape == (5, 7)
    assert (analog(TOKENS) - table(TOKENS)).abs().max() < 1e-15
    assert analog(TOKENS[:0]).shape == (0, 3, 5)
    assert analog(torch.tensor(3)).shape == (5,)
    for layer in (analog, table):
        layer.weight.grad = None
        (layer(TOKENS) * torch.arange(5.0)).square().sum().backward()
        layer.found = layer.weight.grad
    assert relative_error(analog.found, table.found) < 1e-12
    assert analog.found[4].abs().max() == 0


def test_errors_are_those_of_the_column_read(table):
    analog = AnalogEmbedding.from_torch(table, hardware(PROGRAMMING_ERROR), seed=1)
    held = analog.get_core_weights()[0]
    assert (held - table.weight).abs().max() > 1e-2
    torch.testing.assert_close(analog(TOKENS), held[TOKENS], rtol=1e-12, atol=1e-12)
    plain = to_torch(analog, physical_weights=True)
    assert type(plain) is nn.Embedding
    assert torch.equal(plain.weight, held)


def test_tables_are_converted_on_request():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7))
    assert [type(layer) for layer in analog_modules(from_torch(model, seed=1))] == [AnalogLinear]
    register(AnalogEmbedding)
    try:
        analog = from_torch(model, bias_rows=1, seed=1)
        assert [type(layer) for layer in analog_modules(analog)] == [AnalogEmbedding, AnalogLinear]
        assert relative_error(analog(TOKENS), model(TOKENS)) < 2e-6
        assert not analog_modules(from_torch(nn.Embedding(3, 2, max_norm=1.0), seed=1))
    finally:
        del ANALOG_KINDS[nn.Embedding]


def test_what_a_table_refuses():
    analog = AnalogEmbedding(CrossSimParameters(), 7, 5)
    for wrong in (-1, 7):
        with pytest.raises(InputError, match="table of 7"):
            analog(torch.tensor([wrong, 2]))
    for options in ({"max_norm": 1.0}, {"scale_grad_by_freq": True}, {"sparse": True}):
        with pytest.raises(UnsupportedError, match="max_norm"):
            AnalogEmbedding(CrossSimParameters(), 7, 5, **options)
