"""Whole models: what is converted, with which choices, and what comes back."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch_cases import CONVERTERS, PROGRAMMING_ERROR, hardware, inputs, relative_error, resnet

from crossohm import CrossOhmError, CrossSimParameters, InputError, ParameterError, UnknownNameError
from crossohm.torch import (
    AnalogConv2d,
    AnalogLayer,
    AnalogLinear,
    analog_modules,
    convertible_modules,
    from_torch,
    inconvertible_modules,
    to_torch,
)

RESNET_LAYERS = [
    "stem.0",
    "layer1.conv1",
    "layer1.conv2",
    "layer2.conv1",
    "layer2.conv2",
    "layer2.shortcut.0",
    "head",
]


@pytest.mark.parametrize("bias_rows", [0, 2])
@pytest.mark.parametrize("fuse", [False, True])
def test_residual_network_on_ideal_hardware(bias_rows, fuse):
    model, x = resnet(), inputs((2, 3, 9, 9))
    analog = from_torch(model, hardware({"core.rows_max": 20}), bias_rows, fuse_batchnorm=fuse, seed=1)
    assert relative_error(analog(x), model(x)) < 1e-12
    assert [name for name, m in analog.named_modules() if isinstance(m, AnalogLayer)] == RESNET_LAYERS
    assert not any(module.training for module in analog.modules())
    assert not analog_modules(model)


def test_module_lists_follow_the_definition():
    model = resnet()
    assert convertible_modules(model) == [model.get_submodule(name) for name in RESNET_LAYERS]
    analog = from_torch(model, hardware(), seed=1)
    assert analog_modules(analog) == [analog.get_submodule(name) for name in RESNET_LAYERS]
    assert convertible_modules(analog) == []
    assert set(convertible_modules(model)) | set(inconvertible_modules(model)) == set(model.modules())
    assert inconvertible_modules(analog) == list(analog.modules())
    head = nn.Linear(2, 3)
    assert convertible_modules(head) == [head]


def test_a_single_layer_is_a_model():
    layer = nn.Linear(10, 4)
    analog = from_torch(layer, hardware({"core.rows_max": 5}), bias_rows=[1], seed=1)
    assert type(analog) is AnalogLinear
    assert analog.weight is not layer.weight
    assert type(to_torch(analog)) is nn.Linear
    per_array = from_torch(layer, [hardware({"core.rows_max": 5})] * 2, seed=1)
    assert len(per_array.params) == 2


def test_lists_and_dictionaries_of_layers_are_copied_as_what_they_are():
    class Tags(list):
        pass

    layer = nn.Linear(3, 2)
    layer.tags, layer.places = Tags(["a"]), OrderedDict(b=1)
    analog = from_torch(layer, CrossSimParameters(), seed=1)
    for name in ("tags", "places"):
        ours, theirs = getattr(analog, name), getattr(layer, name)
        assert type(ours) is type(theirs)
        assert ours == theirs
        assert ours is not theirs


def test_attributes_of_layers_survive():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
    model[0].eval()
    model[0].weight.requires_grad_(False)
    model[2].note = "mine"
    seen = []
    model[2].register_forward_hook(lambda module, args, y: seen.append(type(module)))
    analog = from_torch(model, hardware(), seed=1)
    assert [analog[i].training for i in (0, 2)] == [False, True]
    assert [analog[i].weight.requires_grad for i in (0, 2)] == [False, True]
    analog(torch.zeros(1, 1, 6, 6))
    plain = to_torch(analog)
    plain(torch.zeros(1, 1, 6, 6))
    assert seen == [AnalogConv2d, nn.Conv2d]
    assert plain[2].note == "mine"
    assert [plain[i].training for i in (0, 2)] == [False, True]
    assert [plain[i].weight.requires_grad for i in (0, 2)] == [False, True]


def test_only_types_with_the_forward_of_a_known_one_are_converted():
    class Mine(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    model = nn.Sequential(Mine(3, 3), nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), nn.Linear(3, 3))
    with pytest.warns(RuntimeWarning, match=r"0 \(Mine\): only Linear itself .*; 1 \(ParametrizedLinear\): "):
        analog = from_torch(model, hardware(), seed=1)
    assert analog_modules(analog) == [analog[2]]


def test_what_stays_digital_is_reported():
    model = nn.Sequential(nn.Sequential(nn.Identity(), nn.Bilinear(3, 3, 2)), nn.Linear(4, 2))
    with pytest.warns(RuntimeWarning, match=r"0.1 \(Bilinear\)") as caught:
        from_torch(model, hardware(), seed=1)
    assert caught[0].filename == __file__


def test_modules_used_under_two_names_become_two_arrays_with_common_parameters():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert convertible_modules(model) == [layer, layer]
    analog = from_torch(model, [hardware(PROGRAMMING_ERROR), hardware(CONVERTERS)], seed=1)
    assert analog[0].weight is analog[2].weight
    assert analog[0] is not analog[2]
    assert not torch.equal(analog[0].get_matrix(), analog[2].get_matrix())


def test_tied_parameters_stay_tied_both_ways():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7, bias=False), nn.Linear(4, 7))
    model[1].weight = model[2].weight = model[0].weight
    analog = from_torch(model, hardware(), seed=1)
    plain = to_torch(analog)
    for twin in (analog, plain):
        assert twin[0].weight is twin[1].weight is twin[2].weight
        assert twin[0].weight is not model[0].weight
    assert plain[0].weight is not analog[0].weight


def test_round_trip_is_exact_and_leaves_everything_alone():
    model = resnet(torch.float32)
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), bias_rows=2, seed=1)
    held = [layer.get_matrix() for layer in analog_modules(analog)]
    plain = to_torch(analog)
    assert [type(m) for m in plain.modules()] == [type(m) for m in model.modules()]
    assert repr(plain) == repr(model)
    for ours, theirs in zip(plain.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    with torch.no_grad():
        plain.head.weight.zero_()
    assert all(torch.equal(layer.get_matrix(), m) for layer, m in zip(analog_modules(analog), held, strict=True))


@pytest.mark.parametrize("bias_rows", [0, 3])
def test_physical_weights_carry_the_errors(bias_rows):
    model, x = resnet(), inputs((2, 3, 9, 9))
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), bias_rows, seed=1)
    plain = to_torch(analog, physical_weights=True)
    assert relative_error(plain(x), analog(x)) < 1e-12
    assert relative_error(plain(x), model(x)) > 1e-3
    one = to_torch(analog, [name == "head" for name in RESNET_LAYERS])
    changed = [name for name, p in model.named_parameters() if not torch.equal(one.get_parameter(name), p)]
    assert changed == (["head.weight", "head.bias"] if bias_rows else ["head.weight"])


def test_a_layer_comes_back_where_and_as_it_is_wanted():
    analog = AnalogLinear(CrossSimParameters(), 3, 2, bias_rows=1, seed=1)
    plain = AnalogLinear.to_torch(analog, dtype=torch.float64)
    assert (type(plain), plain.weight.dtype) == (nn.Linear, torch.float64)
    assert torch.equal(plain.weight, analog.weight.double())
    assert "_core" not in vars(plain)


def test_settings_per_layer_as_list_and_table():
    model = resnet()
    listed = [hardware({"core.rows_max": 10 + i}) for i in range(7)]
    analog = from_torch(model, listed, bias_rows=[0, 1, 2, 3, 4, 5, 6], seed=1)
    assert [layer.params.core.rows_max for layer in analog_modules(analog)] == list(range(10, 17))
    assert [layer.bias_rows for layer in analog_modules(analog)] == list(range(7))
    table = {"layer2.*": listed[0], "head": [listed[1]], "*.conv1": listed[2]}
    analog = from_torch(model, table, bias_rows={"head": 2}, seed=1)
    rows = {
        name: layer.core.params.core.rows_max
        for name, layer in analog.named_modules()
        if isinstance(layer, AnalogLayer)
    }
    assert rows == {
        "layer1.conv1": 12,
        "layer2.conv1": 10,
        "layer2.conv2": 10,
        "layer2.shortcut.0": 10,
        "head": 11,
    }
    assert (analog.head.bias_rows, analog.layer1.conv1.bias_rows) == (2, 0)
    assert relative_error(analog(inputs((1, 3, 8, 8))), model(inputs((1, 3, 8, 8)))) < 1e-12
    assert len(listed) == 7


def test_an_entry_may_describe_every_array():
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    small = hardware({"core.rows_max": 4})
    analog = from_torch(model, [[small, small], small], seed=1)
    assert [len(layer.core.blocks) for layer in analog_modules(analog)] == [2, 1]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"params": [CrossSimParameters()] * 3}, ParameterError, ["list of 3", "7 convertible", "layer2.shortcut.0"]),
        ({"bias_rows": [1, 2]}, ParameterError, ["bias_rows", "list of 2", "7"]),
        ({"params": {"layer3.*": None}}, UnknownNameError, ["layer3.*", "matches no", "head"]),
        ({"params": {"haed": None}}, UnknownNameError, ["Did you mean 'head'"]),
        ({"params": "ideal"}, ParameterError, ["params = 'ideal'", "CrossSimParameters"]),
        ({"seed": -1}, ParameterError, ["seed = -1"]),
        ({"bias_rows": 1.5}, ParameterError, ["bias_rows = 1.5"]),
    ],
)
def test_wrong_choices_teach(options, kind, words):
    with pytest.raises(kind) as error:
        from_torch(resnet(), **options)
    assert all(word in str(error.value) for word in words)


def test_wrong_lengths_are_refused_on_the_way_back():
    with pytest.raises(ParameterError, match=r"'list of 2': the model has 7") as error:
        to_torch(from_torch(resnet(), hardware(), seed=1), physical_weights=[True, False])
    assert error.value.path == "physical_weights"


def test_errors_name_the_layer():
    model = resnet()
    with torch.no_grad():
        model.layer2.conv1.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="nan") as error:
        from_torch(model, hardware(), seed=1)
    assert "layer2.conv1" in error.value.__notes__[0]


def test_without_torch_the_message_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from crossohm import MissingDependencyError\n"
        "try:\n    import crossohm.torch\n"
        "except MissingDependencyError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'crossohm[torch]'" in run.stdout
    assert issubclass(ParameterError, CrossOhmError)
