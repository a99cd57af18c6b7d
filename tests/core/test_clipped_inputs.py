"""That much of the first inputs is clipped is said once, at the user's line; ranges made for the data are silent."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from core_hardware import STYLES, core_on, hardware

import crossohm
from crossohm import AnalogCore
from crossohm.circuits import DAC, DACS
from crossohm.torch import from_torch

MATRIX = np.random.default_rng(0).uniform(-1, 1, (6, 8))
X = np.random.default_rng(1).normal(size=(8, 40))
SIGNED = {"model": "SignMagnitudeDAC", "bits": 8}
UNSIGNED = {"model": "QuantizerDAC", "bits": 8, "signed": False}


def dac(side: str = "mvm", **fields: Any) -> dict[str, Any]:
    return {f"xbar.dac.{side}.{key}": value for key, value in (SIGNED | fields).items()}


def span(low: float, high: float) -> dict[str, Any]:
    return {"core.mapping.inputs.mvm.min": low, "core.mapping.inputs.mvm.max": high}


@contextmanager
def silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "xbar.dac.mvm.bits has no effect")  # of the ideal converter
        yield


FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "torch": torch.tensor,
    "bfloat16": lambda x: torch.tensor(x, dtype=torch.bfloat16),
    "jax": jnp.asarray,
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("style", ["balanced", "offset", "unit-column", "sliced-balanced"])
def test_the_first_product_says_what_is_clipped_and_what_to_do(style: str, form: str) -> None:
    core, x = core_on(MATRIX, STYLES[style], dac()), FORMS[form](100 * X)
    with pytest.warns(UserWarning, match=r"'core': (9\d|100)% .*core.mapping.inputs.mvm.*calibrate") as caught:
        core @ x
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with silent():
        core @ x
        core.matvec(x[:, 0])
        core.set_matrix(MATRIX)
        core @ x
        copy.deepcopy(core) @ x


@pytest.mark.parametrize("side", ["mvm", "vmm"])
def test_both_directions_are_looked_at_and_one_warning_is_enough(side: str) -> None:
    both = {**dac("mvm"), **dac("vmm"), "xbar.dac.match": False}
    core = core_on(MATRIX, both)
    with pytest.warns(UserWarning, match=f"inputs.{side}"):
        core @ (9 * X) if side == "mvm" else (9 * X[:6].T) @ core
    with silent():
        (9 * X[:6].T) @ core
        core @ (9 * X)


def test_newcomers_with_normal_data_are_told() -> None:
    with pytest.warns(UserWarning, match="clipped"):
        core_on(MATRIX, dac()) @ X


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="no converter"),
        pytest.param(dac(model="IdealDAC"), id="ideal converter"),
        pytest.param({**dac(), "core.mapping.inputs.mvm.percentile": 0.5}, id="range from the data"),
        pytest.param({**dac(), **span(-2, 2)}, id="range that clips a few percent"),
        pytest.param({**dac(bits=3), **span(-1.5, 1.5)}, id="coarse converter"),
    ],
)
def test_nothing_is_said_where_little_is_clipped(changes: dict[str, Any]) -> None:
    with silent():
        core_on(MATRIX, changes) @ X


@pytest.mark.parametrize(
    ("changes", "x"),
    [
        pytest.param({"core.mapping.inputs.mvm.clipping": True}, 9 * X, id="clipped without a converter"),
        pytest.param(
            {**dac(**UNSIGNED), **span(0, 1)}, np.clip(X, -1, 1), id="negative inputs of an unsigned converter"
        ),
        pytest.param(dac(), 255.0 * (X > 1.5), id="mostly zero, all others clipped"),
        pytest.param({**dac(), "core.rows_max": 3}, 9 * X, id="partitions"),
        pytest.param({**dac(input_bitslicing=True)}, 9 * X, id="input slices"),
    ],
)
def test_whatever_clips_is_noticed(changes: dict[str, Any], x: np.ndarray) -> None:
    with pytest.warns(UserWarning, match="clipped"):
        core_on(MATRIX, changes) @ x


def test_a_users_converter_clips_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class Coarse(DAC):
        def quantize(self, x: Any, low: float, high: float, bits: int) -> Any:
            return x

    monkeypatch.setattr(DACS, "_classes", {**DACS._classes, "Coarse": Coarse})
    with pytest.warns(UserWarning, match="clipped"):
        core_on(MATRIX, dac(model="Coarse")) @ (9 * X)


def test_arrays_with_hardware_of_their_own_are_judged_by_the_widest_range() -> None:
    parts = {"core.rows_max": 4}
    narrow, wide = hardware(parts, dac()), hardware(parts, dac(), span(-50, 50))
    with silent():
        AnalogCore(MATRIX, [narrow, wide]) @ (9 * X)
    with pytest.warns(UserWarning, match="clipped"):
        AnalogCore(MATRIX, [narrow, narrow]) @ (9 * X)


def test_zeros_are_waited_out() -> None:
    """A dry run with zeros says nothing about the data to come."""
    core = core_on(MATRIX, dac())
    with silent():
        core @ np.zeros(8)
        core.explain()
    with pytest.warns(UserWarning, match="clipped"):
        core @ (9 * X)


def test_profiling_for_a_better_range_is_silent() -> None:
    core = core_on(MATRIX, dac())
    with silent(), core.profile():
        core @ (9 * X)


def test_tracing_and_transforms_know_no_values() -> None:
    core = core_on(MATRIX.astype(np.float32), dac())
    x = jnp.asarray(9 * X[:, 0], dtype=jnp.float32)
    with silent():
        jax.jit(lambda v: core @ v)(x)
        jax.grad(lambda v: (core @ v).sum())(x)
    constant = core_on(MATRIX.astype(np.float32), dac())
    with pytest.warns(UserWarning, match="clipped"):
        np.testing.assert_allclose(jax.jit(lambda: constant @ x)(), constant @ x, rtol=1e-5)
    layer = from_torch(torch.nn.Linear(8, 6), hardware(dac()), seed=1)
    data = torch.tensor(0.2 * X.T, dtype=torch.float32)
    with silent():
        torch.testing.assert_close(torch.func.vmap(layer)(data), layer(data))
        torch.func.vmap(torch.func.grad(lambda v: layer(v).sum()))(data)


LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "linear": (lambda: torch.nn.Linear(4, 3), (5, 4)),
    "convolution": (lambda: torch.nn.Conv2d(4, 4, 3, groups=2), (2, 4, 5, 5)),
    "transposed": (lambda: torch.nn.ConvTranspose1d(4, 3, 3), (2, 4, 6)),
    "recurrent": (lambda: torch.nn.GRU(4, 3), (5, 2, 4)),
}


@pytest.mark.parametrize("gradient", ["programmed", "chain"])
@pytest.mark.parametrize("kind", list(LAYERS))
def test_layers_are_named(kind: str, gradient: str) -> None:
    build, shape = LAYERS[kind]
    torch.manual_seed(0)
    model = from_torch(torch.nn.Sequential(torch.nn.Identity(), build()), hardware(dac()), seed=1, gradient=gradient)
    x = 9 * torch.randn(shape)
    with pytest.warns(UserWarning, match="core '1") as caught:
        model(x)
    assert caught[0].filename == __file__
    with silent():
        model(x)


def test_bias_columns_are_no_data() -> None:
    layer = from_torch(torch.nn.Linear(4, 3), hardware(dac(), span(-0.1, 0.1)), bias_rows=20, seed=1)
    with silent():
        layer(0.05 * torch.randn(5, 4))


def test_calibrated_networks_are_silent() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    data = torch.randn(200, 8)
    for bits in (2, 3, 4, 8):
        params = hardware(dac(bits=bits))
        with silent():
            found = crossohm.calibrate(model, data, params)
            from_torch(model, found.hardware, seed=1)(data)
