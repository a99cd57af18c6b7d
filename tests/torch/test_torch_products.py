"""Products of a module's own code run on arrays: with parameters themselves, and with what is computed from them."""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from product_cases import PRODUCTS, UNHELD, Reader
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torch.overrides import _len_torch_function_stack
from torch_cases import CONVERTERS, PROGRAMMING_ERROR, hardware

from crossohm import UnknownNameError, UnsupportedError, calibrate
from crossohm.torch import (
    TorchNetwork,
    analog_modules,
    conversion_report,
    from_torch,
    reinitialize,
    synchronize,
    to_torch,
)

#: Two bits per cell: what runs on arrays is not exact.
COARSE = hardware({"xbar.device.cell_bits": 2})
#: No two writes are the same.
UNSTEADY = hardware(PROGRAMMING_ERROR)


class Experts(nn.Module):
    """Data decide which of four matrices in one parameter multiply a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(4, 6, 5))
        self.down = nn.Parameter(torch.randn(4, 6, 5))

    def forward(self, x: Tensor) -> Tensor:
        chosen, y = x.abs().argmax(1) % 4, x.new_zeros(len(x), 6)
        for expert in chosen.unique():
            y[chosen == expert] = F.linear(x[chosen == expert], self.up[expert])
        return torch.bmm(y.tanh().expand(4, -1, -1), self.down).sum(0)


class Computed(nn.Module):
    """Products with matrices computed from parameters in all the usual ways."""

    def __init__(self) -> None:
        super().__init__()
        self.normed = parametrizations.weight_norm(nn.Linear(5, 5))
        self.spectral = parametrizations.spectral_norm(nn.Linear(5, 5))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.old_normed = weight_norm(nn.Linear(5, 5))
        self.old_spectral = spectral_norm(nn.Linear(5, 5))
        self.pruned = prune.random_unstructured(nn.Conv1d(5, 5, 3, padding=1), "weight", 0.3)
        self.base, self.tied = nn.Linear(5, 5), nn.Linear(5, 5)
        self.low, self.high = nn.Parameter(torch.randn(5, 2)), nn.Parameter(torch.randn(2, 5))
        self.experts = Experts()

    def forward(self, x: Tensor) -> Tensor:
        x = self.old_spectral(self.spectral(self.old_normed(self.normed(x)).tanh()))
        x = self.pruned(x[..., None].expand(-1, -1, 4)).mean(-1)
        x = F.linear(x, self.base.weight + self.low @ self.high, self.base.bias).tanh()
        return self.experts(F.linear(self.tied(x), self.tied.weight.t()))


#: The names of their arrays.
ARRAYS = {
    "normed.weight_product", "spectral.weight_product", "old_normed.weight_product", "old_spectral.weight_product",
    "pruned.weight_product", "base.weight_product", "tied", "tied_weight_product", "experts.up_product",
    "experts.down_product",
}  # fmt: skip


def converted(model: nn.Module, example: Any, params: Any = None, **choices: Any) -> Any:
    """The analog model, made without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return from_torch(model, params, seed=1, example=example, **choices)


def computed(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return Computed().to(dtype).eval(), torch.randn(7, 5, dtype=dtype)


def gradients(model: nn.Module, *inputs: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    model(*inputs).square().sum().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("kind", [kind for kind in PRODUCTS if kind not in UNHELD])
def test_a_product_of_own_code_runs_on_arrays_and_is_trained(kind):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Tanh(), Reader(nn.Linear(4, 4), PRODUCTS[kind])), torch.rand(5, 4)
    coarse = converted(model, x, COARSE)
    ideal = reinitialized = copy.deepcopy(coarse)
    reinitialize(reinitialized, params=hardware())

    def answer(net: nn.Module) -> Tensor:
        torch.manual_seed(1)
        return net(x)

    torch.testing.assert_close(answer(ideal), answer(model))
    assert not torch.allclose(answer(coarse), answer(model))
    assert torch.equal(answer(to_torch(coarse)), answer(model))
    if kind != "noise" and answer(model).requires_grad:
        torch.testing.assert_close(gradients(ideal, x), gradients(model, x))


def test_kernels_computed_from_parameters_are_held():
    model, x = computed()
    analog = converted(model, x)
    assert {layer.name for layer in analog_modules(analog)} == ARRAYS
    torch.testing.assert_close(analog(x), model(x))
    torch.testing.assert_close(gradients(analog, x), gradients(model, x))
    report = conversion_report(analog, x)
    assert {layer.name for layer in report.analog} == ARRAYS
    assert report.digital == () and all(layer.driven for layer in report.analog)


def test_training_changes_what_the_arrays_hold():
    model, x = computed()
    analog = converted(model, x)
    for net in (model, analog):
        torch.manual_seed(1)
        net.train()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            gradients(net, x)
            optimizer.step()
        net.eval()
    torch.testing.assert_close(analog(x), model(x))


def test_going_back_leaves_nothing():
    model, x = computed()
    plain = to_torch(converted(model, x, COARSE))
    assert torch.equal(plain(x), model(x))
    assert repr(plain) == repr(model)
    assert plain.state_dict().keys() == model.state_dict().keys()
    assert [len(module._forward_hooks) for module in plain.modules()] == [0] * len(list(plain.modules()))


def test_physical_weights_are_those_of_the_arrays():
    model = Experts()
    x = torch.rand(7, 5)
    analog = converted(model, x, UNSTEADY)
    with torch.no_grad():
        held = to_torch(analog, physical_weights=True)
        torch.testing.assert_close(held(x), analog(x))
        assert not torch.allclose(held(x), model(x), rtol=1e-4)
        assert torch.equal(to_torch(analog, physical_weights=["up_product"]).down, model.down)
    with pytest.raises(UnsupportedError, match=r"'normed\.weight_product': its kernel is computed from original"):
        to_torch(converted(*computed()), physical_weights=True)


def test_chips_are_copied_saved_moved_and_not_written_again():
    model, x = computed(torch.float32)
    with torch.no_grad():
        analog = converted(model, x, UNSTEADY)
        wanted = analog(x)
        assert torch.equal(analog(x), wanted)
        assert torch.equal(copy.deepcopy(analog)(x), wanted)
        assert torch.equal(converted(model, x[:2], UNSTEADY)(x), wanted)  # also with an example of fewer experts
        other = from_torch(model, UNSTEADY, seed=2, example=x)
        assert not torch.allclose(other(x), wanted, rtol=1e-4)
        other.load_state_dict(analog.state_dict())
        assert torch.equal(other(x), wanted)
        torch.manual_seed(2)
        trained = Computed().eval()
        other.load_state_dict(trained.state_dict())  # a digital checkpoint has no chip
        ideal = converted(model, x)
        ideal.load_state_dict(trained.state_dict())
        torch.testing.assert_close(ideal(x), trained(x))
        file = io.BytesIO()
        torch.save(analog.experts, file)
        file.seek(0)
        assert torch.equal(torch.load(file, weights_only=False)(x), analog.experts(x))
        torch.testing.assert_close(analog.double()(x.double()).float(), wanted)


def test_arrays_follow_parameters_as_their_policy_says():
    with torch.no_grad():
        for policy, follows in (("auto", True), ("manual", False)):
            digital, x = computed()
            analog = converted(digital, x, sync=policy)
            for net in (analog, digital):
                net.base.weight.mul_(2)
                net.experts.up.mul_(2)
            assert torch.allclose(analog(x), digital(x), atol=1e-5) == follows
            synchronize(analog)
            torch.testing.assert_close(analog(x), digital(x))


def test_products_are_addressed_by_name_like_layers():
    model, x = computed()
    part = from_torch(model, {"experts.up*": COARSE, "base.weight_product": None}, seed=1, example=x)
    assert [layer.name for layer in analog_modules(part)] == ["base.weight_product", "experts.up_product"]
    whole = converted(model, x, UNSTEADY)
    alone = from_torch(model, {"experts.up_product": UNSTEADY}, seed=1, example=x)
    for mine, other in zip(*(net.experts.up_product.matrices for net in (whole, alone)), strict=True):
        assert torch.equal(mine.programmed(), other.programmed())
    with pytest.raises(UnknownNameError, match=r"experts\.up_product"):
        from_torch(model, {"experts.pu*": COARSE}, example=x)


class Pair(nn.Module):
    """Two products in one forward, and a sum of both kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Parameter(torch.randn(4, 4, dtype=torch.float64)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(F.linear(x, self.first), self.second), self.first + self.second)


@pytest.mark.filterwarnings("ignore:.*are on arrays, the others are digital:RuntimeWarning")
@pytest.mark.parametrize("order", [1, -1])
def test_products_converted_one_after_another_are_those_converted_together(order):
    torch.manual_seed(0)
    model, x = Pair(), torch.randn(3, 4, dtype=torch.float64)
    whole = from_torch(model, UNSTEADY, seed=1, example=x)
    names = [layer.name for layer in analog_modules(whole)]
    parts = model
    for name in names[::order]:
        parts = from_torch(parts, {name: UNSTEADY}, seed=1, example=x)
    report = conversion_report(parts, x)
    assert sorted(layer.name for layer in report.analog) == sorted(names) and report.share == 1
    assert len(names) == 3  # the sum is no other form of its first summand
    for one in (parts, copy.deepcopy(parts)):
        torch.testing.assert_close(one(x), whole(x), rtol=1e-12, atol=1e-12)
    back = to_torch(parts)
    assert not list(back.children()) and torch.equal(back(x), model(x))
    assert not torch.allclose(whole(x), model(x), rtol=1e-4)


@pytest.mark.filterwarnings("ignore:.*are on arrays, the others are digital:RuntimeWarning")
@pytest.mark.parametrize("name", ["first_product", "first_product2", "second_product"])
def test_arrays_of_a_parameter_are_not_written_for_a_sum_in_which_it_has_a_part(name):
    torch.manual_seed(0)
    model, x = Pair(), torch.randn(3, 4, dtype=torch.float64)
    part = from_torch(model, {name: UNSTEADY}, seed=1, example=x)
    (arrays,) = analog_modules(part)
    held = arrays.get_matrix()
    kernels = {
        "first_product": model.first,
        "first_product2": model.first + model.second,
        "second_product": model.second,
    }
    products = [held if one == name else kernels[one] for one in ("first_product", "second_product", "first_product2")]
    expected = x
    for kernel in products:
        expected = F.linear(expected, kernel)
    torch.testing.assert_close(part(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(arrays.get_matrix(), held) and not torch.allclose(held, kernels[name], rtol=1e-4)


@pytest.mark.filterwarnings("ignore:no data reached experts:RuntimeWarning")
def test_calibration_and_studies_see_products_like_layers():
    model, x = computed(torch.float32)
    digital = TorchNetwork(model).seeing(x.numpy())
    assert set(digital.convertible) == ARRAYS
    chip = digital.on_hardware([COARSE] * len(digital.convertible), seed=1)
    with chip.compared(digital.folded()) as deviations, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inputs beyond the range of hardware that is not calibrated
        chip.outputs(x.numpy())
    decided = ("experts.up_product", "experts.down_product")  # data may decide differently on coarse arrays
    assert all(found.signal > 0 and found.noise > 0 for name, found in deviations.items() if name not in decided)
    assert chip.vectors_per_image(x.numpy()[0])["pruned.weight_product"] == 4
    calibrated = calibrate(model, x.numpy(), hardware(CONVERTERS)).hardware
    assert set(calibrated) == set(digital.convertible)
    assert (converted(model, x, calibrated)(x) - model(x)).abs().max() < 0.1 * model(x).abs().max()


class Scaled(nn.Module):
    """Parameters that meet no product, products of 25 and 15 weights, and one of 60 that no arrays hold."""

    def __init__(self) -> None:
        super().__init__()
        self.position, self.scale = nn.Parameter(torch.rand(7, 5)), nn.Parameter(torch.rand(1, 5))
        self.layer, self.pair = nn.Linear(5, 5), nn.Bilinear(5, 4, 3)
        self.chain = nn.Parameter(torch.rand(5, 3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x + self.position) * self.scale
        return self.pair(y, y[:, :4]) + torch.linalg.multi_dot([y, self.chain])


def test_the_report_counts_multiplications_on_arrays():
    model, x = Scaled(), torch.rand(7, 5)
    with (
        pytest.warns(RuntimeWarning, match=r"stay digital.*pair \(Bilinear\)"),
        pytest.warns(RuntimeWarning, match=r"^40 % of the multiplications with weights are on arrays"),
    ):
        analog = from_torch(model, example=x)
    report = conversion_report(analog, x)
    assert report.share == 40 / (25 + 60 + 15)
    assert [layer.name for layer in report.layers] == ["chain_product", "layer", "pair"]
    assert [product.multiplications for product in report.products] == [7 * 60]
    assert "40 % of the multiplications with weights on arrays" in str(report)
    before = conversion_report(model, x)
    assert (before.share, before.convertible_share) == (0, report.share)
    assert "; 0 % of the multiplications with weights on arrays, 40 % after a conversion with this" in str(before)
    assert conversion_report(model).share is None
    assert conversion_report(*computed()).share == 0


class Sorted(nn.Module):
    """Runs of vectors each of which meets one matrix of a stack; the second run is empty, the last one meets none."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(3, 8, 16))

    def forward(self, x: Tensor) -> Tensor:
        ends = torch.tensor([2, 2, 6], dtype=torch.int32)
        return torch._grouped_mm(x, self.up.transpose(1, 2), offs=ends)[:6] + 0 * x[:6, :1]


def test_vectors_sorted_by_expert():
    model, x = Sorted(), torch.rand(7, 16)
    analog = converted(model, x)
    torch.testing.assert_close(analog(x), model(x))
    torch.testing.assert_close(gradients(analog, x), gradients(model, x))
    assert not torch.allclose(converted(model, x, COARSE)(x), model(x))


def test_graphs_are_refused_and_transforms_work():
    model = nn.Sequential(Experts())
    with torch.no_grad():
        x = torch.rand(7, 5)
        analog = converted(model, x)
        with pytest.raises(UnsupportedError, match=r"Experts with products on arrays cannot be recorded by torch\.jit"):
            torch.jit.trace(analog, (x,))
        with pytest.raises(UnsupportedError, match=r"cannot be recorded by torch\.fx"):
            torch.fx.symbolic_trace(analog)
        doubled = {name: 2 * value for name, value in model.named_parameters()}
        found, wanted = (torch.func.functional_call(net, doubled, (x,)) for net in (analog, model))
        torch.testing.assert_close(found, wanted)
    plain = Reader(nn.Linear(4, 4), PRODUCTS["linear"])
    analog, x = converted(plain, torch.rand(2, 4)), torch.rand(3, 2, 4)
    torch.testing.assert_close(torch.vmap(analog)(x), plain(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(analog(x), plain(x).float(), atol=0.02, rtol=0.02)


@pytest.mark.parametrize("gradient", ["chain", "wires"])
def test_gradients_of_every_kind_go_through_kernels(gradient):
    model, x = computed()
    model.experts = nn.Identity()
    analog = converted(model, x, gradient=gradient)
    torch.testing.assert_close(gradients(analog, x), gradients(model, x))


def test_a_pass_that_is_interrupted_leaves_nothing():
    model = Reader(nn.Linear(4, 4), PRODUCTS["linear"])
    analog, x = converted(model, torch.rand(2, 4)), torch.rand(2, 4)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    hook = analog.layer.weight_product.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        analog(x)
    hook.remove()
    torch.testing.assert_close(analog(x), model(x))
    assert _len_torch_function_stack() == 0


def test_parts_that_the_example_did_not_show_are_told_of():
    class Relative(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(9, 4))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.table[: x.shape[0]].T

    model = Relative()
    analog = converted(model, torch.rand(5, 4), COARSE)
    with pytest.warns(RuntimeWarning, match=r"with 'table', shape \(4, 7\), is digital: its kernel was not in the"):
        assert torch.equal(analog(torch.ones(7, 4)), model(torch.ones(7, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analog(torch.ones(7, 4))
        assert not torch.allclose(analog(torch.ones(5, 4)), model(torch.ones(5, 4)))


@pytest.mark.filterwarnings("ignore:grouping = 'dense' programs:RuntimeWarning")
@pytest.mark.parametrize("grouping", ["per_group", "dense"])
def test_convolutions_of_every_geometry(grouping):
    class Convolutions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.back = nn.Parameter(torch.randn(6, 2, 3)), nn.Parameter(torch.randn(4, 3, 3, 2))
            self.stack = nn.Parameter(torch.randn(2, 4, 4, 3))

        def forward(self, x: Tensor) -> Tensor:
            y = F.conv1d(x, self.flat.tanh(), torch.ones(6), stride=2, padding=2, dilation=2, groups=2)[:, :4]
            y = F.conv1d(F.conv1d(y, self.stack[1], padding="same"), self.stack[0])
            z = F.conv_transpose2d(y[..., None], self.back, None, (2, 1), (1, 0), (1, 0), 2)
            return (
                z
                + F.conv_transpose2d(y[0, ..., None], self.back, stride=(2, 1), padding=(1, 0), groups=2)[:, :-1].sum()
            )

    model, x = Convolutions(), torch.rand(3, 4, 11)
    analog = from_torch(model, seed=1, example=x, grouping=grouping)
    assert [layer.name for layer in analog_modules(analog)] == ["flat_product", "stack_product", "back_product"]
    torch.testing.assert_close(analog(x), model(x))
    torch.testing.assert_close(gradients(analog, x), gradients(model, x), rtol=1e-4, atol=1e-4)
    assert conversion_report(analog, x).share == 1
