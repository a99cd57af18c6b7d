"""Layers that no data reach while a network is calibrated or studied: kept as described, and named once."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_cases import CONVERTERS, SLICED, STYLES, hardware

import crossohm
from crossohm import CrossSimParameters
from crossohm.calibration import LayerRanges
from crossohm.params.files import preset_names
from crossohm.studies import load_study, run_study
from crossohm.torch import from_torch

X = torch.rand(50, 6, generator=torch.Generator().manual_seed(2))
#: Layers of every kind, each called with vectors of six numbers.
KINDS: dict[str, Any] = {
    "linear": (lambda: nn.Linear(6, 6), lambda layer, x: layer(x)),
    "conv": (lambda: nn.Conv1d(1, 1, 3, padding=1), lambda layer, x: layer(x[:, None])[:, 0]),
    "lstm": (lambda: nn.LSTM(6, 6, 2, batch_first=True), lambda layer, x: layer(x[:, None])[0][:, 0]),
    "cell": (lambda: nn.GRUCell(6, 6), lambda layer, x: layer(x)),
    "attention": (
        lambda: nn.MultiheadAttention(6, 2, batch_first=True),
        lambda layer, x: layer(x[:, None], x[:, None], x[:, None], need_weights=False)[0][:, 0],
    ),
}
MATRICES = {
    "linear": [""],
    "conv": [""],
    "lstm": [".l0", ".l1"],
    "cell": [""],
    "attention": [".query", ".key", ".value", ".out_proj"],
}

#: Torch refuses sequences of an empty batch.
NONE = ("lstm", 0)


class Net(nn.Module):
    """A body, a head, and another layer that gets the first rows of an input only, if any."""

    def __init__(self, kind: str, rows: int | None) -> None:
        super().__init__()
        torch.manual_seed(1)
        make, self.use = KINDS[kind]
        self.body, self.other, self.head, self.rows = nn.Linear(6, 6), make(), nn.Linear(6, 3), rows

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.body(x))
        if self.training:
            y = y + self.use(self.other, y)
        elif self.rows is not None:
            y = torch.cat([self.use(self.other, y[: self.rows]), y[self.rows :]])
        return self.head(y)


class Experts(nn.Module):
    """Vectors go to the expert whose number their first entry says."""

    def __init__(self, count: int = 4) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.experts = nn.ModuleList([nn.Linear(6, 6) for _ in range(count)])
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        choice = (x[:, 0] * len(self.experts)).long().clamp(0, len(self.experts) - 1)
        y = torch.zeros(len(x), 6)
        for number, expert in enumerate(self.experts):
            y[choice == number] = expert(x[choice == number])
        return self.head(y)


def told(call: Any) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = call()
    return found, [str(one.message) for one in seen if "no data reached" in str(one.message)]


@cache
def body_of_a_network_reached_everywhere(style: str) -> LayerRanges:
    described = hardware(CONVERTERS, (STYLES | SLICED)[style])
    return told(lambda: crossohm.calibrate(Net("linear", None).eval(), X, described))[0].layers["body"]


@pytest.mark.parametrize("style", [*STYLES, *SLICED])
@pytest.mark.parametrize(
    ("kind", "rows"), [(kind, rows) for kind in KINDS for rows in (None, 0) if (kind, rows) != NONE]
)
def test_unreached_layers_keep_their_description_and_are_named_once(kind, rows, style):
    described = hardware(CONVERTERS, (STYLES | SLICED)[style])
    net = Net(kind, rows).eval()
    found, messages = told(lambda: crossohm.calibrate(net, X, described))
    names = ["other" + suffix for suffix in MATRICES[kind]]
    assert len(messages) == 1
    assert f"no data reached {', '.join(names)} during" in messages[0]
    for name in names:
        ranges = found.layers[name]
        assert (ranges.inputs, ranges.adc) == (None, ())
        assert ranges.hardware.xbar == described.xbar
        assert ranges.hardware.core.mapping.inputs == described.core.mapping.inputs
    assert found.layers["body"] == body_of_a_network_reached_everywhere(style)
    analog = from_torch(net, found.hardware, seed=1)
    assert (analog(X) - net(X)).norm() < 0.1 * net(X).norm()


@pytest.mark.parametrize("kind", KINDS)
def test_layers_that_some_batches_reach_are_calibrated_on_those(kind):
    class Sometimes(Net):
        def forward(self, x: Tensor) -> Tensor:
            self.rows = None if x[0, 0] < 0 else 5
            return super().forward(x)

    absent, present = -X[:20] - 1, X[20:]
    net = Sometimes(kind, None).eval()
    found, messages = told(lambda: crossohm.calibrate(net, [absent, present, absent], hardware(CONVERTERS)))
    assert not messages
    alone = crossohm.calibrate(net, [present], hardware(CONVERTERS))
    for suffix in MATRICES[kind]:
        assert found.layers["other" + suffix].inputs == alone.layers["other" + suffix].inputs


def test_experts_without_tokens():
    net, few = Experts().eval(), X.clone()
    few[:, 0] *= 0.4
    found, messages = told(lambda: crossohm.calibrate(net, few, hardware(CONVERTERS)))
    assert len(messages) == 1
    assert "no data reached experts.2, experts.3 during" in messages[0]
    assert [found.layers[f"experts.{number}"].inputs is None for number in range(4)] == [False, False, True, True]
    assert not told(lambda: crossohm.calibrate(net, X, hardware(CONVERTERS)))[1]


@pytest.mark.parametrize("preset", preset_names())
def test_hardware_that_waits_for_ranges_can_be_built(preset):
    net = Net("linear", None).eval()
    found, messages = told(lambda: crossohm.calibrate(net, X, CrossSimParameters.from_json(preset)))
    assert len(messages) == 1
    from_torch(net, found.hardware, seed=1)(X)


def test_a_layer_reached_only_without_converters():
    """Routes that depend on data may change as inputs are converted: what was seen stays, the rest is as given."""

    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            weight, bias = torch.tensor(self.first.weight.tolist()), self.first.bias
            exact = torch.allclose(y, nn.functional.linear(x, weight, bias), rtol=1e-6, atol=1e-6)
            return self.second(y) if exact else y

    found, messages = told(lambda: crossohm.calibrate(Once().eval(), X, hardware(CONVERTERS)))
    assert len(messages) == 1
    assert "no data reached second during" in messages[0]
    assert found.layers["second"].inputs is not None
    assert found.layers["second"].adc == ()


def test_a_relu_that_removes_everything():
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    nn.init.constant_(net[0].bias, -100.0)
    found, messages = told(lambda: crossohm.calibrate(net, X, hardware(CONVERTERS)))
    assert not messages
    analog = from_torch(net, found.hardware, seed=1)
    torch.testing.assert_close(analog(X), net(X))


STUDY = """\
import numpy as np
import torch
from torch import nn
from crossohm.datasets import Dataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.body, self.aux, self.head = nn.Linear(6, 6), nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        y = torch.relu(self.body(x))
        return (self.head(y), self.aux(y)) if self.training else self.head(y)


def data(data_dir=None, split="test"):
    x = np.random.default_rng(1).random((40, 6)).astype(np.float32)
    return Dataset("own", x, np.arange(40) % 3, ("a", "b", "c"))
"""


def test_studies_go_on(tmp_path: Path):
    (tmp_path / "net.py").write_text(STUDY)
    study = {
        "model": "net.py:Net", "dataset": {"name": "net.py:data", "preprocessing": "unit"}, "repeats": 1,
        "save": {"adc_histograms": True, "layer_snr": True},
    }  # fmt: skip
    results, messages = told(lambda: run_study(load_study(study, folder=tmp_path), tmp_path / "results"))
    assert len(messages) == 1
    (chip,) = results.points[0]
    seen = chip.record["adc_inputs"]
    assert seen["aux"][0]["counts"] == []
    assert sum(seen["head"][0]["counts"]) == 40 * 3
    assert np.isnan(chip.layer_snr["aux"])
    assert chip.layer_snr["head"] > 20
