"""Networks of any inputs and answers, and data of every form: calibrated, or refused with what is allowed."""

from __future__ import annotations

import copy
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import crossohm
from crossohm import CrossSimParameters, InputError
from crossohm.torch import TorchNetwork, analog_modules, from_torch

HARDWARE = CrossSimParameters.from_json("rram-8bit")
RNG = torch.Generator().manual_seed(3)
X, MASK = torch.rand(24, 4, generator=RNG) * 3 - 1, torch.rand(24, 8, generator=RNG).round()
TOKENS = torch.randint(0, 5, (24, 3), generator=RNG)


class Two(nn.Module):
    """Two inputs, both needed."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(4, 8)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.layer(x) * mask


class Perhaps(Two):
    """The second input may be left out."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.layer(x if mask is None else x * 2)


class Tokens(nn.Module):
    """Whole numbers in, and the number of a sequence's valid ones by name."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table, self.layer = nn.Embedding(5, 4), nn.Linear(4, 8)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        x = self.table(input_ids)
        return {"logits": self.layer(x if attention_mask is None else x * attention_mask[..., None])}


class Coded(nn.Module):
    """Whole numbers that no embedding looks up."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(5, 8)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layer(nn.functional.one_hot(tokens, 5).to(self.layer.weight.dtype))


class Listed(Two):
    """One input that is a list."""

    def forward(self, both: list[Tensor]) -> Tensor:
        return self.layer(both[0]) * both[1]


class Answers(Two):
    """Puts its answer in something."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Any:
        return self.form(self.layer(x))


#: Network, data in some form, and what its layer sees.
FORMS: dict[str, tuple[Any, Any, Tensor]] = {
    "tensor": (nn.Sequential(Two().layer), X, X),
    "labelled batches": (nn.Sequential(Two().layer), [(X[:9], 0), (X[9:], 0)], X),
    "loader": (nn.Sequential(Two().layer), DataLoader(TensorDataset(X, MASK), 5), X),
    "two inputs": (Two(), DataLoader(TensorDataset(X, MASK), 5), X),
    "two inputs and labels": (Two(), [(X, MASK, MASK[:, 0])], X),
    "two inputs apart from labels": (Two(), [((X, MASK), MASK[:, 0])], X),
    "two inputs as arrays": (Two(), [(X.numpy(), MASK.numpy())], X),
    "two inputs, double": (Two(), [(X.double(), MASK.double())], X),
    "two inputs, iterator": (Two(), iter([(X[:7], MASK[:7]), (X[7:], MASK[7:])]), X),
    "table": (Two(), {"x": X, "mask": MASK, "labels": MASK[:, 0]}, X),
    "tables": (Two(), [{"x": X[:7], "mask": MASK[:7]}, {"x": X[7:], "mask": MASK[7:]}], X),
    "table and labels": (Two(), [({"x": X, "mask": MASK}, MASK[:, 0])], X),
    "needless input": (Perhaps(), [(X, MASK)], X),
    "needless input by name": (Perhaps(), {"x": X, "mask": MASK}, 2 * X),
    "list": (Listed(), [([X, MASK], MASK[:, 0])], X),
    "list in a table": (Listed(), {"both": [X, MASK]}, X),
    "tokens": (Tokens(), TOKENS, Tokens().table(TOKENS)),
    "tokens, array": (Tokens(), TOKENS.numpy(), Tokens().table(TOKENS)),
    "tokens, 32 bits": (Tokens(), TOKENS.int(), Tokens().table(TOKENS)),
    "tokens, one each": (Tokens(), TOKENS[:, 0], Tokens().table(TOKENS[:, 0])),
    "tokens, labelled": (Tokens(), [(TOKENS, TOKENS[:, 0])], Tokens().table(TOKENS)),
    "tokens by name": (Tokens(), {"input_ids": TOKENS, "labels": TOKENS}, Tokens().table(TOKENS)),
    "masked tokens": (
        Tokens(), {"input_ids": TOKENS, "attention_mask": TOKENS > 1},
        Tokens().table(TOKENS) * (TOKENS > 1)[..., None],
    ),
    "coded tokens": (Coded(), TOKENS, nn.functional.one_hot(TOKENS, 5).float()),
    "bytes": (nn.Sequential(Two().layer), (X * 40 + 50).byte(), (X * 40 + 50).byte().float()),
    "bytes, array": (nn.Sequential(Two().layer), (X * 40 + 50).byte().numpy(), (X * 40 + 50).byte().float()),
    "data set": (nn.Sequential(Two().layer), SimpleNamespace(images=X.numpy()), X),
    "answer in a dictionary": (Answers(lambda y: {"logits": y}), X, X),
    "answer in a tuple": (Answers(lambda y: (y, y)), X, X),
    "answer in a list": (Answers(lambda y: [[y]]), X, X),
    "answer of one number": (Answers(lambda y: y.sum()), X, X),
    "no answer": (Answers(lambda y: None), X, X),
    "answer of another class": (Answers(lambda y: SimpleNamespace(logits=y)), X, X),
}  # fmt: skip


def layer_of(model: nn.Module) -> nn.Linear:
    return next(module for module in model.modules() if isinstance(module, nn.Linear))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("form", FORMS)
def test_ranges_are_those_of_what_the_layer_sees(form: str, dtype: torch.dtype) -> None:
    model, data, seen = FORMS[form]
    model, data = copy.deepcopy(model).to(dtype), copy.deepcopy(data) if form != "two inputs, iterator" else data
    if form == "two inputs, iterator":
        data = iter([(X[:7], MASK[:7]), (X[7:], MASK[7:])])
    found = crossohm.calibrate(model, data, HARDWARE)
    alone = crossohm.calibrate(nn.Sequential(layer_of(model)), seen.reshape(-1, seen.shape[-1]), HARDWARE)
    (one,), (other,) = found.layers.values(), alone.layers.values()
    assert found.images == 24
    assert one.inputs is not None
    assert other.inputs is not None
    tolerance = 0.02 if dtype is torch.bfloat16 else 1e-5
    assert one.inputs.limits == pytest.approx(other.inputs.limits, rel=tolerance)
    assert one.adc[0].limits == pytest.approx(other.adc[0].limits, rel=10 * tolerance)


def test_a_limit_takes_the_first_of_every_input() -> None:
    first = [(X[:13], MASK[:13])]
    for data in ([(X, MASK)], {"x": X, "mask": MASK}, DataLoader(TensorDataset(X, MASK), 5), iter([((X, MASK), 0)])):
        found = crossohm.calibrate(Two(), data, HARDWARE, limit=13)
        assert found.images == 13
        layer, expected = (one.layers["layer"] for one in (found, crossohm.calibrate(Two(), first, HARDWARE)))
        assert layer.inputs == expected.inputs
        # How a product is rounded depends on the size of the batch on some processors.
        for ours, theirs in zip(layer.adc, expected.adc, strict=True):
            assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-6)


class Stack:
    """Images that are read when they are asked for, and not many at a time."""

    held = np.tile(X.numpy(), (50, 1))
    dtype, ndim, shape = held.dtype, held.ndim, held.shape

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, index: slice) -> np.ndarray:
        found = self.held[index]
        assert len(found) <= 300
        return found


def test_images_are_read_as_they_are_needed() -> None:
    network = TorchNetwork(nn.Sequential(Two().layer))
    expected = crossohm.calibrate(network, Stack.held, HARDWARE)
    for data in (Stack(), SimpleNamespace(images=Stack())):
        found = crossohm.calibrate(network, data, HARDWARE)
        assert found.images == 1200
        assert found.layers == expected.layers
    np.testing.assert_array_equal(network.outputs(Stack()), network.outputs(Stack.held))  # type: ignore[arg-type]


class Ragged:
    """Samples of different lengths, as texts are."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> np.ndarray:
        return np.ones((number + 1, 4), np.float32)


def test_a_data_set_of_single_samples_is_looked_at_as_its_loader() -> None:
    data = TensorDataset(X, MASK)
    found, expected = (crossohm.calibrate(Two(), given, HARDWARE) for given in (data, DataLoader(data, 24)))
    assert found.layers == expected.layers and found.images == len(X)


def test_packed_sequences() -> None:
    model = nn.LSTM(4, 8)
    packed = nn.utils.rnn.pack_sequence([X[:9].clone(), X[9:15].clone(), X[15:].clone()], enforce_sorted=False)
    found = crossohm.calibrate(model, [(packed, 0)], HARDWARE)
    (ranges,) = found.layers.values()
    assert ranges.inputs is not None
    assert ranges.inputs.high == pytest.approx(float(X.abs().max()), rel=0.05)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (Two(), X, r"the batch is a Tensor, Two needs 2 inputs.*forward\(x, mask\)"),
        (Two(), [(X,)], "the batch is a sequence of 1, Two needs 2 inputs"),
        (Two(), {"x": X}, "the batch is a table of x, Two needs mask, x"),
        (Two(), {"image": X, "label": MASK}, "the batch is a table of image, label"),
        (nn.Sequential(nn.Linear(4, 2)), {"image": X}, r"a table of image, Sequential needs input"),
        (nn.Sequential(nn.Flatten(2), nn.Linear(4, 2)), X, r"fails on inputs \(float32 \(2, 4\)\): IndexError"),
        (nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 2)), X, r"fails on inputs \(float32.*other integers stay"),
        (nn.Sequential(nn.Linear(4, 2)), Ragged(), r"Ragged: samples 0 to 2 do not fit together.*pass a loader"),
        (nn.Sequential(nn.Linear(4, 2)), [["text"]], "batch of type list: expected an array"),
        (nn.Sequential(nn.Linear(4, 2)), [np.array(["a", "b"])], "batch of type ndarray"),
        (nn.Sequential(nn.Linear(4, 2)), [np.array([["a"], ["b"]])], "an input of dtype <U1 is nothing torch"),
        (nn.Sequential(nn.Linear(4, 2)), X[0], r"array of shape \(4,\)"),
        (nn.Sequential(nn.Linear(4, 2)), "images", "batch of type str"),
        (nn.Sequential(nn.Linear(4, 2)), {}, "batch of type dict"),
    ],
)
def test_what_does_not_suit_is_refused_with_the_way_out(model: nn.Module, data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        crossohm.calibrate(model, data, HARDWARE)


def test_a_failure_leaves_modes_and_gradients_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 2), nn.Dropout()).train()
    with pytest.raises(InputError) as caught:
        TorchNetwork(model).take(TOKENS)
    assert torch.is_grad_enabled()
    assert model[1].training
    network = TorchNetwork(Answers(lambda y: {"logits": y.sum()}).train())
    with pytest.raises(crossohm.UnsupportedError, match=r"the network answers a dict to 24 images.*wrap"):
        network.outputs(X.numpy())
    assert torch.is_grad_enabled()
    assert network.module.training
    del caught


def test_tokens_are_answered_as_torch_does() -> None:
    model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(12, 2))
    expected = model(TOKENS).detach().numpy()
    np.testing.assert_allclose(
        TorchNetwork(model, batch_size=5).outputs(TOKENS.numpy()), expected, rtol=1e-5, atol=1e-6
    )
    half = TorchNetwork(copy.deepcopy(model).to(torch.bfloat16)).outputs(TOKENS.numpy())
    np.testing.assert_allclose(half, expected, atol=0.05)


@pytest.mark.parametrize("tokens", [7, 8])
def test_batchnorm_is_folded_where_the_data_have_the_channels(tokens: int) -> None:
    """As many tokens as features: folding would normalise the wrong axis."""
    torch.manual_seed(1)
    features = 8 if tokens == 8 else 7
    model = nn.Sequential(nn.Linear(4, features), nn.BatchNorm1d(features), nn.ReLU(), nn.Linear(features, 3)).eval()
    model[1].running_mean.uniform_(-1, 1)
    model[1].running_var.uniform_(0.2, 3)
    vectors, sequences = torch.randn(60, 4), torch.randn(20, tokens, 4)
    for data, folds in ((vectors, True), (sequences, False)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            found = crossohm.calibrate(model, data, HARDWARE)
            network = TorchNetwork(model).seeing(data)
            chip = network.on_hardware(list(found.hardware.values()), seed=1)
        assert any("1: it normalises axis 1 of 3" in str(one.message) for one in seen) is not folds
        assert any(isinstance(module, nn.BatchNorm1d) for module in chip.module.modules()) is not folds
        y, exact = chip.module(data), model(data)
        assert (y - exact).norm() < 0.1 * exact.norm()
        analog = from_torch(model, found.hardware, seed=1)
        assert (analog(data) - exact).norm() < 0.1 * exact.norm()
        assert len(analog_modules(analog)) == 2
