"""Models in unusual states: they work, or the message names the layer and what to do."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from layer_cases import LAYERS, tensors
from torch import Tensor, fx, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch_cases import PROGRAMMING_ERROR, hardware, inputs, relative_error

import crossohm
from crossohm import CrossOhmError, CrossSimParameters, ParameterError, UnsupportedError
from crossohm.torch import (
    AnalogEmbedding,
    AnalogLayer,
    TorchNetwork,
    analog_modules,
    conversion_report,
    from_torch,
    to_torch,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning"),
]


def network() -> nn.Sequential:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


#: What makes the weights of a layer computed ones, and what makes them parameters again.
COMPUTED: dict[str, tuple[Callable[[nn.Module], Any], Callable[[nn.Module], Any], str]] = {
    "pruned": (
        lambda layer: prune.l1_unstructured(layer, "weight", amount=0.5),
        lambda layer: prune.remove(layer, "weight"),
        "torch.nn.utils.prune.remove(layer, 'weight')",
    ),
    "weight-norm": (
        nn.utils.weight_norm,
        nn.utils.remove_weight_norm,
        "torch.nn.utils.remove_weight_norm(layer, 'weight')",
    ),
    "spectral-norm": (
        nn.utils.spectral_norm,
        nn.utils.remove_spectral_norm,
        "torch.nn.utils.remove_spectral_norm(layer, 'weight')",
    ),
    **{
        name: (
            change,
            lambda layer: parametrize.remove_parametrizations(layer, "weight"),
            "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')",
        )
        for name, change in (
            ("parametrized-weight-norm", parametrizations.weight_norm),
            ("parametrized-spectral-norm", parametrizations.spectral_norm),
            ("orthogonal", parametrizations.orthogonal),
        )
    },
}


@pytest.fixture(params=COMPUTED)
def computed(request: pytest.FixtureRequest) -> tuple[nn.Module, Callable[[nn.Module], Any], str]:
    change, remove, remedy = COMPUTED[request.param]
    model = network().eval()
    change(model[0])
    return model, remove, remedy


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("fuse", [False, True])
def test_computed_weights_stay_digital_with_the_remedy(computed, used, fuse):
    model, _, remedy = computed
    x = torch.rand(5, 4)
    if used:
        model(x).sum().backward()
    with pytest.warns(RuntimeWarning, match="layers with weights that stay digital .*: 0 ") as seen:
        analog = from_torch(model, seed=1, fuse_batchnorm=fuse)
    assert f": its weights are computed, not parameters; {remedy} makes them parameters" in str(seen[0].message)
    assert remedy in str(conversion_report(model))
    assert analog_modules(analog) == [analog[2]]
    for net in (analog, to_torch(analog)):
        assert relative_error(net(x), model(x)) < 1e-5


def test_the_remedy_makes_them_analog(computed):
    model, remove, _ = computed
    x = torch.rand(5, 4)
    model(x)
    expected = model(x)
    remove(model[0])
    analog = from_torch(model, seed=1)
    assert len(analog_modules(analog)) == 2
    assert relative_error(analog(x), expected) < 1e-5


@pytest.mark.filterwarnings("ignore:layers with weights that stay digital:RuntimeWarning")
def test_studies_take_networks_with_computed_weights(computed):
    model, _, _ = computed
    x = torch.rand(9, 4)
    expected = model(x)
    found = crossohm.calibrate(model, x.numpy(), CrossSimParameters.from_json("rram-8bit"))
    assert set(found.hardware) == {"0.weight_product", "2"}
    for net in (TorchNetwork(model), TorchNetwork(model).folded()):
        assert relative_error(torch.from_numpy(net.outputs(x.numpy())), expected) < 1e-5


@pytest.mark.parametrize("build", [lambda: nn.LSTM(4, 3), lambda: nn.GRU(4, 3)])
def test_computed_weights_of_recurrent_layers(build):
    model = nn.ModuleDict({"lstm": nn.utils.weight_norm(build(), "weight_hh_l0")})
    model["lstm"](torch.rand(5, 4))
    with pytest.warns(RuntimeWarning, match=r"remove_weight_norm\(layer, 'weight_hh_l0'\)"):
        from_torch(model, seed=1)


@pytest.mark.parametrize("bias_rows", [0, 1])
def test_pruned_biases_are_converted(bias_rows):
    model, x = network(), torch.rand(5, 4)
    prune.random_unstructured(model[0], "bias", 0.5)
    expected = model(x)
    analog = from_torch(model, hardware(), bias_rows, seed=1)
    assert len(analog_modules(analog)) == 2
    assert relative_error(analog(x), expected) < 1e-5


def test_physical_weights_have_no_place_in_computed_ones():
    analog = from_torch(network(), hardware(PROGRAMMING_ERROR), seed=1)
    prune.random_unstructured(analog[0], "weight", 0.5)
    analog(torch.rand(5, 4))
    with pytest.raises(UnsupportedError, match=r"AnalogLinear '0': weight is computed.*prune.remove"):
        to_torch(analog, physical_weights=True)
    assert relative_error(to_torch(analog)(torch.ones(1, 4)), analog(torch.ones(1, 4))) < 0.5
    prune.remove(analog[0], "weight")
    to_torch(analog, physical_weights=True)


# --- compiled, recorded and lazy models -------------------------------------------------------------------------------

X = torch.rand(5, 4)
#: Models without layers, and what the message says.
WITHOUT_LAYERS: dict[str, tuple[Callable[[], Any], str]] = {
    "script": (lambda: torch.jit.script(network()), "compiled by torch.jit; convert the Python model"),
    "trace": (lambda: torch.jit.trace(network(), X), "compiled by torch.jit; convert the Python model"),
    "exported": (lambda: torch.export.export(network(), (X,)), r"crossohm.models.load_model\('net.pt2'\)"),
    "exported-module": (
        lambda: torch.export.export(network(), (X,)).module(),
        r"crossohm.models.load_model\('net.pt2'\)",
    ),
    "lazy": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(3)),
        r"1 \(LazyLinear\) has no weights.*call model\(example\) once",
    ),
    "lazy-layer": (lambda: nn.LazyConv2d(3, 3), r"the model \(LazyConv2d\) has no weights"),
}


@pytest.mark.parametrize("kind", WITHOUT_LAYERS)
def test_models_without_layers_are_refused_everywhere(kind):
    build, words = WITHOUT_LAYERS[kind]
    model = build()
    for function in (from_torch, TorchNetwork, lambda m: crossohm.calibrate(m, X.numpy(), CrossSimParameters())):
        with pytest.raises(UnsupportedError, match=words):
            function(model)


@pytest.mark.parametrize("model", [{"a": 1}, [nn.Linear(2, 2)], nn.Linear, None])
def test_other_things_are_no_models(model):
    with pytest.raises(ParameterError, match=r"model = .*is no model; allowed: torch.nn.Module"):
        from_torch(model)


def test_lazy_layers_work_after_their_first_pass():
    model = nn.Sequential(nn.LazyLinear(5), nn.LazyBatchNorm1d(), nn.Linear(5, 2))
    model(X)
    model.eval()
    assert relative_error(from_torch(model, seed=1)(X), model(X)) < 1e-5


def test_compiled_parts_are_named():
    model = nn.Sequential(torch.jit.script(nn.Linear(4, 4)), nn.Linear(4, 4))
    with pytest.warns(RuntimeWarning, match=r"0 \(RecursiveScriptModule\): its layers are compiled by torch.jit"):
        analog = from_torch(model, seed=1)
    assert analog_modules(analog) == [analog[1]]
    assert "compiled by torch.jit" in str(conversion_report(model))


def test_exported_parts_are_named():
    model = nn.Sequential(torch.export.export(nn.Linear(4, 4), (X,)).module(), nn.Linear(4, 4))
    with pytest.warns(RuntimeWarning, match=r"0 \(GraphModule\): an exported program"):
        from_torch(model, seed=1)


def test_traced_graphs_of_modules_are_converted():
    model = network()
    graph = fx.symbolic_trace(model)
    analog = from_torch(graph, hardware({"xbar.device.cell_bits": 2}), seed=1)
    expected = from_torch(model, hardware({"xbar.device.cell_bits": 2}), seed=1)
    assert len(analog_modules(analog)) == 2
    assert torch.equal(analog(X), expected(X))


def test_models_compiled_by_torch_compile_are_converted():
    model = network()
    compiled = torch.compile(model, backend="eager")
    analog = from_torch(compiled, seed=1)
    assert len(analog_modules(analog)) == 2
    torch.testing.assert_close(analog(X), model(X))


#: Ways to record what a model does.
RECORDINGS: dict[str, Callable[[nn.Module], Any]] = {
    "torch.jit.trace": lambda model: torch.jit.trace(model, X),
    "torch.jit.script": torch.jit.script,
    "torch.fx.symbolic_trace": fx.symbolic_trace,
    "torch.export": lambda model: torch.export.export(model, (X,)),
}


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("how", RECORDINGS)
def test_recording_analog_models_says_what_to_record_instead(how, used):
    analog = from_torch(network(), hardware(), seed=1)
    expected = copy.deepcopy(analog)(X)
    if used:
        analog(X)
    with pytest.raises(CrossOhmError, match=rf"AnalogLinear '0' cannot be .*{how}.*to_torch"):
        RECORDINGS[how](analog)
    assert torch.equal(analog(X), expected)
    RECORDINGS[how](to_torch(analog, physical_weights=True))


def test_a_tracer_may_take_analog_layers_for_leaves():
    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return isinstance(m, AnalogLayer)

    analog = from_torch(network(), seed=1)
    graph = fx.GraphModule(analog, Tracer().trace(analog))
    assert torch.equal(graph(X), analog(X))


# --- keyword inputs, flags --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_inputs_may_be_given_by_keyword(name):
    case = LAYERS[name]
    digital, analog = case.digital(), case.analog(hardware(), 1)
    names = list(inspect.signature(type(digital).forward).parameters)
    assert list(inspect.signature(type(analog).forward).parameters) == names
    named = dict(zip(names[1:], case.inputs(), strict=False))
    found = tensors(analog(**named, **case.call))
    for one, other in zip(found, case.outputs(digital, case.inputs()), strict=True):
        torch.testing.assert_close(one, other)


def test_tokens_may_be_given_by_keyword():
    analog = AnalogEmbedding(CrossSimParameters(), 5, 3, seed=1)
    tokens = torch.tensor([1, 4])
    assert torch.equal(analog(input=tokens), analog(tokens))


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", torch.tanh])
def test_transformers_come_back_with_their_flags(nested, activation):
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, activation=activation)
    with torch.no_grad():
        model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()
    wanted = [_flags(module) for module in model.modules()]
    analog = from_torch(model, hardware({"xbar.device.cell_bits": 2}), seed=1)
    for again in (to_torch(analog), to_torch(copy.deepcopy(analog)), to_torch(from_torch(analog, seed=1))):
        assert [_flags(module) for module in again.modules()] == wanted
    x = torch.rand(2, 3, 4)
    padded = torch.tensor([[False, False, True], [False, False, False]])
    with torch.no_grad():
        assert not torch.allclose(analog(x), model(x), atol=1e-5)
        torch.testing.assert_close(to_torch(analog)(x, None, padded), model(x, None, padded))


def _flags(module: nn.Module) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if isinstance(value, bool | int | float | str)}


def test_inputs_of_layers_are_checked_by_their_torch_names():
    layer = from_torch(nn.Linear(4, 2, dtype=torch.float64), seed=1)
    with pytest.raises(TypeError):
        layer(x=inputs((3, 4)))


def test_models_of_layers_of_users_pass_keywords_on():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = nn.Conv2d(1, 2, 3), nn.Linear(2, 2)

        def forward(self, image: Tensor) -> Tensor:
            return self.linear(input=self.conv(input=image).mean((2, 3)))

    model, x = Model(), torch.rand(2, 1, 5, 5)
    torch.testing.assert_close(from_torch(model, seed=1)(x), model(x))
