"""Layers of the user's own, and the report of what is converted."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch_cases import PROGRAMMING_ERROR, hardware, inputs, relative_error

from crossohm import CrossOhmError
from crossohm.chain import Dense
from crossohm.layers import dense
from crossohm.torch import (
    AnalogLayer,
    AnalogLinear,
    analog_modules,
    conversion_report,
    convertible_modules,
    from_torch,
    register,
    to_torch,
)
from crossohm.torch.conversion.kinds import ANALOG_KINDS


class LowRank(nn.Module):
    """``y = U V x``; the linear layer beside it is part of it and stays digital."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.U = nn.Parameter(torch.randn(5, 2, dtype=torch.float64))
        self.V = nn.Parameter(torch.randn(2, 6, dtype=torch.float64))
        self.shift = nn.Linear(6, 5, dtype=torch.float64)

    def forward(self, x):
        return x @ self.V.T @ self.U.T + self.shift(x)


class AnalogLowRank(AnalogLayer, LowRank):
    digital_type = LowRank

    def layouts(self, rows):
        return {f".{key}": dense(*getattr(self, key).shape, weight=key) for key in ("V", "U")}

    def forward(self, x):
        first, second = self.matrices
        return second.product(first.product(x, Dense(6)), Dense(2)) + self.shift(x)


@pytest.fixture
def registered():
    assert register(AnalogLowRank) is AnalogLowRank
    yield
    del ANALOG_KINDS[LowRank]


def network() -> nn.Sequential:
    return nn.Sequential(LowRank(), nn.ReLU(), nn.Linear(5, 3, dtype=torch.float64))


def test_a_registered_layer_is_converted_trained_and_converted_back(registered):
    model, x = network(), inputs((4, 6))
    assert convertible_modules(model) == [model[0], model[2]]
    analog = from_torch(model, [hardware({"core.rows_max": 4}), None], seed=1)
    assert [type(layer) for layer in analog_modules(analog)] == [AnalogLowRank, AnalogLinear]
    assert [matrix.name for matrix in analog[0].matrices] == ["0.V", "0.U"]
    assert relative_error(analog(x), model(x)) < 1e-12
    for network_ in (analog, model):
        network_(x).square().sum().backward()
    for ours, theirs in zip(analog.parameters(), model.parameters(), strict=True):
        assert relative_error(ours.grad, theirs.grad) < 1e-11
    plain = to_torch(copy.deepcopy(analog))
    assert repr(plain) == repr(model)
    assert torch.equal(plain(x), model(x))


def test_a_registered_layer_has_errors_and_a_state(registered):
    analog, x = from_torch(network(), hardware(PROGRAMMING_ERROR), seed=1), inputs((4, 6))
    assert relative_error(to_torch(analog, physical_weights=True)(x), analog(x)) < 1e-12
    assert relative_error(analog(x), network()(x)) > 1e-3
    twin = from_torch(network(), hardware(), seed=2)
    twin.load_state_dict(analog.state_dict())
    assert torch.equal(twin(x), analog(x))


def test_without_registration_it_stays_digital():
    model = network()
    assert convertible_modules(model) == [model[0].shift, model[2]]
    report = conversion_report(LowRank())
    assert [(layer.name, layer.convertible) for layer in report.layers] == [("", False), ("shift", True)]
    assert "unknown what it does with its U, V" in report.layers[0].reason


def test_what_cannot_be_registered(registered):
    class NoLayer(LowRank):
        digital_type = LowRank

    class NotItsType(AnalogLayer):
        digital_type = LowRank

    class Other(AnalogLayer, LowRank):
        digital_type = LowRank

    for kind, words in [
        (NoLayer, "needs AnalogLayer as a base"),
        (LowRank(), "needs AnalogLayer as a base"),
        (AnalogLayer, "and a digital_type"),
        (NotItsType, r"class NotItsType\(AnalogLayer, LowRank\)"),
        (Other, "AnalogLowRank already stands for LowRank"),
    ]:
        with pytest.raises(CrossOhmError, match=words):
            register(kind)
    again = type("AnalogLowRank", (AnalogLowRank,), {"__qualname__": "AnalogLowRank", "__module__": __name__})
    assert register(again) is ANALOG_KINDS[LowRank]


class Mine(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).tanh()


@pytest.mark.filterwarnings("ignore:.*stay digital:RuntimeWarning")
def test_the_report_says_what_is_where_and_why():
    layers = [
        nn.Conv2d(2, 4, 3, groups=2),
        nn.ReLU(),
        nn.Linear(4, 4),
        Mine(4, 4),
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
        nn.Bilinear(4, 4, 2),
        nn.Embedding(3, 4),
        nn.LayerNorm(4),
    ]
    model = nn.Sequential(*layers)
    report = conversion_report(from_torch(model, {"0": hardware({"core.rows_max": 10})}, 1, seed=1))
    assert [layer.name for layer in report.analog] == ["0"]
    assert (report.analog[0].shapes, report.analog[0].arrays, report.analog[0].kind) == (((4, 10),), 4, "AnalogConv2d")
    assert [(layer.name, layer.convertible) for layer in report.digital] == [
        ("2", True),
        ("3", False),
        ("4", False),
        ("5", False),
    ]
    text = str(report)
    for words in (
        "1 layers in arrays, 4 digital",
        "0 (AnalogConv2d): 4 x 10 in 4 arrays",
        "2 (Linear): it can be converted",
        "3 (Mine): only Linear itself is converted",
        "4 (ParametrizedLinear): its weights are computed",
        "5 (Bilinear): no analog kind stands for it",
    ):
        assert words in text
    assert [layer.name for layer in conversion_report(model).digital] == ["0", "2", "3", "4", "5"]
