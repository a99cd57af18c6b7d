"""Attention, beyond the contract of all layers: masks, all projections through arrays, transformers in eval mode.

`test_layer_contract` has what every layer keeps.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_cases import CONVERTERS, PROGRAMMING_ERROR, hardware, inputs, relative_error

from crossohm import AnalogCore, InputError, ParameterError, ShapeError, StaleArraysError
from crossohm.torch import AnalogMultiheadAttention, analog_modules, convertible_modules, from_torch, profile, to_torch

#: Name: options beyond 8 features in 4 heads.
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch-first": {"batch_first": True},
    "no-bias": {"bias": False},
    "bias-kv": {"add_bias_kv": True},
    "zero": {"add_zero_attn": True},
    "both": {"add_bias_kv": True, "add_zero_attn": True, "batch_first": True},
    "other-sizes": {"kdim": 5, "vdim": 6},
    "other-sizes-no-bias": {"kdim": 5, "bias": False, "add_bias_kv": True, "batch_first": True},
}
UNEVEN = {"core.rows_max": 4, "core.cols_max": 3}


def attention(case: str, dtype: torch.dtype = torch.float64) -> nn.MultiheadAttention:
    torch.manual_seed(6)
    layer = nn.MultiheadAttention(8, 4, **OPTIONS[case], dtype=dtype)
    if layer.in_proj_bias is not None:  # zeros in a fresh layer
        nn.init.uniform_(layer.in_proj_bias, -0.2, 0.2)
        nn.init.uniform_(layer.out_proj.bias, -0.2, 0.2)
    return layer


def analog_of(layer: nn.Module, params: Any, bias_rows: int = 0) -> AnalogMultiheadAttention:
    return AnalogMultiheadAttention.from_torch(layer, params, bias_rows, seed=1)


def query_key_value(layer: nn.MultiheadAttention, batched: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """3 targets and 5 sources, batches of 2."""
    found = []
    for steps, size in ((3, layer.embed_dim), (5, layer.kdim), (5, layer.vdim)):
        shape = (2, steps, size) if layer.batch_first else (steps, 2, size)
        x = inputs(shape if batched else (steps, size), layer.out_proj.weight.dtype)
        found.append(x.flip(-1) if size == 8 else x)
    return found[0], found[1], found[2]


def masks(layer: nn.MultiheadAttention, batched: bool) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(9)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    hidden = torch.rand((3, 5), generator=generator) < 0.3
    hidden[:, 0] = False
    every = torch.rand(((2 if batched else 1) * 4, 3, 5), generator=generator, dtype=torch.float64)
    padding = padding if batched else padding[1]
    return {
        "none": {},
        "padding": {"key_padding_mask": padding},
        "mask": {"attn_mask": hidden},
        "every-head": {"attn_mask": every},
        "both": {"attn_mask": hidden, "key_padding_mask": padding},
        "floats": {"attn_mask": every, "key_padding_mask": torch.where(padding, -2.0, 1.0).double()},
    }


@pytest.fixture(params=OPTIONS)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


def assert_same(ours: Any, theirs: Any, tolerance: float = 1e-12) -> None:
    assert (ours[1] is None) == (theirs[1] is None)
    for found, expected in zip(ours, theirs, strict=True):
        if expected is not None:
            assert found.shape == expected.shape
            assert relative_error(found, expected) < tolerance


@pytest.mark.parametrize("bias_rows", [0, 2])
@pytest.mark.parametrize("batched", [True, False], ids=["batch", "one"])
def test_ideal_layer_equals_torch(case, bias_rows, batched):
    layer = attention(case)
    analog = analog_of(layer, hardware(UNEVEN), bias_rows)
    triple = query_key_value(layer, batched)
    for mask, need, average in itertools.product(masks(layer, batched).values(), [True, False], [True, False]):
        options = {**mask, "need_weights": need, "average_attn_weights": average}
        assert_same(analog(*triple, **options), layer(*triple, **options))


def test_the_causal_hint_needs_a_mask_and_changes_nothing(case):
    layer = attention(case)
    query, key, value = query_key_value(layer)
    key, value = (x[:, :3] if layer.batch_first else x[:3] for x in (key, value))
    analog, causal = analog_of(layer, hardware()), nn.Transformer.generate_square_subsequent_mask(3, dtype=key.dtype)
    expected = layer(query, key, value, attn_mask=causal)
    assert_same(analog(query, key, value, attn_mask=causal, is_causal=True), expected)
    assert_same(analog(query, key, value, attn_mask=causal, is_causal=True, need_weights=False), (expected[0], None))
    with pytest.raises(ParameterError, match="attn_mask"):
        analog(query, key, value, is_causal=True)


@pytest.mark.parametrize("need", [True, False])
def test_ideal_gradients_equal_torch(case, need):
    layer = attention(case)
    found, expected = [], []
    for module, gradients in ((copy.deepcopy(analog_of(layer, hardware(UNEVEN), 3)), found), (layer, expected)):
        triple = [x.clone().requires_grad_() for x in query_key_value(layer)]
        y = module(*triple, need_weights=need)[0]
        (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
        gradients += [tensor.grad for tensor in (*triple, *module.parameters())]
    for ours, theirs in zip(found, expected, strict=True):
        # The key's bias shifts all scores of a row alike: its gradient is zero but for rounding.
        assert (ours - theirs).abs().max() < 1e-11 * max(1, float(theirs.abs().max()))


@pytest.mark.parametrize("need", [True, False])
def test_dropout_is_that_of_torch(need):
    layer = attention("batch-first").train()
    layer.dropout = 0.5
    found = []
    for module in (layer, analog_of(layer, hardware())):
        torch.manual_seed(0)
        found.append(module(*query_key_value(layer), need_weights=need))
    assert_same(found[1], found[0])


def test_matrices_are_the_projections(case):
    layer = attention(case)
    analog = analog_of(layer, hardware(), 2)
    assert [held.name for held in analog.matrices] == ["core.query", "core.key", "core.value", "core.out_proj"]
    weights = (
        layer.in_proj_weight.chunk(3)
        if layer.in_proj_weight is not None
        else (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
    )
    biases = [None] * 4
    if layer.in_proj_bias is not None:
        biases = [*layer.in_proj_bias.chunk(3), layer.out_proj.bias]
    for found, held, weight, bias in zip(
        analog.form_matrix(), analog.get_matrix(), (*weights, layer.out_proj.weight), biases, strict=True
    ):
        columns = [] if bias is None else [bias[:, None] / 2] * 2
        assert torch.equal(found, torch.cat([weight, *columns], dim=1))
        torch.testing.assert_close(held, found)


def test_constructor_follows_torch(case):
    analog = AnalogMultiheadAttention(hardware(), 8, 4, **OPTIONS[case], bias_rows=2)
    plain = nn.MultiheadAttention(8, 4, **OPTIONS[case])
    assert {k: v.shape for k, v in analog.named_parameters()} == {k: v.shape for k, v in plain.named_parameters()}
    assert list(analog.state_dict()) == list(plain.state_dict()) or set(plain.state_dict()) < set(analog.state_dict())
    assert analog.analog_bias == (plain.in_proj_bias is not None)
    analog = AnalogMultiheadAttention(hardware(), 8, 4, 0.1, False, True, True, 5, 6, True, None, torch.float64, 1)
    assert (analog.dropout, analog.in_proj_bias, analog.add_zero_attn) == (0.1, None, True)
    assert (analog.kdim, analog.vdim, analog.batch_first, analog.bias_rows) == (5, 6, True, 1)
    assert analog.bias_k.dtype == torch.float64


@pytest.mark.parametrize("bias_rows", [0, 1])
def test_only_the_arrays_of_a_changed_projection_are_written(bias_rows):
    analog = analog_of(attention("batch-first"), hardware(PROGRAMMING_ERROR), bias_rows)
    before = analog.get_matrix()
    with torch.no_grad():
        analog.in_proj_weight[9, 3] += 0.01  # in the keys' part
    after = analog.get_matrix()
    assert [torch.equal(old, new) for old, new in zip(before, after, strict=True)] == [True, False, True, True]
    analog.sync = "error"
    analog.out_proj.weight.data[0, 0] += 0.01
    analog.in_proj_weight.data[0, 0] += 0.01
    for held, name in ((analog.matrices[0], "in_proj_weight"), (analog.matrices[3], "out_proj.weight")):
        with pytest.raises(StaleArraysError, match=f"^{name} of"):
            _ = held.core


def test_every_projection_may_have_hardware_of_its_own(case):
    fine, coarse = hardware(), hardware(PROGRAMMING_ERROR, UNEVEN)
    analog = analog_of(attention(case), [[fine], [fine], [coarse], [fine]])
    changed = [
        float((held - ideal).abs().max()) > 1e-3
        for held, ideal in zip(analog.get_matrix(), analog.form_matrix(), strict=True)
    ]
    assert changed == [False, False, True, False]


def test_the_chip_travels_with_the_state_into_another_dtype(case):
    analog = analog_of(attention(case), hardware(UNEVEN, PROGRAMMING_ERROR), 2)
    twin = analog_of(attention(case, torch.float32), hardware())
    twin.load_state_dict(analog.state_dict())
    for ours, theirs in zip(twin.get_matrix(), analog.get_matrix(), strict=True):
        assert torch.equal(ours, theirs.float())
    triple = query_key_value(analog)
    found = twin(*(x.float() for x in triple))[0].double()
    assert relative_error(found, analog(*triple)[0]) < 1e-5


def test_a_changed_projection_leaves_its_bias_columns_alone():
    analog = analog_of(attention("batch-first"), hardware(PROGRAMMING_ERROR), 2)
    before = [held.core.blocks[0].record.conductance.copy() for held in analog.matrices]
    with torch.no_grad():
        analog.in_proj_weight[:16].mul_(0.99)  # queries and keys
        analog.out_proj.bias.mul_(0.99)
    changed = [
        (held.core.blocks[0].record.conductance != old).any(axis=(0, 1, 2)).tolist()
        for held, old in zip(analog.matrices, before, strict=True)
    ]
    weights, biases = [True] * 8 + [False] * 2, [False] * 8 + [True] * 2
    assert changed == [weights, weights, [False] * 10, biases]


def test_vmap_sees_torchs_layer(case):
    layer = attention(case)
    analog = analog_of(layer, hardware(UNEVEN), 1)
    triple = [torch.stack([x, -x]) for x in query_key_value(layer)]
    found = torch.func.vmap(lambda *one: analog(*one)[0])(*triple)
    assert relative_error(found, torch.stack([layer(*one)[0] for one in zip(*triple, strict=True)])) < 1e-12


def test_quantised_attention_is_its_arrays_and_digital_scores():
    params, layer = hardware(CONVERTERS, PROGRAMMING_ERROR, UNEVEN), attention("batch-first")
    analog = analog_of(layer, params, 1)
    cores = [
        AnalogCore(formed.detach().numpy(), params, seed=held.core.seed, name=held.core.name)
        for formed, held in zip(analog.form_matrix(), analog.matrices, strict=True)
    ]

    def multiply(core: AnalogCore, x: np.ndarray) -> np.ndarray:
        vectors = x.reshape(-1, x.shape[-1])
        ones = np.ones((len(vectors), 1))
        return (core @ np.concatenate([vectors, ones], axis=1).T).T.reshape(*x.shape[:-1], -1)

    query, key, value = (
        multiply(core, x.numpy()).reshape(2, -1, 4, 2) for core, x in zip(cores, query_key_value(layer), strict=False)
    )
    scores = np.einsum("bthd,bshd->bhts", query, key) / np.sqrt(2)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = multiply(cores[3], np.einsum("bhts,bshd->bthd", weights, value).reshape(2, 3, 8))
    found = analog(*query_key_value(layer))
    np.testing.assert_allclose(found[1].detach().numpy(), weights.mean(1), atol=1e-9)
    close = np.abs(found[0].detach().numpy() - expected) < 1e-9
    assert close.mean() > 0.95  # a value next to a decision level of a converter may fall on either side


def test_profiles_count_what_each_projection_sees():
    layer = attention("batch-first")
    analog = analog_of(layer, hardware(), 1)
    with profile(analog) as seen:
        analog(*query_key_value(layer))
    assert list(seen) == ["query", "key", "value", "out_proj"]
    # The bias line, driven with a constant one, is no data.
    assert [seen[name].inputs["mvm"].total for name in seen] == [vectors * 8 for vectors in (6, 10, 10, 6)]
    assert all(record.constants for record in seen.values())


@pytest.mark.parametrize(
    ("shapes", "options", "words"),
    [
        (((3, 2, 7), (5, 2, 8), (5, 2, 8)), {}, ["query", "(3, 2, 7)", "8"]),
        (((3, 2, 8), (5, 2, 8), (4, 2, 8)), {}, ["key", "value", "(5, 2)", "(4, 2)"]),
        (((3, 2, 8), (5, 3, 8), (5, 3, 8)), {}, ["query", "batch"]),
        (((3, 8), (5, 2, 8), (5, 2, 8)), {}, ["axes"]),
        (((3, 2, 8), (5, 2, 8), (5, 2, 8)), {"attn_mask": torch.zeros(3, 4)}, ["attn_mask", "(3, 4)", "(3, 5)"]),
        (
            ((3, 2, 8), (5, 2, 8), (5, 2, 8)),
            {"key_padding_mask": torch.zeros(5, 2)},
            ["key_padding_mask", "(5, 2)", "(2, 5)"],
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(shapes, options, words):
    analog = analog_of(attention("plain", torch.float32), hardware())
    with pytest.raises(ShapeError) as error:
        analog(*(torch.zeros(shape) for shape in shapes), **options)
    assert all(word in str(error.value) for word in words)


def test_masks_of_integers_are_refused():
    analog, x = analog_of(attention("plain", torch.float32), hardware()), torch.zeros(3, 2, 8)
    with pytest.raises(InputError, match="int64"):
        analog(x, x, x, attn_mask=torch.zeros(3, 3, dtype=torch.int64))


# --- transformers -----------------------------------------------------------------------------------------------------


def encoder_layer(**options: Any) -> nn.TransformerEncoderLayer:
    torch.manual_seed(0)
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)


MODES = {
    "grad": torch.enable_grad,
    "no-grad": torch.no_grad,
    "inference": torch.inference_mode,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, {"norm_first": True}, {"activation": "gelu"}], ids=["post", "pre", "gelu"])
@pytest.mark.parametrize("part", ["self_attn", "linear1", "linear2"])
def test_encoder_layers_in_eval_mode_use_every_array(mode, options, part):
    layer = encoder_layer(**options).eval()
    x, padding = inputs((2, 5, 8), torch.float32), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    ideal = from_torch(layer, hardware(), seed=1)
    # Only this part has errors: if torch's fused path read the weights, nothing would change.
    noisy = from_torch(layer, {part: hardware(PROGRAMMING_ERROR), "*": hardware()}, seed=1)
    for mask in ({}, {"src_key_padding_mask": padding}):
        with MODES[mode]():
            expected, same, other = layer(x, **mask), ideal(x, **mask), noisy(x, **mask)
        assert relative_error(same, expected) < 1e-5
        assert relative_error(other, expected) > 1e-4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("part", ["self_attn", "linear1", "linear2"])
def test_layers_put_in_by_hand_are_not_passed_by(mode, part):
    layer, x = encoder_layer().eval(), inputs((2, 5, 8), torch.float32)
    with MODES[mode]():
        expected = layer(x)
    setattr(layer, part, from_torch(layer.get_submodule(part), hardware(PROGRAMMING_ERROR), seed=1))
    with MODES[mode]():
        assert relative_error(layer(x), expected) > 1e-4
    plain = to_torch(layer)
    assert not any(module._forward_pre_hooks for module in plain.modules())
    with MODES[mode]():
        assert relative_error(plain(x), expected) < 1e-5


@pytest.mark.parametrize("mode", MODES)
def test_encoder_stacks_in_eval_mode_use_their_arrays(mode):
    encoder = nn.TransformerEncoder(encoder_layer(), 2).eval()
    x, padding = inputs((2, 5, 8), torch.float32), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    noisy = from_torch(encoder, {"layers.1.*": hardware(PROGRAMMING_ERROR), "*": hardware()}, seed=1)
    plain = to_torch(noisy, physical_weights=True)
    with warnings.catch_warnings(), MODES[mode]():
        warnings.simplefilter("ignore", UserWarning)  # torch: nested tensors are a prototype
        for mask in ({}, {"src_key_padding_mask": padding}):
            expected, found, errors = (model(x, **mask)[:, :3] for model in (encoder, noisy, plain))
            assert relative_error(found, expected) > 1e-4
            assert relative_error(found, errors) < 1e-5


def test_whole_transformers_are_converted_and_come_back():
    torch.manual_seed(0)
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True, dtype=torch.float64).eval()
    names = ["encoder.layers.0.self_attn", "encoder.layers.0.linear1", "encoder.layers.0.linear2"]
    names += ["decoder.layers.0." + part for part in ("self_attn", "multihead_attn", "linear1", "linear2")]
    assert convertible_modules(model) == [model.get_submodule(name) for name in names]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing stays digital
        ideal, noisy = (
            from_torch(model, p, bias_rows=1, seed=1) for p in (hardware(UNEVEN), hardware(PROGRAMMING_ERROR))
        )
    assert analog_modules(ideal) == [ideal.get_submodule(name) for name in names]
    source, target = inputs((2, 5, 8)), inputs((2, 4, 8))
    causal = model.generate_square_subsequent_mask(4, dtype=torch.float64)
    options = {"tgt_mask": causal, "tgt_is_causal": True}
    for mode in MODES.values():
        with mode():
            expected = model(source, target, **options)
            assert relative_error(ideal(source, target, **options), expected) < 1e-10
            assert relative_error(noisy(source, target, **options), expected) > 1e-4
    plain = to_torch(noisy, physical_weights=True)
    assert relative_error(plain(source, target, **options), noisy(source, target, **options)) < 1e-10
    assert repr(to_torch(noisy)) == repr(model)


def test_a_layer_left_digital_is_reported_once():
    layer = encoder_layer(bias=False)
    layer.self_attn.in_proj_weight = None
    layer.self_attn.__class__ = type("Mine", (nn.MultiheadAttention,), {})
    with pytest.warns(RuntimeWarning, match=r"self_attn \(Mine\)"):
        from_torch(layer, hardware(), seed=1)
