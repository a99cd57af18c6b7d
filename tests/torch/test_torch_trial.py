"""Products that bypass the arrays are found: by an example, by the report, and in the first pass of a model."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layer_cases import LAYERS
from product_cases import PRODUCTS, UNHELD, Reader, linear
from torch import Tensor, nn
from torch.overrides import _len_torch_function_stack
from torch_cases import CONVERTERS, READ_NOISE, hardware, resnet
from torch_networks import TorchAttention, VisionTransformer

import crossohm
from crossohm import ParameterError
from crossohm.torch import TorchNetwork, conversion_report, from_torch, to_torch

DIGITAL = "Digital products, on which hardware has no effect"


def warned(function: Callable[[], Any]) -> list[str]:
    """What a call warns of."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        function()
    return [str(warning.message) for warning in seen if warning.category is RuntimeWarning]


@pytest.mark.parametrize("gradient", [True, False])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_every_product_past_the_arrays_is_found(kind, gradient):
    model, x = nn.Sequential(nn.Tanh(), Reader(nn.Linear(4, 4), PRODUCTS[kind])), torch.rand(5, 4)
    analog = from_torch(model, hardware({"xbar.device.cell_bits": 2}), seed=1)
    before = copy.deepcopy(analog)
    with torch.set_grad_enabled(gradient):
        (found,) = warned(lambda: analog(x))
        for again in (analog, copy.deepcopy(analog)):
            assert warned(lambda net=again: net(x)) == []
    assert DIGITAL in found
    assert "1 of 1 analog layers (100% of their parameters): 1.layer;" in found
    assert "in 1 (Reader)" in found
    for report in (conversion_report(before, x), conversion_report(analog, x)):
        (layer,) = report.digital
        assert (layer.name, layer.driven, report.analog) == ("1.layer", False, ())
        assert "its arrays are not used: read digitally by" in str(report)
    (digital,) = (layer for layer in conversion_report(model, x).layers if layer.convertible)
    expected = ("1.layer", False, 1) if kind in UNHELD else ("1.layer.weight_product", True, 0)
    assert (digital.name, digital.driven, len(digital.readers)) == expected
    found = ". ".join(warned(lambda: from_torch(model, seed=1, example=x)))
    assert (DIGITAL in found) == (kind in UNHELD)
    assert "did not reach" not in found


#: How foreign code reads the weights of other kinds of layers.
KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], Callable[[Tensor, Any], Tensor]]] = {
    "conv1d": (lambda: nn.Conv1d(3, 4, 3), (2, 3, 8), lambda x, layer: F.conv1d(x, layer.weight)),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3), (2, 3, 8, 8), lambda x, layer: F.conv2d(x, layer.weight)),
    "conv3d": (lambda: nn.Conv3d(3, 4, 3), (2, 3, 4, 4, 4), lambda x, layer: F.conv3d(x, layer.weight)),
    "conv-transpose2d": (
        lambda: nn.ConvTranspose2d(3, 4, 3),
        (2, 3, 8, 8),
        lambda x, layer: F.conv_transpose2d(x, layer.weight),
    ),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2),
        (3, 2, 4),
        lambda x, layer: F.linear(x, layer.in_proj_weight, layer.in_proj_bias),
    ),
    "attention-output": (
        lambda: nn.MultiheadAttention(4, 2),
        (3, 2, 4),
        lambda x, layer: F.linear(x, layer.out_proj.weight),
    ),
    "attention-function": (
        lambda: nn.MultiheadAttention(4, 2),
        (3, 2, 4),
        lambda x, layer: F.multi_head_attention_forward(
            x, x, x, 4, 2, layer.in_proj_weight, layer.in_proj_bias, None, None, False, 0.0,
            layer.out_proj.weight, layer.out_proj.bias,
        )[0],
    ),
    "lstm": (lambda: nn.LSTM(4, 3), (5, 2, 4), lambda x, layer: F.linear(x, layer.weight_ih_l0)),
    "lstm-function": (
        lambda: nn.LSTM(4, 3),
        (5, 2, 4),
        lambda x, layer: torch.lstm(
            x, (torch.zeros(1, 2, 3), torch.zeros(1, 2, 3)), list(layer.parameters()), True, 1, 0.0, False, False, False
        )[0],
    ),
    "gru-cell": (
        lambda: nn.GRUCell(4, 3),
        (2, 4),
        lambda x, layer: torch.gru_cell(
            x, torch.zeros(2, 3), layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_every_kind_are_found(kind):
    build, shape, product = KINDS[kind]
    (found,) = warned(lambda: from_torch(Reader(build(), product), seed=1)(torch.rand(shape)))
    assert DIGITAL in found


class Tied(nn.Module):
    """A decoder that multiplies with the table of the embedding, or calls a layer with the same parameters."""

    def __init__(self, layer: bool, call: bool) -> None:
        super().__init__()
        self.embed, self.body, self.call = nn.Embedding(7, 4), nn.Linear(4, 4), call
        if layer:
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.body(self.embed(tokens))
        return self.head(x) if self.call else F.linear(x, self.embed.weight)


@pytest.mark.parametrize(
    ("layer", "call", "words"),
    [
        (True, True, []),
        (True, False, [DIGITAL, "1 of 2 analog layers", "head"]),
        (False, False, ["Digital products with parameters that no layer holds: embed.weight"]),
    ],
)
def test_tied_decoders(layer, call, words):
    tokens = torch.tensor([[1, 2, 3]])
    found = warned(lambda: from_torch(Tied(layer, call), seed=1)(tokens))
    assert len(found) == bool(words)
    assert all(word in found[0] for word in words)


class Unregistered(nn.Module):
    """Layers that only a list or a closure knows."""

    def __init__(self, closure: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        hidden = nn.Linear(4, 4)
        self.steps = [lambda x: hidden(x)] if closure else [hidden]

    def forward(self, x: Tensor) -> Tensor:
        return self.steps[0](self.layer(x))


@pytest.mark.parametrize("closure", [False, True])
def test_layers_torch_does_not_see_are_found(closure):
    model = Unregistered(closure)
    (found,) = warned(lambda: from_torch(model, seed=1)(torch.rand(2, 4)))
    assert "parameters of no module of the model, of shapes (4, 4)" in found
    assert conversion_report(model, torch.rand(2, 4)).others == ("linear in the model (Unregistered), shape (4, 4)",)


def test_a_closure_over_the_model_itself_is_found():
    model = nn.Sequential(nn.Linear(4, 4))
    model.forward = lambda x: model[0](x)
    (found,) = warned(lambda: from_torch(model, seed=1)(torch.rand(2, 4)))
    assert "parameters of no module of the model" in found


def test_a_model_without_any_layer_is_found():
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.randn(4, 3, 3, 3))

        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, self.kernel)

    (found,) = warned(lambda: from_torch(Functional(), seed=1)(torch.rand(1, 3, 8, 8)))
    assert "kernel; the first is conv2d in the model (Functional)" in found


def test_a_layer_that_is_called_and_read_is_in_arrays_and_read():
    model = Reader(nn.Linear(4, 4), lambda x, layer: linear(layer(x), layer))
    analog = from_torch(model, seed=1)
    (found,) = warned(lambda: analog(torch.rand(2, 4)))
    assert DIGITAL in found
    (layer,) = conversion_report(analog, torch.rand(2, 4)).analog
    assert (layer.driven, layer.readers) == (True, ("linear in the model (Reader)",))


def test_layers_that_stay_digital_by_choice_are_not_mentioned():
    model = nn.Sequential(Reader(nn.Linear(4, 4), linear), nn.Linear(4, 4))
    assert warned(lambda: from_torch(model, {"1": hardware()}, seed=1)(torch.rand(2, 4))) == []


# --- nothing to find --------------------------------------------------------------------------------------------------


class Quiet(nn.Module):
    """Reads parameters without multiplying data with them, and multiplies data without reading parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.embed = nn.Linear(4, 4), nn.LayerNorm(4), nn.Embedding(9, 4)
        self.query, self.scale = nn.Parameter(torch.randn(1, 4)), nn.Parameter(torch.ones(4))
        self.aux = nn.Linear(4, 2)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(self.embed(tokens)) * self.scale + self.query
        x = self.layer(x).to(self.layer.weight.dtype)
        y = F.scaled_dot_product_attention(x, x, x) + x @ x.mT @ x
        penalty = self.layer.weight.square().sum() + (self.layer.weight @ self.layer.weight.T).norm()
        if self.training:
            y = y + self.aux(y).sum()
        return self.layer(self.query) + y, penalty


@pytest.mark.parametrize("training", [True, False])
def test_no_false_alarms(training):
    model = Quiet().train(training)
    tokens = torch.randint(9, (2, 3))
    analog = from_torch(model, hardware(), seed=1)
    assert warned(lambda: analog(tokens)) == []
    found = warned(lambda: from_torch(model, seed=1, example=tokens))
    assert len(found) == 1
    assert "did not reach 1 of 2 analog layers (33% of their parameters): aux." in found[0]
    assert [layer.driven for layer in conversion_report(analog, tokens).analog] == [True, False]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("gradient", ["programmed", "chain", "wires"])
def test_layers_are_silent_however_they_are_called(name, gradient):
    case = LAYERS[name]

    class Direct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = case.digital()

        def forward(self, *inputs: Tensor) -> Any:
            return self.layer(*inputs, **case.call), self.layer.forward(*inputs, **case.call)

    analog = from_torch(Direct(), hardware({"core.rows_max": 9}), 1, seed=1, gradient=gradient, **case.choices)
    assert warned(lambda: analog(*case.inputs())) == []
    report = conversion_report(analog, tuple(case.inputs()))
    assert [(layer.driven, layer.readers) for layer in report.layers] == [(True, ())]
    report = conversion_report(Direct(), tuple(case.inputs()))
    assert [(layer.driven, layer.readers) for layer in report.layers] == [(True, ())]


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda: resnet(torch.float32), (2, 3, 9, 9)),
        (VisionTransformer, (2, 3, 16, 16)),
        (lambda: VisionTransformer(TorchAttention), (2, 3, 16, 16)),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2), (2, 3, 4)),
        (lambda: nn.utils.parametrizations.spectral_norm(nn.Sequential(nn.Linear(4, 4))[0]), (2, 4)),
    ],
    ids=["resnet", "vit", "vit-attention", "encoder", "spectral"],
)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.filterwarnings("ignore:layers with weights that stay digital:RuntimeWarning")
def test_known_networks_are_silent(build, shape, training):
    model = nn.Sequential(build(), nn.Identity()).train(training)
    analog = from_torch(model, seed=1)
    with torch.set_grad_enabled(training):
        assert warned(lambda: analog(torch.rand(shape))) == []
    for net in (model, analog):
        assert not any(
            layer.readers or layer.driven is False for layer in conversion_report(net, torch.rand(shape)).layers
        )


# --- the first pass ---------------------------------------------------------------------------------------------------


def reader() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), Reader(nn.Linear(4, 4), linear))


def hooks(model: nn.Module) -> int:
    names = ("_forward_hooks", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called")
    return sum(len(getattr(module, name)) for module in model.modules() for name in names)


def test_nothing_is_left_after_the_first_pass():
    model = reader()
    converted, fresh = from_torch(model, seed=1), from_torch(model, seed=1, example=torch.rand(1, 4))
    before = hooks(fresh)
    for analog in (converted, fresh):
        warned(lambda net=analog: net(torch.rand(2, 4)))
    assert (hooks(converted), hooks(fresh)) == (2, before)  # those of the analog layers, and of products
    assert _len_torch_function_stack() == 0


def test_results_are_those_of_later_passes():
    analog, x = from_torch(reader(), hardware(CONVERTERS, READ_NOISE), seed=1), torch.rand(2, 4)
    results = []
    for _ in range(2):
        torch.manual_seed(1)
        warned(lambda: results.append(analog(x)))
    assert torch.equal(*results)


def test_a_pass_that_fails_does_not_count():
    analog = from_torch(reader(), seed=1)
    with pytest.raises(crossohm.ShapeError):
        analog(torch.rand(2, 5))
    assert _len_torch_function_stack() == 0
    try:
        raise KeyError
    except KeyError:  # also a pass while an exception is handled
        assert len(warned(lambda: analog(torch.rand(2, 4)))) == 1


@pytest.mark.parametrize("where", ["torch", "model"])
def test_an_interrupted_pass_does_not_count(where):
    """Hooks are not told of Ctrl-C: what is left of the pass does nothing, and goes with the next pass of any model."""
    interrupted: list[bool] = []

    def product(x: Tensor, layer: Any) -> Tensor:
        if not interrupted:
            interrupted.append(True)
            if where == "model":
                raise KeyboardInterrupt
            _Interrupted.apply(x)
        return linear(x, layer)

    analog, other = from_torch(Reader(nn.Linear(4, 4), product), seed=1), from_torch(reader(), seed=1)
    with pytest.raises(KeyboardInterrupt):
        analog(torch.rand(2, 4))
    linear(torch.rand(2, 4), analog.layer)
    assert len(warned(lambda: other(torch.rand(2, 4)))) == 1
    assert _len_torch_function_stack() == 0
    assert len(warned(lambda: analog(torch.rand(2, 4)))) == 1
    assert _len_torch_function_stack() == 0


class _Interrupted(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        raise KeyboardInterrupt


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), lambda m: _saved(m)])
def test_copies_watch_their_own_first_pass(twin):
    analog = from_torch(reader(), seed=1)
    other = twin(analog)
    for net in (other, analog):
        assert len(warned(lambda net=net: net(torch.rand(2, 4)))) == 1
        assert warned(lambda net=net: net(torch.rand(2, 4))) == []


def _saved(model: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


def test_state_and_the_way_back_know_nothing_of_it():
    model = reader()
    analog = from_torch(model, seed=1)
    assert {key for key in analog.state_dict() if not key.endswith("_extra_state")} == set(model.state_dict())
    assert hooks(to_torch(analog)) == 0
    assert warned(lambda: to_torch(analog)(torch.rand(2, 4))) == []


def test_the_warning_is_that_of_the_users_line():
    analog = from_torch(reader(), seed=1)
    with pytest.warns(RuntimeWarning, match=DIGITAL) as seen:
        analog(torch.rand(2, 4))
    assert seen[0].filename == __file__
    with pytest.warns(RuntimeWarning, match=DIGITAL) as seen:
        from_torch(Reader(nn.Linear(4, 4), PRODUCTS["bilinear"]), seed=1, example=torch.rand(2, 4))
    assert seen[0].filename == __file__


def test_transforms_work_in_the_first_pass():
    model, x = reader(), torch.rand(3, 2, 4)
    expected = model(x)
    analog = from_torch(model, seed=1)
    (found,) = warned(lambda: torch.testing.assert_close(torch.vmap(analog)(x), expected))
    assert DIGITAL in found
    analog = from_torch(model, seed=1)
    values = dict(analog.named_parameters())
    (found,) = warned(lambda: torch.func.functional_call(analog, values, (x,)))
    assert DIGITAL in found
    analog = from_torch(model, seed=1)
    (found,) = warned(lambda: torch.func.grad(lambda p: torch.func.functional_call(analog, p, (x,)).sum())(values))
    assert DIGITAL in found
    assert _len_torch_function_stack() == 0


def test_compiled_models_are_not_disturbed():
    model, x = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)), torch.rand(3, 4)
    analog = from_torch(model, seed=1)
    compiled = torch.compile(analog, backend="eager")
    for _ in range(2):
        torch.testing.assert_close(compiled(x), model(x))
    torch.testing.assert_close(analog(x), model(x))
    torch.testing.assert_close(compiled(x), model(x))


def test_a_part_of_a_larger_model_watches_its_own_pass():
    model = nn.Sequential(nn.Linear(4, 4), from_torch(reader(), seed=1))
    assert len(warned(lambda: model(torch.rand(2, 4)))) == 1
    again = from_torch(nn.Sequential(nn.Linear(4, 4), from_torch(reader(), seed=1)), seed=1)
    assert len(warned(lambda: again(torch.rand(2, 4)))) == 1


# --- studies and examples ---------------------------------------------------------------------------------------------


def test_calibration_and_studies_say_it_once():
    x = np.random.default_rng(1).uniform(-1, 1, (20, 4)).astype(np.float32)
    rram = crossohm.CrossSimParameters.from_json("rram-8bit")
    unheld = nn.Sequential(nn.Linear(4, 4), Reader(nn.Linear(4, 4), half_unheld))
    found = warned(lambda: crossohm.calibrate(unheld, x, rram))
    assert sum(DIGITAL in text for text in found) == 1
    network = TorchNetwork(reader())
    found = warned(lambda: [network.on_hardware([hardware()] * 2, seed=seed).outputs(x) for seed in range(3)])
    assert sum(DIGITAL in text for text in found) == 1
    chip = from_torch(reader(), seed=1)
    warned(lambda: chip(torch.rand(2, 4)))
    found = warned(lambda: TorchNetwork(chip).on_hardware([hardware()] * 2, seed=1).outputs(x))
    assert sum(DIGITAL in text for text in found) == 1


def half_unheld(x: Tensor, layer: Any) -> Tensor:
    return layer(x) + PRODUCTS["bilinear"](x, layer)


class Options(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x: Tensor, scale: Tensor | float = 1.0, extra: dict[str, Tensor] | None = None) -> Tensor:
        extra = extra or {"y": x}
        return self.norm(self.layer(x * scale + extra["y"]))


X = torch.rand(3, 4)


@pytest.mark.parametrize(
    "example", [X, (X,), (X, torch.ones(4)), (X, 2.0, {"y": X}), {"x": X}, {"x": X, "extra": {"y": X}}]
)
def test_examples_are_tensors_tuples_or_keywords(example):
    model = Options().train()
    torch.manual_seed(5)
    analog = from_torch(model, hardware(READ_NOISE), seed=1, example=example)
    report = conversion_report(analog, example)
    assert [layer.driven for layer in report.layers] == [True]
    assert torch.initial_seed() == 5
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(5)))
    assert analog.training
    assert analog.norm.num_batches_tracked == 0


@pytest.mark.parametrize("example", [[X], "image", 3, X.numpy()])
def test_other_examples_are_refused(example):
    with pytest.raises(ParameterError, match=r"example = .*dictionary of keyword inputs"):
        from_torch(Options(), seed=1, example=example)
    with pytest.raises(ParameterError, match=r"example = .*dictionary of keyword inputs"):
        conversion_report(Options(), example)


def test_an_example_the_model_refuses_says_what_was_done():
    with pytest.raises(RuntimeError) as error:
        conversion_report(Options(), torch.rand(3, 5))
    assert "while the model answered the example" in error.value.__notes__


def test_experts_without_tokens_are_not_reached():
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            chosen = torch.zeros(len(x), dtype=torch.long)
            return torch.cat([expert(x[chosen == i]) for i, expert in enumerate(self.experts)])

    model = Experts()
    assert [layer.driven for layer in conversion_report(model, X).layers] == [True, False, False]
    (found,) = warned(lambda: from_torch(model, seed=1, example=X))
    assert "2 of 3 analog layers (67% of their parameters): experts.1, experts.2" in found
