"""Results are tensors of their own, inputs stay the caller's, and nothing kept between calls gets into a graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from covering import every_pair
from layer_cases import LAYERS, Case
from torch import Tensor, nn
from torch_cases import CONVERTERS, READ_NOISE, SLICED, SMALL_ARRAYS, STYLES, digital, hardware, inputs, resnet

from crossohm import AnalogCore, CrossSimParameters
from crossohm.params.files import preset_names
from crossohm.torch import AnalogEmbedding, analog_modules, from_torch

POLICIES = ["programmed", "chain", "wires"]
#: A way of its own through the chain each: merged, digitised in steps, with noise by moments, cell by cell.
HARDWARE = {
    "ideal": CrossSimParameters(),
    "noise": hardware(READ_NOISE),
    "quantizers": hardware(CONVERTERS, SMALL_ARRAYS),
    "cell by cell": hardware(READ_NOISE, {"simulation.read_noise_sampling": "explicit"}),
    **{name: hardware(changes, CONVERTERS, READ_NOISE) for name, changes in {**STYLES, **SLICED}.items()},
}
Change = Callable[[Tensor], Tensor]


def through_a_view(y: Tensor) -> Tensor:
    y.view(-1).mul_(2)
    return y


def an_entry(y: Tensor) -> Tensor:
    y[..., 0] = 0
    return y


def one_after_another(y: Tensor) -> Tensor:
    for change in IN_PLACE:
        y = change(y)
    return y


#: Changes of a tensor, which is returned.
IN_PLACE: list[Change] = [torch.relu_, lambda y: y.add_(1), through_a_view, an_entry]


def gradients(case: Case, layer: nn.Module, change: Change, dtype: torch.dtype) -> list[Tensor]:
    """Of what ``change`` makes of the outputs, by inputs and parameters."""
    torch.manual_seed(6)
    given = [x.requires_grad_() for x in case.inputs(dtype)]
    layer.zero_grad()
    sum((change(y) ** 2).sum() for y in case.outputs(layer, given)).backward()
    return [x.grad for x in given] + [p.grad for p in layer.parameters()]


def allowed_by_torch(case: Case, change: Change, dtype: torch.dtype) -> bool:
    """True if the outputs of torch's own layer may be changed like that."""
    try:
        gradients(case, case.digital(dtype), change, dtype)
    except RuntimeError:
        return False
    return True


def assert_changes_are_safe(case: Case, layer: nn.Module, dtype: torch.dtype) -> None:
    together = allowed_by_torch(case, one_after_another, dtype)
    for change in [one_after_another] if together else [one for one in IN_PLACE if allowed_by_torch(case, one, dtype)]:
        expected = gradients(case, layer, lambda y, change=change: change(y.clone()), dtype)
        for ours, theirs in zip(gradients(case, layer, change, dtype), expected, strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("kind", "policy", "name", "rows"),
    every_pair(LAYERS, POLICIES, ["ideal", "noise", "quantizers", "cell by cell"], [0, 1]),
)
def test_outputs_of_every_layer_may_be_changed_in_place(kind, policy, name, rows):
    layer = LAYERS[kind].analog(HARDWARE[name], rows, dtype=torch.float32)
    layer.gradient = policy
    assert_changes_are_safe(LAYERS[kind], layer, torch.float32)


@pytest.mark.parametrize(
    ("kind", "name", "policy", "dtype"),
    every_pair(
        ["linear-no-bias", "conv2d", "apart2d", "gru"],
        [*HARDWARE, *preset_names()],
        POLICIES,
        [torch.float64, torch.float32, torch.bfloat16],
    ),
)
def test_outputs_on_all_hardware_may_be_changed_in_place(kind, name, policy, dtype):
    params = HARDWARE.get(name) or CrossSimParameters.from_json(name)
    layer = LAYERS[kind].analog(params, 1, dtype=dtype)
    layer.gradient = policy
    assert_changes_are_safe(LAYERS[kind], layer, dtype)


@pytest.mark.parametrize(
    "kind", ["linear-batch", "linear-no-bias", "conv1d", "conv2d-padded", "apart2d", "rnn", "lstm"]
)
def test_features_computed_without_gradient_may_be_changed_under_it(kind):
    """A frozen part of a network under `torch.no_grad`, and something learned added to what it returns."""
    for name, params in HARDWARE.items():
        layer, learned = LAYERS[kind].analog(params, 1), torch.ones((), dtype=torch.float64, requires_grad=True)
        with torch.no_grad():
            outputs = LAYERS[kind].outputs(layer, LAYERS[kind].inputs())
        if LAYERS[kind].options.get("batch_first"):  # transposed, as torch's are
            continue
        for y in outputs:
            y += learned
        sum(y.sum() for y in outputs).backward()
        assert learned.grad == sum(y.numel() for y in outputs), name


def test_vectors_of_tokens_may_be_changed_in_place():
    tokens = torch.tensor([[3, 0, 5], [3, 3, 1]])
    table = digital(nn.Embedding, {"num_embeddings": 6, "embedding_dim": 4})
    for params in HARDWARE.values():
        analog = AnalogEmbedding.from_torch(copy.deepcopy(table), params, seed=1)
        for context in (nullcontext(), torch.no_grad()):
            with context:
                y = analog(tokens)
            y += analog.weight[0]
            y.sum().backward()


class Residual(nn.Module):
    """In-place everywhere, as published networks are written."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x
        return self.relu(y)


@pytest.mark.parametrize(("rows", "fold"), [(0, False), (1, True)])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", HARDWARE)
def test_residual_networks_train(name, policy, rows, fold):
    torch.manual_seed(1)
    model = nn.Sequential(Residual(), Residual(), nn.Flatten(), nn.Linear(48, 2, bias=False), nn.ReLU(inplace=True))
    analog = from_torch(model.eval(), HARDWARE[name], rows, seed=1, fuse_batchnorm=fold, gradient=policy)
    optimizer = torch.optim.SGD(analog.parameters(), lr=0.01)
    for _ in range(2):
        analog(inputs((2, 3, 4, 4), torch.float32)).sum().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in analog.parameters())


@pytest.mark.parametrize("name", ["default", "rram-8bit"])
def test_presets_are_trained_through_their_converters(name):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(inplace=True), nn.Linear(12, 3))
    analog = from_torch(model, CrossSimParameters.from_json(name), 1, seed=1, gradient="chain")
    x, labels = inputs((30, 8), torch.float32), torch.arange(30) % 3
    optimizer, losses = torch.optim.SGD(analog.parameters(), lr=0.3, momentum=0.9), []
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(analog(x), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


# --- inputs -----------------------------------------------------------------------------------------------------------


def change_after_product(case: Case, layer: nn.Module) -> list[Tensor] | None:
    """Gradients of the outputs where inputs changed after they were used; None: refused."""
    torch.manual_seed(6)
    leaves = [x.requires_grad_() for x in case.inputs(torch.float32)]
    given = [x * 1 for x in leaves]
    outputs = case.outputs(layer, given)
    for x in given:
        x.mul_(3)
    layer.zero_grad()
    try:
        sum((y * y).sum() for y in outputs).backward()
    except RuntimeError as error:
        assert "inplace" in str(error)
        return None
    return [x.grad for x in leaves] + [p.grad for p in layer.parameters() if p.requires_grad]


@pytest.mark.parametrize(
    ("kind", "policy", "trained", "effect"),
    every_pair(LAYERS, ["programmed", "chain"], [True, False], ["ideal", "converters", "clipping", "noise"]),
)
def test_inputs_changed_after_the_product_are_refused_or_do_not_matter(kind, policy, trained, effect):
    case = LAYERS[kind]
    allowed = change_after_product(case, case.digital(torch.float32).requires_grad_(trained)) is not None
    clipping = {"core.mapping.inputs.mvm.clipping": True}
    params = hardware({"ideal": {}, "converters": CONVERTERS, "clipping": clipping, "noise": READ_NOISE}[effect])
    layer = case.analog(params, 1, dtype=torch.float32).requires_grad_(trained)
    layer.gradient = policy
    found = change_after_product(case, layer)
    if found is None:
        assert not allowed
        return
    torch.manual_seed(6)
    leaves = [x.requires_grad_() for x in case.inputs(torch.float32)]
    layer.zero_grad()
    sum((y * y).sum() for y in case.outputs(layer, leaves)).backward()
    expected = [x.grad for x in leaves] + [p.grad for p in layer.parameters() if p.requires_grad]
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


# --- what is kept between calls ---------------------------------------------------------------------------------------


def trained(model: nn.Module, x: list[Tensor], between: Callable[[nn.Module, int], nn.Module]) -> list[Tensor]:
    """Parameters after steps, with something done before each."""
    for step in range(3):
        model = between(model, step)
        torch.manual_seed(step)
        model.zero_grad()
        outputs = model(*x)
        outputs = outputs if isinstance(outputs, Tensor) else outputs[0]
        (outputs * outputs).sum().backward()
        with torch.no_grad():
            for p in model.parameters():
                if p.grad is not None:
                    p -= 1e-3 * p.grad
    return list(model.parameters())


def looking(x: list[Tensor]) -> Callable[..., nn.Module]:
    """Products and reads in inference mode, and without gradient; the first of them before any other product."""

    def look(model: nn.Module, step: int) -> nn.Module:
        for context in (torch.inference_mode(), torch.no_grad()):
            with context:
                model(*x)
                for layer in analog_modules(model):
                    layer.get_matrix()
        return model

    return look


def alone(model: nn.Module, step: int) -> nn.Module:
    return model


@pytest.mark.parametrize(
    ("kind", "policy", "name"),
    every_pair([kind for kind, case in LAYERS.items() if not case.call], POLICIES, ["ideal", "quantizers"]),
)
def test_looking_at_a_layer_leaves_its_training_alone(kind, policy, name):
    case = LAYERS[kind]
    layer = case.analog(HARDWARE[name], 1, dtype=torch.float32)
    layer.gradient = policy
    twin, x = copy.deepcopy(layer), case.inputs(torch.float32)
    found, expected = trained(layer, x, looking(x)), trained(twin, x, alone)
    for ours, theirs in zip(found, expected, strict=True):
        assert not ours.is_inference()
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", HARDWARE)
def test_looking_at_a_network_leaves_its_training_alone(name):
    analog = from_torch(resnet(torch.float32), HARDWARE[name], 1, seed=1, fuse_batchnorm=True, gradient="chain")
    twin, x = copy.deepcopy(analog), [inputs((2, 3, 8, 8), torch.float32)]
    found, expected = trained(analog, x, looking(x)), trained(twin, x, alone)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("policy", POLICIES)
def test_copies_and_other_dtypes_between_steps(policy):
    def moved(model: nn.Module, step: int) -> nn.Module:
        with torch.inference_mode():
            model(*x)
        return copy.deepcopy(model).double().float()

    for name in ("ideal", "quantizers", "offset"):
        layer = LAYERS["conv2d-grouped"].analog(HARDWARE[name], 1, dtype=torch.float32)
        layer.gradient = policy
        x, twin = LAYERS["conv2d-grouped"].inputs(torch.float32), copy.deepcopy(layer)
        for ours, theirs in zip(trained(layer, x, moved), trained(twin, x, alone), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("look", [torch.inference_mode, torch.no_grad, nullcontext])
@pytest.mark.parametrize("name", HARDWARE)
def test_a_core_first_used_elsewhere_has_the_same_gradient(name, look):
    matrix, x = inputs((3, 5)), inputs((5, 4))

    def gradient(core: AnalogCore) -> Tensor:
        torch.manual_seed(1)
        given = x.clone().requires_grad_()
        y = core @ given
        y.relu_()
        y.square().sum().backward()
        return given.grad

    core = AnalogCore(matrix, HARDWARE[name], seed=1)
    with look():
        first = core @ x
    assert torch.equal(gradient(core), gradient(AnalogCore(matrix, HARDWARE[name], seed=1)))
    first = AnalogCore(matrix, HARDWARE[name], seed=1)
    torch.manual_seed(1)
    transformed = torch.func.grad(lambda v: (first @ v).relu().square().sum())(x)
    torch.testing.assert_close(transformed, gradient(first))
