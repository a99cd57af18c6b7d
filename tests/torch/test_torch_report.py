"""The report says of every product with weights where it runs, before a conversion as after it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hard_networks import HARD
from product_cases import Reader, linear
from torch import Tensor, nn

from crossohm.torch import analog_modules, conversion_report, from_torch
from crossohm.torch.conversion.operations import OperationWatch


def converted(model: nn.Module, example: Any) -> tuple[nn.Module, str]:
    """The analog model, and what the conversion warns of."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        analog = from_torch(model, seed=1, example=example)
    return analog, ". ".join(str(one.message) for one in seen if one.category is RuntimeWarning)


@pytest.mark.parametrize("name", HARD)
def test_what_is_to_go_onto_arrays_has_the_names_it_has_there(name):
    torch.manual_seed(4)
    model, example = HARD[name]()
    before = conversion_report(model.eval(), example)
    analog, _ = converted(model, example)
    after = conversion_report(analog, example)
    assert [layer.name for layer in before.layers if layer.convertible] == [one.name for one in analog_modules(analog)]
    assert [layer.name for layer in before.layers] == [layer.name for layer in after.layers]
    assert [layer.driven for layer in before.layers] == [layer.driven for layer in after.layers]
    assert [layer.also for layer in before.layers] == [layer.also for layer in after.layers]
    assert (before.share, before.convertible_share, after.share, after.convertible_share) == (0, 1, 1, 1)
    assert after.products == () and all(product.convertible for product in before.products)
    assert [layer.multiplications for layer in before.layers] == [None] * len(before.layers)


# --- products that nobody knows ---------------------------------------------------------------------------------------


@torch.jit.script
def scripted(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight


@torch.library.custom_op("crossohm_tests::times", mutates_args=())
def times(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight


def attention(q: Tensor, k: Tensor, v: Tensor, **choices: Any) -> Tensor:
    return F.scaled_dot_product_attention(q[None, None], k[None, None], v[None, None], **choices)


#: Products of 5 vectors of 4 with a weight of 4 to 4 that stay digital: function, numbers multiplied, and why.
DIGITAL: dict[str, tuple[Callable[[Tensor, Any], Tensor], str, int, str]] = {
    "memory": (lambda x, layer: attention(x, layer.weight, layer.weight), "scaled_dot", 160, "attention is one step"),
    "keys": (lambda x, layer: attention(x, layer.weight, x[:4]), "scaled_dot", 80, "attention is one step"),
    "queries": (lambda x, layer: attention(layer.weight, x, x), "scaled_dot", 80, "attention is one step"),
    "bilinear": (lambda x, layer: F.bilinear(x, x, layer.weight.expand(3, 4, 4)), "bilinear", 5 * 48, "three operands"),
    "scripted": (lambda x, layer: scripted(x, layer.weight), "mm in", 80, "past torch's Python functions"),
    "operation": (lambda x, layer: torch.ops.aten.mm.default(x, layer.weight), "mm.default", 80, "written with linear"),
    "custom": (lambda x, layer: times(x, layer.weight), "times", 80, "written with linear, @ or einsum it runs"),
    "distances": (lambda x, layer: torch.cdist(x, layer.weight), "cdist", 80, "written with linear"),
    "cosines": (lambda x, layer: F.cosine_similarity(x[:, None], layer.weight, dim=2), "cosine", 80, "with linear"),
    "written-out": (lambda x, layer: (x[:, None] * layer.weight).sum(2), "mul", 80, "number by number"),
    "order": (lambda x, layer: x @ (1 * layer.weight) + x @ (2 * layer.weight), "matmul", 160, "only the order of"),
    "recurrent": (
        lambda x, layer: torch.rnn_tanh_cell(x, x, layer.weight, layer.weight), "rnn_tanh_cell", 160, "call the layer"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DIGITAL)
def test_a_product_that_stays_digital_is_named_counted_and_explained(kind):
    product, function, count, reason = DIGITAL[kind]
    model, x = nn.Sequential(nn.Linear(4, 4), Reader(nn.Linear(4, 4), product)), torch.rand(5, 4)
    before = conversion_report(model, x)
    analog, warned = converted(model, x)
    after = conversion_report(analog, x)
    (digital,) = after.products
    assert digital.where.startswith(function) and digital.where.endswith("in 1 (Reader)")
    assert (digital.multiplications, digital.convertible) == (count, False)
    assert reason in digital.reason and digital.reason in warned and digital.reason in str(after)
    assert digital in before.products
    assert before.convertible_share == after.share == 80 / (80 + count)
    assert "1.layer" in [layer.name for layer in after.digital]


def test_products_without_a_name_are_counted_in_layers_that_stay_digital():
    class Scripted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = torch.jit.script(nn.Linear(4, 6))

        def forward(self, x: Tensor) -> Tensor:
            return self.part(x)

    report = conversion_report(Scripted(), torch.rand(5, 4))
    assert sum(product.multiplications for product in report.products) == 5 * 24
    assert (report.share, report.convertible_share) == (0, 0)


#: Parameters that meet data in no product.
HARMLESS: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "position": lambda x, table: x @ x.T @ (x + table[:1]),
    "scale": lambda x, table: x * table[0],
    "relative": lambda x, table: (x @ x.T).softmax(1) @ x + table[torch.tensor([0, 1, 1, 0, 3])],
    "mask": lambda x, table: attention(x, x, x, attn_mask=table[:1, :1]),
    "norm": lambda x, table: F.group_norm(F.layer_norm(x, (4,), table[0], table[1]), 2, table[2]),
    "bias": lambda x, table: F.conv1d(x[None], torch.stack([x, x])[..., :1], table[0, :2]),
    "outer": lambda x, table: torch.addr(torch.zeros(5, 4), x[:, 0], table[0]),
    "parameters": lambda x, table: x + (table @ table.T).det() + attention(table, table, table).sum(),
    "buffer": lambda x, table: x @ torch.eye(4) + 0 * table[0],
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_no_false_alarms(kind):
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.layer = nn.Parameter(torch.randn(4, 4)), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return HARMLESS[kind](self.layer(x), self.table)

    model, x = Model(), torch.rand(5, 4)
    analog, warned = converted(model, x)
    assert warned == ""
    for net, share in ((model, 0), (analog, 1)):
        report = conversion_report(net, x)
        assert [layer.name for layer in report.layers] == ["layer"]
        assert (report.share, report.convertible_share) == (share, 1)


# --- layers in several places, and past the call of their module ------------------------------------------------------


class Shared(nn.Module):
    """A layer registered by the model and by its blocks, as in CoaT; the model uses it in the blocks only."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1, groups=4))
        self.blocks = nn.ModuleList([nn.ModuleDict({"position": self.position}) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + block["position"](x)
        return x


def test_a_place_whose_module_is_used_under_another_name_is_no_alarm():
    model, x = Shared(), torch.rand(2, 4, 5)
    analog, warned = converted(model, x)
    assert warned == ""
    names = ["position.0", "blocks.0.position.0", "blocks.1.position.0"]
    for net in (model, analog):
        layers = conversion_report(net, x).layers
        assert [(layer.name, layer.driven) for layer in layers] == list(zip(names, [False, True, True], strict=True))
        assert layers[0].also == tuple(names[1:])
    assert "position.0 (AnalogConv1d): 4 x 3 in 8 arrays; not reached by the example; other arrays for the same" in str(
        conversion_report(analog, x)
    )


def test_two_uses_of_one_parameter_have_arrays_each_and_the_report_says_so():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stack = nn.Parameter(torch.randn(3, 4, 4))

        def forward(self, x: Tensor) -> Tensor:
            y = F.linear(x, self.stack[0]) + F.linear(x, self.stack[1])
            return torch.bmm(y.expand(3, -1, -1), self.stack.mT).sum(0)

    model, x = Both(), torch.rand(2, 4)
    for net in (model, converted(model, x)[0]):
        first, second = conversion_report(net, x).layers
        assert (first.also, second.also) == ((second.name,), (first.name,)) == (("stack_product2",), ("stack_product",))


def test_a_layer_whose_forward_is_called_is_converted():
    class Direct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer.forward(x)

    model, x = Direct(), torch.rand(5, 4)
    assert [layer.driven for layer in conversion_report(model, x).layers] == [True]
    analog, warned = converted(model, x)
    assert warned == ""
    assert [layer.name for layer in analog_modules(analog)] == ["layer"]
    assert conversion_report(analog, x).share == 1


def test_products_in_a_layer_that_is_passed_are_listed():
    model = Reader(
        nn.MultiheadAttention(4, 2), lambda x, layer: linear(F.linear(x, layer.in_proj_weight)[:, :4], layer.out_proj)
    )
    x = torch.rand(5, 4)
    analog, _ = converted(model, x)
    names = {"layer.in_proj_weight_product", "layer.out_proj.weight_product"}
    for net in (model, analog):
        assert {layer.name for layer in conversion_report(net, x).layers} == names
    assert conversion_report(analog, x).share == 1


def test_a_trial_does_not_import_torchs_compiler():
    """Which takes seconds, and costs later passes time: torch wraps what watches its dispatcher, if it is not told."""
    assert not hasattr(OperationWatch.__torch_dispatch__, "__wrapped__")
