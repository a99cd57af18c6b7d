"""A module under several names, and references to layers beside the registered ones."""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from layer_cases import LAYERS
from torch import Tensor, nn
from torch_cases import CONVERTERS, PROGRAMMING_ERROR, READ_NOISE, hardware, relative_error

import crossohm
from crossohm.torch import (
    AnalogLayer,
    TorchNetwork,
    analog_modules,
    conversion_report,
    convertible_modules,
    from_torch,
    profile,
    reinitialize,
    synchronize,
    to_torch,
)

pytestmark = pytest.mark.filterwarnings("ignore:BatchNorm stays digital:RuntimeWarning")


def block(size: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, size), nn.BatchNorm1d(size), nn.Tanh())


class Siamese(nn.Module):
    """One block under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.left = self.right = block()
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.left(x), self.right(-x)], -1))


class Nested(nn.Module):
    """A block under three names, two of them inside a child, with a layer of its own under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = block()
        layer = nn.Linear(4, 4)
        self.first.append(nn.ModuleDict({"a": layer, "b": layer}))
        self.child = nn.Module()
        self.child.second = self.first
        self.child.more = nn.ModuleList([nn.Identity(), self.first])

    def forward(self, x: Tensor) -> Tensor:
        for part in (self.first, self.child.second, self.child.more[1]):
            x = part[2](part[1](part[0](x)))
            x = torch.relu(part[3]["b"](part[3]["a"](x)))
        return x


class Albert(nn.Module):
    """One transformer block, used at every depth."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)] * 3)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.blocks:
            x = part(x)
        return self.head(x[:, 0])


SHARED = {
    "siamese": (Siamese, (6, 4), ["left.0", "right.0", "head"]),
    "nested": (
        Nested,
        (6, 4),
        [f"{place}.{layer}" for place in ("first", "child.second", "child.more.1") for layer in ("0", "3.a", "3.b")],
    ),
    "albert": (
        Albert,
        (6, 3, 4),
        [*(f"blocks.{i}.{layer}" for i in range(3) for layer in ("self_attn", "linear1", "linear2")), "head"],
    ),
}


@pytest.fixture(params=SHARED)
def shared_model(request: pytest.FixtureRequest) -> tuple[Any, Tensor, list[str]]:
    build, shape, names = SHARED[request.param]
    torch.manual_seed(1)
    model = build()
    x = torch.rand(shape) * 2 - 1
    model(x)  # running statistics
    return model.eval(), x, names


def structure(model: nn.Module) -> list[tuple[str, int]]:
    """Every name, with a number for the module that has it."""
    numbers: dict[int, int] = {}
    return [
        (name, numbers.setdefault(id(module), len(numbers)))
        for name, module in model.named_modules(remove_duplicate=False)
    ]


def test_every_place_is_a_layer_and_parameters_stay_common(shared_model):
    model, x, names = shared_model
    before = structure(model)
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), seed=1)
    assert [name for name, m in analog.named_modules() if isinstance(m, AnalogLayer)] == names
    assert len(convertible_modules(model)) == len(analog_modules(analog)) == len(names)
    assert [layer.name for layer in conversion_report(model).layers if layer.convertible] == names
    assert [layer.name for layer in conversion_report(analog).analog] == names
    assert [name for name, _ in analog.named_parameters()] == [name for name, _ in model.named_parameters()]
    digital = {key for key in analog.state_dict() if not key.endswith("_extra_state")}
    assert digital == set(model.state_dict())
    assert structure(model) == before
    ideal = from_torch(model, seed=1)
    assert relative_error(ideal(x), model(x)) < 1e-5


def test_places_have_independent_errors_and_those_of_their_names(shared_model):
    model, _, names = shared_model
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), seed=1)
    chips = [layer.matrices[0].programmed() for layer in analog_modules(analog)]
    for one in range(len(names)):
        for other in range(one):
            if chips[one].shape == chips[other].shape:
                assert not torch.equal(chips[one], chips[other])
    apart = from_torch(copy.deepcopy(TorchNetwork(model).folded().module), hardware(PROGRAMMING_ERROR), seed=1)
    for one, other in zip(analog_modules(analog), analog_modules(apart), strict=True):
        assert one.name == other.name


def test_hardware_is_that_of_the_place(shared_model):
    model, _, names = shared_model
    table = {name: hardware({"core.rows_max": 10 + number}) for number, name in enumerate(names)}
    for given in (table, list(table.values())):
        analog = from_torch(model, given, seed=1)
        found = [layer.params.core.rows_max for layer in analog_modules(analog)]
        assert found == [10 + number for number in range(len(names))]
    some = from_torch(model, {names[1]: hardware()}, seed=1)
    assert [name for name, m in some.named_modules() if isinstance(m, AnalogLayer)] == [names[1]]


def test_the_way_back_makes_them_one_again(shared_model):
    model, x, names = shared_model
    for analog in (
        from_torch(model, hardware(PROGRAMMING_ERROR), seed=1),
        from_torch(model, {names[1]: hardware(PROGRAMMING_ERROR)}, seed=1),
    ):
        for source in (analog, copy.deepcopy(analog), pickle.loads(pickle.dumps(analog))):
            plain = to_torch(source)
            assert structure(plain) == structure(model)
            assert repr(plain) == repr(model)
            assert torch.equal(plain(x), model(x))
            assert not any(key.startswith("_crossohm") for m in plain.modules() for key in vars(m))


def test_physical_weights_differ_from_place_to_place(shared_model):
    model, x, _ = shared_model
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), bias_rows=1, seed=1)
    assert relative_error(to_torch(analog, physical_weights=True)(x), analog(x)) < 1e-5


def test_shared_places_are_trained_as_one(shared_model):
    model, x, _ = shared_model
    results = []
    for net in (copy.deepcopy(model), from_torch(model, seed=1)):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
        results.append(torch.cat([parameter.detach().flatten() for parameter in net.parameters()]))
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-5)


def test_state_comes_back(shared_model):
    model, x, _ = shared_model
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), seed=1)
    other = from_torch(model, hardware(), seed=2)
    other.load_state_dict(analog.state_dict())
    assert torch.equal(other(x), analog(x))


def test_studies_see_every_place(shared_model):
    model, x, names = shared_model
    found = crossohm.calibrate(model, x.numpy(), crossohm.CrossSimParameters.from_json("rram-8bit"))
    assert list(found.hardware) == names
    network = TorchNetwork(model)
    assert network.convertible == tuple(names)
    chip = network.on_hardware(list(found.hardware.values()), seed=1)
    assert list(chip.layers) == names
    assert set(chip.vectors_per_image(x[0].numpy()).values()) != {0}
    again = crossohm.calibrate(chip.module, x.numpy())
    assert list(again.hardware) == names


def test_layers_are_compared_with_the_digital_layer_of_their_place(shared_model):
    model, x, names = shared_model
    network = TorchNetwork(model)
    chip = network.on_hardware([hardware()] * len(names), seed=1)
    with chip.compared(network.folded()) as deviations:
        chip.outputs(x.numpy())
    assert all(found.noise < 1e-8 * found.signal for found in deviations.values())


def test_what_holds_no_layers_stays_common():
    model = Siamese()
    analog = from_torch(model, seed=1)
    assert analog.left[1] is analog.right[1]
    analog.train()(torch.rand(5, 4))
    model.train()(torch.rand(5, 4))
    assert analog.left[1].num_batches_tracked == model.left[1].num_batches_tracked == 2


def test_a_place_that_was_changed_is_not_made_one_again():
    analog = from_torch(Siamese(), seed=1)
    analog.right[0].weight = nn.Parameter(torch.zeros(4, 4))
    plain = to_torch(analog)
    assert plain.left is not plain.right
    assert not plain.right[0].weight.any()
    assert plain.left[0].weight.any()


def test_hooks_are_those_of_every_place():
    seen = []
    model = Siamese()
    model.left.register_forward_hook(lambda *_: seen.append("block"))
    model.left[0].register_forward_hook(lambda *_: seen.append("layer"))
    from_torch(model, seed=1)(torch.rand(3, 4))
    assert seen == ["layer", "block"] * 2


@pytest.mark.parametrize("case", [name for name in LAYERS if "-" not in name])
def test_every_kind_of_layer_may_be_in_two_places(case):
    digital, x = LAYERS[case].digital(), LAYERS[case].inputs()
    model = nn.ModuleDict({"a": nn.ModuleList([digital]), "b": nn.ModuleList([digital])})
    model["c"] = model["a"]
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), seed=1)
    layers = analog_modules(analog)
    assert [layer.name for layer in layers] == ["a.0", "b.0", "c.0"]
    outputs = [LAYERS[case].outputs(layer, x)[0] for layer in layers]
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert len(list(analog.parameters())) == len(list(model.parameters()))
    assert structure(to_torch(analog)) == structure(model)


# --- one analog layer under several names -----------------------------------------------------------------------------


def test_one_analog_layer_under_two_names_is_one_layer():
    layer = from_torch(nn.Linear(4, 4), hardware(PROGRAMMING_ERROR), seed=1)
    model = nn.Sequential(layer, nn.Tanh(), nn.Sequential(layer))
    x = np.random.default_rng(1).uniform(-1, 1, (20, 4)).astype(np.float32)
    assert analog_modules(model) == [layer]
    assert [found.name for found in conversion_report(model).layers] == ["0"]
    network = TorchNetwork(model)
    assert network.convertible == ("0",)
    assert list(network.cores) == ["0"]
    assert len(network.hardware) == 1
    assert network.vectors_per_image(x[0]) == {"0": 2}
    found = crossohm.calibrate(model, x, crossohm.CrossSimParameters.from_json("rram-8bit"))
    assert list(found.hardware) == ["0"]
    chip = network.on_hardware([hardware(CONVERTERS)], seed=3)
    assert chip.module[0] is chip.module[2][0]
    with profile(model) as seen:
        network.outputs(x)
    assert list(seen) == ["0"]
    synchronize(model)
    reinitialize(model, seed=5)
    assert structure(to_torch(model)) == structure(model)
    again = from_torch(model, seed=1)
    assert again[0] is again[2][0]


# --- references -------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    layer: Any
    note: str


@dataclasses.dataclass
class Stage:
    layer: Any
    scale: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenStage:
    layer: Any


class Runner:
    """An object of the user, of no known kind."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer


class Hidden(nn.Module):
    """A module that torch does not see where it is kept in a list."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def _ordered(value: Any) -> Any:
    return next(iter(value))


#: How a reference is kept, and how the layer is called through it.
REFERENCES: dict[str, tuple[Any, Any]] = {
    "list": (lambda a: [a], lambda kept: kept[0]),
    "tuple": (lambda a: (1, a), lambda kept: kept[1]),
    "dict": (lambda a: {"a": a}, lambda kept: kept["a"]),
    "nested": (lambda a: {"x": [(0, {"y": [a]})]}, lambda kept: kept["x"][0][1]["y"][0]),
    "namedtuple": (lambda a: Pair(a, "mine"), lambda kept: kept.layer),
    "deque": (lambda a: collections.deque([a], maxlen=3), lambda kept: kept[0]),
    "set": (lambda a: {a}, _ordered),
    "frozenset": (lambda a: frozenset([a]), _ordered),
    "key": (lambda a: {a: "note", "b": 1}, _ordered),
    "ordered": (lambda a: collections.OrderedDict(a=a), lambda kept: kept["a"]),
    "default": (lambda a: collections.defaultdict(list, a=[a]), lambda kept: kept["a"][0]),
    "dataclass": (lambda a: [Stage(a)], lambda kept: kept[0].layer),
    "frozen": (lambda a: FrozenStage(a), lambda kept: kept.layer),
    "object": (lambda a: Runner([a]), lambda kept: kept.layer[0]),
    "method": (lambda a: [a.forward], lambda kept: kept[0]),
    "partial": (lambda a: functools.partial(a), lambda kept: kept),
    "hidden": (lambda a: [Hidden(a)], lambda kept: kept[0]),
}


class Referring(nn.Module):
    """Computes through a reference beside the registered layer."""

    def __init__(self, keep: Any, call: Any) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4))
        self.call = call
        object.__setattr__(self, "kept", keep(self.body[0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.kept)(x)


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize("inner", [False, True])
def test_references_follow_there_and_back(kind, inner):
    keep, call = REFERENCES[kind]
    model = Referring(keep, call)
    if inner:
        model = nn.Sequential(nn.Tanh(), model)
    x, coarse = torch.rand(3, 4), hardware({"xbar.device.cell_bits": 2})
    expected = model(x)
    analog = from_torch(model, coarse, seed=1)
    (layer,) = analog_modules(analog)
    with profile(analog) as seen:
        analog(x)
    assert sum(record.total for profile_ in seen.values() for record in profile_.inputs.values()) == x.numel()
    assert not torch.equal(analog(x), expected)
    assert torch.equal(analog(x), layer(x if not inner else torch.tanh(x)))
    assert torch.equal(model(x), expected)
    with torch.no_grad():
        layer.weight.zero_()
    plain = to_torch(analog)
    assert not any(isinstance(module, AnalogLayer) for module in plain.modules())
    assert torch.equal(plain(x), layer.bias.expand(3, 4))


def test_references_inside_a_shared_container_follow_to_their_own_place():
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.steps = [self.layer]

        def forward(self, x: Tensor) -> Tensor:
            return self.steps[0](x)

    model = nn.ModuleDict({"left": Listed()})
    model["right"] = model["left"]
    analog = from_torch(model, seed=1)
    for name in ("left", "right"):
        assert analog[name].steps[0] is analog[name].layer
    plain = to_torch(analog)
    assert plain["left"] is plain["right"]
    assert plain["left"].steps[0] is plain["left"].layer


def test_hooks_bound_to_the_model_see_the_model_they_are_in():
    class Tapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.layer.register_forward_hook(self.tap)
            self.seen = 0

        def tap(self, *_: Any) -> None:
            self.seen += 1

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)

    model = Tapped()
    analog = from_torch(model, seed=1)
    plain = to_torch(analog)
    for net in (analog, plain):
        net(torch.rand(2, 4))
    assert [model.seen, analog.seen, plain.seen] == [0, 1, 1]


def test_a_cycle_of_references_ends():
    model = nn.Sequential(nn.Linear(3, 3))
    model.loop = [model, {"again": None}]
    model.loop[1]["again"] = model.loop
    model.loop.append(model[0])
    analog = from_torch(model, seed=1)
    assert analog.loop[2] is analog[0]
    assert analog.loop[0] is analog


def test_read_noise_is_drawn_for_every_place():
    model, x = Siamese().eval(), torch.rand(3, 4)
    analog = from_torch(model, hardware(READ_NOISE), seed=1)
    assert not torch.equal(analog.left(x), analog.right(x))


# --- parts converted one by one ---------------------------------------------------------------------------------------


def test_parts_have_the_errors_they_have_in_the_whole():
    model = nn.ModuleDict({"encoder": block(), "head": nn.Linear(4, 2), "lstm": nn.LSTM(4, 3)})
    whole = from_torch(model, hardware(PROGRAMMING_ERROR), seed=1)
    parts = {name: from_torch(model[name], hardware(PROGRAMMING_ERROR), seed=1, name=name) for name in model}
    for name, part in parts.items():
        for one, other in zip(analog_modules(part), analog_modules(whole[name]), strict=True):
            assert one.name == other.name
            for own, theirs in zip(one.matrices, other.matrices, strict=True):
                assert own.name == theirs.name
                assert torch.equal(own.programmed(), theirs.programmed())


@pytest.mark.parametrize("case", [name for name in LAYERS if "-" not in name])
def test_layers_converted_one_by_one_have_independent_errors(case):
    digital = LAYERS[case].digital()
    one, other, same = (
        from_torch(digital, hardware(PROGRAMMING_ERROR), seed=1, name=name) for name in ("fc1", "fc2", "fc1")
    )
    assert [layer.name for layer in (one, other)] == ["fc1", "fc2"]
    for a, b, c in zip(one.matrices, other.matrices, same.matrices, strict=True):
        errors = [(matrix.programmed() - matrix.ideal()).flatten() for matrix in (a, b, c)]
        assert torch.equal(errors[0], errors[2])
        if len(errors[0]) > 40:
            assert torch.corrcoef(torch.stack(errors[:2]))[0, 1].abs() < 0.5


def test_patterns_do_not_see_the_name():
    analog = from_torch(nn.Sequential(nn.Linear(4, 4)), {"0": hardware()}, seed=1, name="part")
    assert analog[0].name == "part.0"


# --- moving common parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias_rows", [0, 1])
@pytest.mark.parametrize(
    "moves",
    [["double"], ["bfloat16"], ["double", "float"], ["half", "float", "double"]],
    ids=lambda moves: "-".join(moves),
)
@pytest.mark.parametrize("case", ["tied", *(name for name in LAYERS if "-" not in name)])
def test_moving_common_parameters_keeps_the_chip_of_every_place(case, moves, bias_rows):
    if case == "tied":
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4)))
        model[1].weight = model[2][0].weight = model[0].weight
    else:
        layer = LAYERS[case].digital(torch.float32)
        model = nn.ModuleList([layer, layer, nn.Sequential(layer)])
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), bias_rows, seed=1)
    layers = analog_modules(analog)
    held = [matrix.programmed() for layer in layers for matrix in layer.matrices]
    for move in moves:
        getattr(analog, move)()
        found = [matrix.programmed() for layer in layers for matrix in layer.matrices]
        for one, other in zip(found, held, strict=True):
            torch.testing.assert_close(one.double(), other.double(), rtol=1e-2, atol=1e-2)
    with torch.no_grad():
        for parameter in analog.parameters():
            parameter.mul_(2)
    assert not any(matrix.is_written() for layer in layers for matrix in layer.matrices)


def test_values_changed_before_a_move_are_written():
    analog = from_torch(nn.Sequential(*[nn.Linear(4, 4)] * 2), seed=1)
    with torch.no_grad():
        analog[0].weight.mul_(3)
    analog.double()
    for layer in analog:
        torch.testing.assert_close(layer.get_matrix(), layer.weight)
