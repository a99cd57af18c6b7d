"""`torch.func` transforms, `torch.compile`, dtypes: the layer behaves as torch's own does."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacfwd, jacrev, vmap
from torch_cases import (
    CONVERTERS,
    PROGRAMMING_ERROR,
    READ_NOISE,
    SMALL_ARRAYS,
    digital,
    hardware,
    inputs,
    relative_error,
    resnet,
)
from torch_pair import AnalogPair, Pair

from crossohm import UnsupportedError
from crossohm.torch import from_torch

LAYERS = {
    "linear": (nn.Linear, {"in_features": 6, "out_features": 4}, (3, 5, 6)),
    "conv": (nn.Conv2d, {"in_channels": 4, "out_channels": 6, "kernel_size": 2, "groups": 2}, (3, 2, 4, 5, 5)),
}
PERCENTILE = {"core.mapping.inputs.mvm.percentile": 1.0}


@pytest.fixture(params=LAYERS)
def case(request):
    return LAYERS[request.param]


def parameters(layer: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in layer.named_parameters()}


@pytest.mark.parametrize("trained", [True, False], ids=["grad", "no-grad"])
@pytest.mark.parametrize("in_dim", [0, 1])
def test_vmap_is_the_loop(case, in_dim, trained):
    kind, options, shape = case
    params = hardware(PROGRAMMING_ERROR, CONVERTERS, SMALL_ARRAYS)
    layer = from_torch(digital(kind, options), params, 1, seed=1).requires_grad_(trained)
    x = inputs(shape)
    found = vmap(layer, in_dims=in_dim)(x)
    assert torch.equal(found, torch.stack([layer(one) for one in x.unbind(in_dim)]))
    assert torch.equal(vmap(layer, in_dims=in_dim, out_dims=1)(x), found.movedim(0, 1))


def test_vmap_keeps_the_input_range_of_every_call(case):
    kind, options, shape = case
    layer = from_torch(digital(kind, options), hardware(CONVERTERS, PERCENTILE), seed=1)
    x = inputs(shape) * torch.tensor([0.1, 1.0, 5.0], dtype=torch.float64).reshape(3, *(1,) * (len(shape) - 1))
    assert torch.equal(vmap(layer)(x), torch.stack([layer(one) for one in x]))


def test_vmap_draws_noise_for_every_sample():
    layer = from_torch(digital(nn.Linear, LAYERS["linear"][1]), hardware(READ_NOISE), seed=1)
    y = vmap(layer)(inputs((1, 6)).expand(50, 5, 6))
    assert len(y[..., 0].unique()) == 250


def test_vmap_nests_and_goes_into_gradients(case):
    kind, options, shape = case
    layer = from_torch(digital(kind, options), hardware(PROGRAMMING_ERROR), 1, seed=1)
    x = inputs(shape)
    assert torch.equal(vmap(vmap(layer))(x[:, :, None]), layer(x.flatten(0, 1)[:, None].flatten(0, 1)).reshape(
        *x.shape[:2], 1, *layer(x[0]).shape[1:]
    ))  # fmt: skip
    expected = [grad(lambda p, one=one: functional_call(layer, p, one).square().sum())(parameters(layer)) for one in x]
    found = vmap(grad(lambda p, one: functional_call(layer, p, one).square().sum()), in_dims=(None, 0))(
        parameters(layer), x
    )
    for name, value in found.items():
        torch.testing.assert_close(value, torch.stack([one[name] for one in expected]), rtol=1e-12, atol=1e-12)


def test_functional_gradients_are_those_of_backward(case):
    kind, options, shape = case
    layer = from_torch(digital(kind, options), hardware(PROGRAMMING_ERROR, CONVERTERS), 1, seed=1)
    x = inputs(shape[1:]).requires_grad_()
    before = layer.get_matrix()
    found = grad(lambda p, x: functional_call(layer, p, x).square().sum(), argnums=(0, 1))(
        parameters(layer), x.detach()
    )
    layer(x).square().sum().backward()
    assert torch.equal(found[1], x.grad)
    for name, value in layer.named_parameters():
        assert torch.equal(found[0][name], value.grad)
    assert torch.equal(layer.get_matrix(), before)


def test_functional_gradients_at_other_parameters():
    layer = from_torch(digital(nn.Linear, LAYERS["linear"][1]), hardware(), 1, seed=1)
    other, x = {name: value + 0.1 for name, value in parameters(layer).items()}, inputs((5, 6))
    found = grad(lambda p: functional_call(layer, p, x).square().sum())(other)
    expected = grad(lambda p: nn.functional.linear(x, p["weight"], p["bias"]).square().sum())(other)
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-10)


def test_jacobians_are_the_programmed_matrix():
    layer = from_torch(digital(nn.Linear, LAYERS["linear"][1]), hardware(PROGRAMMING_ERROR, CONVERTERS), seed=1)
    torch.testing.assert_close(jacrev(layer)(inputs((6,))), layer.get_matrix(), rtol=1e-12, atol=1e-12)


def test_layers_of_several_matrices_transform():
    pair = AnalogPair.from_torch(Pair(), hardware(PROGRAMMING_ERROR), 2, seed=1)
    x = inputs((3, 5, 6))
    torch.testing.assert_close(vmap(pair)(x), torch.stack([pair(one) for one in x]), rtol=1e-12, atol=1e-12)


def test_what_has_no_meaning_is_refused():
    layer = from_torch(digital(nn.Linear, LAYERS["linear"][1]), hardware(CONVERTERS), 1, seed=1)
    x, own = inputs((5, 6)), parameters(layer)
    several = {name: torch.stack([value, value]) for name, value in own.items()}
    with pytest.raises(UnsupportedError, match="vmap over the parameters"):
        vmap(lambda p: functional_call(layer, p, x))(several)
    with pytest.raises(NotImplementedError, match="jvp"):
        jacfwd(layer)(x)
    layer.gradient = "chain"
    for transform in (grad(lambda x: layer(x).sum()), vmap(layer), jacfwd(layer)):
        with pytest.raises(UnsupportedError, match=r"gradient = 'chain' inside torch\.func"):
            transform(x)
    layer.gradient = "programmed"
    with pytest.raises(RuntimeError, match="once_differentiable"):
        y = x.requires_grad_()
        (first,) = torch.autograd.grad(layer(y).square().sum(), y, create_graph=True)
        first.sum().backward()


def test_a_compiled_model_computes_the_same():
    model = from_torch(resnet(torch.float32), hardware(PROGRAMMING_ERROR, CONVERTERS), 1, seed=1)
    compiled, x = torch.compile(model, backend="eager"), inputs((2, 3, 8, 8), torch.float32)
    for _ in range(2):
        results = []
        for network in (compiled, model):
            model.zero_grad()
            y = network(x)
            y.square().sum().backward()
            results.append([y, *(parameter.grad.clone() for parameter in model.parameters())])
        for left, right in zip(*results, strict=True):
            assert torch.equal(left, right)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)
    torch._dynamo.reset()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("gradient", ["programmed", "chain"])
def test_every_dtype_trains(case, dtype, gradient):
    kind, options, shape = case
    plain = digital(kind, options, dtype)
    analog = from_torch(plain, hardware({"core.rows_max": 5}), 1, seed=1, gradient=gradient)
    values = []
    for module, own in ((plain, dtype), (analog, dtype), (copy.deepcopy(plain).double(), torch.float64)):
        x = inputs(shape[1:]).to(dtype).to(own).requires_grad_()
        y = module(x)
        y.double().square().mean().backward()
        values.append([y.detach(), x.grad, *(parameter.grad for parameter in module.parameters())])
        assert {value.dtype for value in values[-1]} == {own}
    for theirs, ours, exact in zip(*values, strict=True):
        assert relative_error(ours, exact) < 4 * torch.finfo(dtype).eps + 2 * relative_error(theirs, exact)
