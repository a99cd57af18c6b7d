"""Kernels that cannot have changed are not looked at again, and every change of them is seen."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch_cases import PROGRAMMING_ERROR, hardware

from crossohm.torch import analog_modules, from_torch
from crossohm.torch.arrays import held
from crossohm.torch.products.layer import AnalogProduct


class Standardised(nn.Module):
    """A convolution whose weights are standardised, and a matrix that is a turned parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, padding=1)
        self.turned = nn.Parameter(torch.randn(5, 6))
        self.gain = 1.0

    def kernel(self) -> Tensor:
        """As the convolution uses it."""
        variance, mean = torch.var_mean(self.conv.weight, dim=[1, 2, 3], keepdim=True, unbiased=False)
        return self.gain * (self.conv.weight - mean) / torch.sqrt(variance + 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(), self.conv.bias, padding=1).mean((2, 3)) @ self.turned.T


class Unsteady(Standardised):
    """The same, where what is done to the kernel differs from pass to pass."""

    def __init__(self, change: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.change, self.passes = change, 0

    def kernel(self) -> Tensor:
        return self.change(super().kernel(), self.passes)


def normed() -> nn.Module:
    """Weight normalisation as torch has it."""
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 5)), nn.Tanh(), nn.Linear(5, 4))


SHAPES = {normed: (3, 6), Standardised: (3, 2, 5, 5)}


def first(model: nn.Module) -> nn.Parameter:
    """A parameter from which a kernel is computed."""
    return next(value for value in model.parameters() if value.ndim > 1)


def step(model: nn.Module) -> None:
    """One step of an optimizer."""
    first(model).grad = torch.ones_like(first(model))
    torch.optim.SGD([first(model)], 0.1).step()


def load(model: nn.Module) -> None:
    """Another checkpoint of the parameters."""
    model.load_state_dict({name: value + 0.3 for name, value in model.named_parameters()}, strict=False)


def replace(model: nn.Module) -> None:
    """Another parameter."""
    name = next(name for name, value in model.named_parameters() if value is first(model))
    owner, _, key = name.rpartition(".")
    owner = model.get_submodule(owner)
    setattr(owner, key, nn.Parameter(getattr(owner, key).detach() * 3 + 0.1))


def through(write: Callable[[Tensor], None]) -> Callable[[nn.Module], None]:
    """A change by what ``write`` does with a parameter."""

    def change(model: nn.Module) -> None:
        with torch.no_grad():
            write(first(model))

    return change


def write_numpy(value: Tensor) -> None:
    """Through memory that NumPy has."""
    value.detach().numpy()[0] += 0.5


CHANGES = {
    "in place": through(lambda value: value[0].add_(0.5)),
    "data": through(lambda value: value.data[0].add_(0.5)),
    "assigned data": through(lambda value: setattr(value, "data", value.detach() * 3 + 0.1)),
    "alias": through(lambda value: value.detach()[0].add_(0.5)),
    "numpy": through(write_numpy),
    "optimizer": step,
    "load": load,
    "replace": replace,
}
MODES = {"inference": torch.inference_mode, "no_grad": torch.no_grad, "grad": torch.enable_grad}


def made(kind: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module, Tensor]:
    """A model, its twin on arrays, and inputs."""
    torch.manual_seed(0)
    model, x = kind().double().eval(), torch.rand(SHAPES.get(kind, (3, 2, 5, 5))).double()
    return model, from_torch(model, seed=1, example=x).eval(), x


def assert_same(model: nn.Module, analog: nn.Module, x: Tensor) -> None:
    """The twin answers as the model."""
    torch.testing.assert_close(analog(x), model(x), rtol=1e-9, atol=1e-9)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was looked at: kernels that were compared, and fingerprints."""
    found: list[str] = []
    compare, stamps = AnalogProduct._is_kept, held.HeldArrays._stamps
    monkeypatch.setattr(AnalogProduct, "_is_kept", lambda *args: found.append("kernel") or compare(*args))
    monkeypatch.setattr(held.HeldArrays, "_stamps", lambda *args: found.append("stamp") or stamps(*args))
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", SHAPES)
def test_kernels_that_cannot_have_changed_are_not_looked_at(kind, mode, looks):
    model, analog, x = made(kind)
    with MODES[mode]():
        for _ in range(2):
            assert_same(model, analog, x)
        looks.clear()
        assert_same(model, analog, x)
    assert not looks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", SHAPES)
def test_every_change_of_a_parameter_reaches_the_arrays(kind, change, mode):
    model, analog, x = made(kind)
    for _ in range(3):
        with MODES[mode]():
            for _ in range(2):
                assert_same(model, analog, x)
                before = analog(x)
        for changed in (model, analog):
            CHANGES[change](changed)
    with MODES[mode]():
        assert_same(model, analog, x)
        assert not torch.allclose(analog(x), before)


@torch.jit.script
def scaled(kernel: Tensor, number: int) -> Tensor:
    """In place, where torch's functions are not watched."""
    return kernel.mul_(1.0 + number)


INSIDE = {
    "script": lambda kernel, number: scaled(kernel, number),
    "script on the way": lambda kernel, number: 2 * (scaled(kernel, number), kernel)[1],
    "constant": lambda kernel, number: kernel * (1.0 + number),
    "in place": lambda kernel, number: kernel.mul_(1.0 + number),
    "item": lambda kernel, number: kernel.__setitem__((0, 0), float(number)) or kernel,
    "alias": lambda kernel, number: kernel.detach().add_(number).view_as(kernel),
    "numpy": lambda kernel, number: torch.from_numpy(kernel.numpy() * (1.0 + number)),
    "filled": lambda kernel, number: torch.where(kernel > 0, kernel, torch.full_like(kernel, number)),
    "data": lambda kernel, number: kernel + torch.tensor(number),
}


@pytest.mark.parametrize("change", INSIDE)
def test_what_a_module_does_to_a_kernel_reaches_the_arrays(change):
    model, analog, x = made(lambda: Unsteady(INSIDE[change]))
    with torch.inference_mode():
        for model.passes in (0, 0, 1, 0, 2, 2):
            analog.passes = model.passes
            assert_same(model, analog, x)


def test_random_kernels_are_written_in_every_pass():
    def dropped(kernel: Tensor, number: int) -> Tensor:
        return F.dropout(kernel, 0.5, training=True)

    model, analog, x = made(lambda: Unsteady(dropped))
    with torch.no_grad():
        for seed in range(4):
            answers = []
            for one in (model, analog):
                torch.manual_seed(seed)
                answers.append(one(x))
            torch.testing.assert_close(*answers, rtol=1e-9, atol=1e-9)


def test_autocast_has_a_part_in_kernels():
    class Merged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Parameter(torch.randn(5, 3)), nn.Parameter(torch.randn(3, 6))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x.float(), (self.left @ self.right).float())

    torch.manual_seed(0)
    x = torch.rand(2, 6)
    model = Merged()
    analog = from_torch(model, seed=1, example=x)
    for enabled in (False, False, True, True, False):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            expected = (model.left @ model.right).float()
            analog(x)
            (product,) = analog_modules(analog)
            torch.testing.assert_close(product.get_matrix(), expected, rtol=1e-6, atol=1e-6)


def test_a_loaded_kernel_is_looked_at(looks):
    model, analog, x = made(Standardised)
    with torch.no_grad():
        for _ in range(2):
            analog(x)
        (name,) = (name for name, _ in analog.named_buffers())
        analog.load_state_dict({name: analog.state_dict()[name] * 2}, strict=False)
        looks.clear()
        assert_same(model, analog, x)
    assert "kernel" in looks


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_know_nothing_and_follow_their_own_parameters(copied):
    torch.manual_seed(0)
    model, x = Standardised(), torch.rand(3, 2, 5, 5)
    analog = from_torch(model, hardware(PROGRAMMING_ERROR), seed=1, example=x)
    with torch.no_grad():
        expected = [analog(x) for _ in range(2)][-1]
        other = copied(analog)
        assert torch.equal(other(x), expected)
        other.conv.weight[0] *= -2
        assert not torch.equal(other(x), expected)
        assert torch.equal(analog(x), expected)


@pytest.mark.parametrize(
    "changed",
    [{"padding": (0, 0)}, {"stride": (2, 2)}, {"dilation": (2, 2), "padding": "same"}, {"padding_mode": "circular"}],
)
@pytest.mark.parametrize("mode", MODES)
def test_layers_follow_their_attributes(changed, mode):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(2, 3, 3, padding=1).double(), torch.rand(2, 2, 7, 7).double()
    analog = from_torch(nn.Sequential(layer), seed=1)
    with MODES[mode]():
        assert_same(layer, analog, x)
        for one in (layer, analog[0]):
            for name, value in changed.items():
                setattr(one, name, value)
            sides = 2 if one.padding == "same" else one.padding[0]
            one._reversed_padding_repeated_twice = [sides] * 4
        assert_same(layer, analog, x)


def test_plans_that_are_kept_are_those_of_the_present_weights():
    """Converters and noise: what is kept for a kind of inputs ends with a write, and while somebody looks on."""
    torch.manual_seed(0)
    params, x = hardware({"xbar.adc.mvm.bits": 8, "xbar.dac.mvm.bits": 8, "core.mapping.inputs.mvm.max": 1.0,
                          "core.mapping.inputs.mvm.min": -1.0}), torch.rand(4, 6)  # fmt: skip
    analog = from_torch(nn.Sequential(nn.Linear(6, 5)), params, seed=1)
    layer = analog[0]
    for dtype in (torch.float32, torch.float64, torch.float32):
        analog.to(dtype)
        with torch.no_grad():
            for _ in range(2):
                layer.weight[0, 0] *= -2
                expected = torch.from_numpy(layer.core @ x.to(dtype).numpy().T).T + layer.bias
                for _ in range(2):
                    torch.testing.assert_close(analog(x.to(dtype)), expected)
                with layer.core.profile() as seen:
                    analog(x.to(dtype))
                assert seen.inputs["mvm"].total == x.numel()
