"""A plan is structure plus leaves: equal structures for equal hardware, all numbers of weights and chip as leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch
from core_hardware import STYLES, core_on

from crossohm import AnalogCore
from crossohm.backends import backend_of
from crossohm.chain import join, split
from crossohm.chain.running.leaves import Structure
from crossohm.devices import Device, device
from crossohm.testing.hardware import CONVERTERS, PROGRAMMING_ERROR, READ_NOISE

RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, (4, 6))
#: One matrix, and another with another weight range.
MATRICES = [
    scale * matrix / np.abs(matrix).max() for scale, matrix in zip((1, 3), RNG.normal(size=(2, 5, 6)), strict=True)
]


@device("EqualByContent")
class EqualByContent(Device):
    """A user's model."""

    def current(self, g, v, cell):
        return g * (v + v**2 / 5)


ADCS = {
    "RampADC": {"sigma_capacitor": 0.05, "sigma_comparator": 0.02},
    "SarADC": {"sigma_capacitor": 0.05, "sigma_comparator": 0.02, "group_size": 2},
    "PipelineADC": {"sigma_C1": 0.05, "sigma_comparator": 0.02, "group_size": 2},
    "CyclicADC": {"sigma_C1": 0.05, "sigma_comparator": 0.02, "group_size": 1},
}
WIRES = {"xbar.array.parasitics": {"enable": True, "Rp_row": 1.0, "Rp_col": 2.0}}
CHAINS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "converters": CONVERTERS,
    "unsigned input slices": {
        "xbar.dac.mvm": {"model": "QuantizerDAC", "bits": 6, "signed": False, "input_bitslicing": True},
        "xbar.adc.mvm": {"model": "QuantizerADC", "bits": 7, "adc_range_option": "MAX", "adc_per_ibit": True},
        "core.mapping.inputs.mvm": {"min": 0, "max": 1},
    },
    **{
        name: {"xbar.adc.mvm": {"model": name, "bits": 5, "adc_range_option": "MAX", **errors}}
        for name, errors in ADCS.items()
    },
    "partitions": {**CONVERTERS, "core.rows_max": 4, "core.cols_max": 3},
    "input range of the data": {**CONVERTERS, "core.mapping.inputs.mvm.percentile": 1.0},
    "current limit": {"xbar.array.Icol_max": 1.0},
    "programming error": {**CONVERTERS, **PROGRAMMING_ERROR},
    "wires": {**CONVERTERS, **WIRES},
    "gates": {
        "xbar.array.parasitics": {"enable": True, "Rp_col": 2.0, "current_from_input": False},
        "xbar.dac": {
            operation: {"model": "SignMagnitudeDAC", "bits": 4, "input_bitslicing": True, "slice_size": 1}
            for operation in ("mvm", "vmm")
        },
    },
    "nonlinear cells": {"xbar.device.nonlinear_IV": {"enable": True, "model": "EqualByContent"}},
}  # fmt: skip
NOISE = {
    "by moments": {**READ_NOISE, "xbar.device.read_noise.model": "NormalProportionalDevice"},
    "explicit": {**READ_NOISE, "simulation.read_noise_sampling": "explicit"},
}
LIBRARIES: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.asarray,
    "numpy32": partial(np.asarray, dtype="float32"),
    "torch": torch.tensor,
    "torch32": partial(torch.tensor, dtype=torch.float32),
    "jax": jnp.asarray,
    "tensorflow": tf.constant,
    "tensorflow32": partial(tf.constant, dtype="float32"),
}


def combinations() -> list[Any]:
    """Every style on every chain, libraries in turn; interleaved pairs cannot be gated."""
    libraries, found = list(LIBRARIES), []
    for s, style in enumerate(STYLES):
        for c, (chain, changes) in enumerate((CHAINS | NOISE).items()):
            if (chain, style) != ("gates", "interleaved"):
                found.append(pytest.param(style, changes, libraries[(s + c) % len(libraries)], id=f"{style}-{chain}"))
    return found


def core_of(matrix: np.ndarray, style: str, changes: dict[str, Any]) -> AnalogCore:
    core = core_on(np.zeros_like(matrix), STYLES[style], changes, seed=7)
    core.set_matrix(matrix)
    return core


def same(one: Any, other: Any) -> bool:
    return np.array_equal(backend_of(one).to_numpy(one), backend_of(other).to_numpy(other))


@pytest.mark.parametrize(("style", "changes", "library"), combinations())
def test_structures_are_equal_whatever_the_weights(style: str, changes: dict[str, Any], library: str) -> None:
    x = LIBRARIES[library](np.abs(X) if "core.mapping.inputs.mvm" in changes else X)
    cores = [core_of(matrix, style, changes) for matrix in MATRICES]
    (first, _), (second, leaves) = (split(core.plan(x)) for core in cores)
    assert first == second
    assert hash(first) == hash(second)
    assert not any(isinstance(part, np.ndarray | torch.Tensor | jax.Array | tf.Tensor) for part in flat(first))
    if not cores[0].plan(x).needs_draw:
        assert same(join(first, leaves)(x), cores[1].plan(x)(x))
        return
    draw = {
        "torch": lambda: torch.Generator().manual_seed(2),
        "jax": lambda: jax.random.key(2),
        "tensorflow": lambda: tf.constant([2, 3]),
    }
    rng = draw.get(library.removesuffix("32"), lambda: np.random.default_rng(2))
    assert same(join(first, leaves)(x, rng()), cores[1].plan(x)(x, rng()))


# Every style with a third of the chains, every chain with a third of the styles: three libraries lower each of them.
@pytest.mark.parametrize(
    ("style", "chain"), [(style, chain) for i, style in enumerate(STYLES) for chain in [*CHAINS, *NOISE][i % 3 :: 3]]
)
def test_structures_are_equal_in_every_library(style: str, chain: str) -> None:
    """Leaves that were made of NumPy arrays fit into a function that another library has traced."""
    if (chain, style) == ("gates", "interleaved"):
        return
    changes = (CHAINS | NOISE)[chain]
    core = core_of(MATRICES[0], style, changes)
    x = np.abs(X) if "core.mapping.inputs.mvm" in changes else X
    wanted, numbers = split(core.plan(x.astype("float32")))
    for library in ("torch32", "jax", "tensorflow32"):
        structure, leaves = split(core.plan(LIBRARIES[library](x)))
        assert structure == wanted
        assert hash(structure) == hash(wanted)
        for leaf, number in zip(leaves, numbers, strict=True):
            backend = backend_of(leaf)
            assert tuple(leaf.shape) == number.shape
            assert backend.dtype_name(leaf) == backend.dtype_name(backend.astype(leaf, number.dtype.name))
            np.testing.assert_array_equal(backend.to_numpy(leaf), number)


def flat(structure: Structure) -> Iterator[Any]:
    """All that a structure consists of."""
    for part in structure.parts:
        yield from flat(part) if isinstance(part, Structure) else (part,)


@pytest.mark.parametrize("style", STYLES)
def test_structures_of_other_hardware_differ(style: str) -> None:
    fine = {**CONVERTERS, "xbar.adc.mvm.bits": 9}
    found = [split(core_of(MATRICES[0], style, changes).plan(X))[0] for changes in ({}, CONVERTERS, fine, WIRES)]
    assert found[0] != found[1] != found[2]
    assert found[3] == found[0] or "wire" in str(core_of(MATRICES[0], style, WIRES).explain())


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("library", ["torch", "torch32"])
def test_leaves_live_where_the_inputs_live(style: str, library: str) -> None:
    """Converter tables included: nothing is copied to the device at a conversion."""
    x = LIBRARIES[library](X)
    for changes in CHAINS.values():
        if "core.mapping.inputs.mvm" in changes or "xbar.array.parasitics" in changes:
            continue
        _, leaves = split(core_of(MATRICES[0], style, changes).plan(x))
        assert all(isinstance(leaf, torch.Tensor) and leaf.dtype in (x.dtype, torch.int64) for leaf in leaves)


@pytest.mark.parametrize("style", ["balanced", "unit-column", "sliced-offset"])
@pytest.mark.parametrize("chain", ["converters", "SarADC", "partitions"])
def test_a_jax_function_compiles_once_for_a_hundred_writes(style: str, chain: str) -> None:
    core, x, traces = core_of(MATRICES[0], style, CHAINS[chain]), jnp.asarray(X), []

    @partial(jax.jit, static_argnums=0)
    def product(structure: Structure, leaves: Any, x: Any) -> Any:
        traces.append(structure)
        return join(structure, leaves)(x)

    for write in range(100):
        if write % 2:
            core.set_matrix(RNG.normal(size=(5, 6)))
        else:
            core[write % 5, write % 6] = 0.1
        structure, leaves = split(core.plan(x))
        y = product(structure, leaves, x)
        if write % 25 == 0:
            np.testing.assert_allclose(y, core.plan(x)(x), rtol=0, atol=1e-5)  # JAX computes in single precision
    assert len(traces) == 1


def test_the_plan_of_arrays_with_descriptions_of_their_own() -> None:
    params = [
        core_on(np.eye(2), {**CONVERTERS, "xbar.adc.mvm.bits": bits, "core.rows_max": 3}).params for bits in (5, 7)
    ]
    cores = [AnalogCore(matrix, params, seed=1) for matrix in MATRICES]
    (first, _), (second, leaves) = (split(core.plan(X)) for core in cores)
    assert first == second
    np.testing.assert_array_equal(join(first, leaves)(X), (cores[1] @ X.T).T)


#: Chains whose plans follow partial writes without being lowered anew: linear cells, alone or by their moments.
FOLLOWING = ("ideal", "converters", "SarADC", "partitions", "current limit", "programming error", "by moments")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("chain", [*CHAINS, *NOISE])
def test_the_leaves_after_partial_writes_are_those_of_the_arrays_lowered_anew(style: str, chain: str) -> None:
    if (chain, style) == ("gates", "interleaved"):
        return
    core = core_of(MATRICES[0], style, (CHAINS | NOISE)[chain])
    likes = {"mvm": X, "vmm": np.ones((2, 5))}
    for operation, like in likes.items():
        core.plan(like, operation)
    core[1, 2] = 0.25
    core[3:0:-2, 1:5] = 0.5 * RNG.uniform(-1, 1, (2, 4))
    core.T[4] = -0.1
    core.set_matrix(np.where(np.arange(5)[:, None] > 2, 0.3, core.get_matrix()), [(slice(3, 5), slice(0, 6))])
    anew = AnalogCore.from_bytes(core.to_bytes())
    for operation, like in likes.items():
        (structure, leaves), (wanted, expected) = (split(one.plan(like, operation)) for one in (core, anew))
        assert structure == wanted
        for leaf, number in zip(leaves, expected, strict=True):
            np.testing.assert_allclose(leaf, number, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("style", [name for name in STYLES if "unit-column" not in name])
@pytest.mark.parametrize("chain", FOLLOWING)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_partial_write_lowers_nothing(style: str, chain: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    core, x = core_of(MATRICES[0], style, (CHAINS | NOISE)[chain]), LIBRARIES[library](X)
    before = split(core.plan(x))
    monkeypatch.setattr("crossohm.chain.lowering.lowered.lower", None)
    core[1, 2] = 0.5
    after = split(core.plan(x))
    assert before[0] == after[0]
    assert any(not same(old, new) for old, new in zip(before[1], after[1], strict=True))
    with pytest.raises(TypeError):
        core[:] = MATRICES[1]
        core.plan(x)


def test_leaves_handed_out_are_not_written_on() -> None:
    core = core_of(MATRICES[0], "balanced", {})
    _, leaves = split(core.plan(X))
    kept = [np.array(leaf) for leaf in leaves]
    core[0, 0] = 0.0
    core @ np.ones(6)
    core[1, 1] = 0.0
    assert all(map(np.array_equal, leaves, kept))


# --- devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_a_plan_moves_to_another_device_without_being_lowered_again(
    style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Structure and shapes as they are, every leaf on the device of the inputs."""
    matrix = np.random.default_rng(0).uniform(-1, 1, (5, 4))
    core = core_on(matrix, STYLES[style], CONVERTERS, READ_NOISE)
    structure, leaves = split(core.plan(torch.ones(4)))

    def refuse(*_: object) -> None:
        raise AssertionError("lowered again")

    monkeypatch.setattr("crossohm.chain.lowering.lowered.lower", refuse)
    again, moved = split(core.plan(torch.ones(4, device="meta")))
    assert again == structure
    assert [(leaf.shape, leaf.dtype) for leaf in moved] == [(leaf.shape, leaf.dtype) for leaf in leaves]
    assert {leaf.device.type for leaf in moved} == {"meta"}
    assert {leaf.device.type for leaf in leaves} == {"cpu"}
