"""A user's models may write on what they are given: it is never the chip, the caller's input, or a constant of a plan.

Law: a model that works in place (as the reference's tutorials do: ``G += noise``) gives, bit for bit, what its twin
gives that does not, in every role, array library and path, and nothing else changes.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import torch
from core_hardware import STYLES, hardware

from crossohm import AnalogCore, CrossSimParameters
from crossohm._random import ChipDraw
from crossohm.backends import backend_of
from crossohm.chain.inspection.operating_point import operating_point
from crossohm.circuits import ADC, ADCS, DAC, DACS
from crossohm.circuits.dac import DACConverter
from crossohm.devices import DEVICES, Device, write
from crossohm.torch import from_torch

MATRIX = np.random.default_rng(0).uniform(-1, 1, (4, 6))
BATCH = np.random.default_rng(1).uniform(-1, 1, (5, 6))
LEFT = np.random.default_rng(2).uniform(-1, 1, (3, 4))


class Polite(Device):
    source = "test"

    def programming_error(self, g: Any, cell: Any, draw: Any) -> Any:
        return g * 0.9 + 0.01 * draw.normal(g)

    def drift_error(self, g: Any, cell: Any, draw: Any) -> Any:
        return g * 0.8 + 0.01 * draw.normal(g)


class InPlace(Device):
    source = "test"

    def programming_error(self, g: Any, cell: Any, draw: Any) -> Any:
        g *= 0.9
        g += 0.01 * draw.normal(g)
        return g

    def drift_error(self, g: Any, cell: Any, draw: Any) -> Any:
        g *= 0.8
        g += 0.01 * draw.normal(g)
        return g


class PoliteNoise(Device):
    source = "test"

    def read_noise(self, g: Any, cell: Any, draw: Any) -> Any:
        return g + 0.05 * draw.normal(g)


class InPlaceNoise(Device):
    source = "test"

    def read_noise(self, g: Any, cell: Any, draw: Any) -> Any:
        g += 0.05 * draw.normal(g)
        return g


class PoliteSpread(Device):
    source = "test"

    def read_noise_std(self, g: Any, cell: Any) -> Any:
        return 0.003 * g


class InPlaceSpread(Device):
    source = "test"

    def read_noise_std(self, g: Any, cell: Any) -> Any:
        g *= 0.003
        return g


class PoliteCurve(Device):
    source = "test"

    def current(self, g: Any, v: Any, cell: Any) -> Any:
        return g * 1.0 * (v * 0.9)


class InPlaceCurve(Device):
    source = "test"

    def current(self, g: Any, v: Any, cell: Any) -> Any:
        v *= 0.9
        g *= 1.0
        found = g * v
        g *= 0.5
        return found


class PolitePolynomial(Device):
    source = "test"

    def current_coefficients(self, g: Any, cell: Any) -> Any:
        return {1: g * 1.0, 3: g * 0.1}


class InPlacePolynomial(Device):
    source = "test"

    def current_coefficients(self, g: Any, cell: Any) -> Any:
        third = g * 0.1
        first = g * 1.0
        g *= 0.0
        return {1: first, 3: third}


class PoliteADC(ADC):
    def convert(self, x: Any, low: float, high: float, bits: int) -> Any:
        return (x * 32).round() / 32


class InPlaceADC(ADC):
    def convert(self, x: Any, low: float, high: float, bits: int) -> Any:
        x *= 32
        x = x.round()
        x /= 32
        return x


class PoliteDAC(DAC):
    def quantize(self, x: Any, low: float, high: float, bits: int) -> Any:
        return (x * 16).round() / 16


class InPlaceDAC(DAC):
    def quantize(self, x: Any, low: float, high: float, bits: int) -> Any:
        x *= 16
        x = x.round()
        x /= 16
        return x


class PoliteWholeDAC(DAC):
    def converter(self, spec: Any, low: float, high: float, path: str) -> DACConverter:
        return DACConverter(lambda x: x * 0.5)


class InPlaceWholeDAC(DAC):
    def converter(self, spec: Any, low: float, high: float, path: str) -> DACConverter:
        return DACConverter(self._halve)

    def _halve(self, x: Any) -> Any:
        x *= 0.5
        return x


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered here is forgotten afterwards."""
    for registry, base in ((DEVICES, Device), (ADCS, ADC), (DACS, DAC)):
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))
        for kind in globals().copy().values():
            if isinstance(kind, type) and issubclass(kind, base) and kind is not base:
                registry.register(kind.__name__)(kind)


def device(role: str, model: str) -> dict[str, Any]:
    return {f"xbar.device.{role}.enable": True, f"xbar.device.{role}.model": model}


def adc(model: str) -> dict[str, Any]:
    return {"xbar.adc.mvm.model": model, "xbar.adc.mvm.bits": 8, "xbar.adc.mvm.calibrated_range": [-4.0, 4.0]}


def dac(model: str) -> dict[str, Any]:
    return {"xbar.dac.mvm.model": model, "xbar.dac.mvm.bits": 8}


UNCLIPPED = {"core.mapping.inputs.mvm.clipping": False}
WIRES = {"xbar.array.parasitics.enable": True, "xbar.array.parasitics.Rp_row": 50, "xbar.array.parasitics.Rp_col": 50}
GATED = {
    **WIRES,
    "xbar.array.parasitics.current_from_input": False,
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 4,
    "xbar.dac.mvm.input_bitslicing": True,
}
EXPLICIT = {"simulation.read_noise_sampling": "explicit"}

ROLES: dict[str, Any] = {
    "programming": lambda kind: device("programming_error", kind),
    "drift": lambda kind: {**device("drift_error", kind), "xbar.device.time": 1.0},
    "read noise": lambda kind: device("read_noise", f"{kind}Noise"),
    "read noise by moments": lambda kind: device("read_noise", f"{kind}Spread"),
    "read noise of known spread, sampled": lambda kind: {**device("read_noise", f"{kind}Spread"), **EXPLICIT},
    "curve": lambda kind: device("nonlinear_IV", f"{kind}Curve"),
    "polynomial": lambda kind: device("nonlinear_IV", f"{kind}Polynomial"),
    "polynomial and noise": lambda kind: {
        **device("nonlinear_IV", f"{kind}Polynomial"),
        **device("read_noise", f"{kind}Noise"),
    },
    "ADC": lambda kind: adc(f"{kind}ADC"),
    "DAC": lambda kind: dac(f"{kind}DAC"),
    "DAC of its own": lambda kind: {**dac(f"{kind}WholeDAC"), **UNCLIPPED},
}
WIRED = ["read noise", "read noise by moments", "curve", "polynomial", "polynomial and noise"]
PATHS: dict[str, dict[str, Any]] = {
    **{style: STYLES[style] for style in ("balanced", "digital-subtraction", "interleaved", "unit-column")},
    "partitions": {**STYLES["balanced"], "core.rows_max": 3, "core.cols_max": 2},
}


def as_numpy(value: Any) -> np.ndarray:
    return np.array(backend_of(value).to_numpy(value))


def in_library(name: str, values: np.ndarray) -> Any:
    if name == "jax":
        return jax.numpy.asarray(values)
    return values.copy() if name == "numpy" else torch.tensor(values)


def state(core: AnalogCore) -> list[np.ndarray]:
    return [array.conductance.copy() for array in core.arrays]


def products(params: Any, library: str) -> list[np.ndarray]:
    """Products of one chip with single vectors and batches, both ways; nothing but the results may change."""
    core = AnalogCore(MATRIX.astype("float32") if library == "jax" else MATRIX, params, seed=1)
    before, given = state(core), [BATCH[0], BATCH.T, LEFT[0], LEFT]
    if library == "jax":
        given = [values.astype("float32") for values in given]
    inputs = [in_library(library, values) for values in given]
    torch.manual_seed(3)
    found = [as_numpy(core @ x) for x in inputs[:2] * 2] + [as_numpy(x @ core) for x in inputs[2:] * 2]
    for x, values in zip(inputs, given, strict=True):
        np.testing.assert_array_equal(as_numpy(x), values)
    for now, then in zip(state(core), before, strict=True):
        np.testing.assert_array_equal(now, then)
    return found


def same(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    for a, b in zip(first, second, strict=True):
        assert np.all(np.isfinite(a))
        np.testing.assert_array_equal(a, b)


PLACES = [(path, library) for path in PATHS for library in ("numpy", "torch")] + [("balanced", "jax")]


@pytest.mark.parametrize(("path", "library"), PLACES)
@pytest.mark.parametrize("role", list(ROLES))
def test_models_in_place_are_their_polite_twins(role: str, path: str, library: str) -> None:
    polite, in_place = (hardware(PATHS[path], ROLES[role](kind)) for kind in ("Polite", "InPlace"))
    same(products(in_place, library), products(polite, library))


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("role", "wires"),
    [(role, wires) for role in WIRED for wires in (WIRES, GATED)]
    + [(role, {**WIRES, "simulation.read_noise_sampling": "first_order"}) for role in WIRED[:2]],
)
def test_models_in_place_behind_wires(role: str, wires: dict[str, Any], library: str) -> None:
    polite, in_place = (hardware(wires, ROLES[role](kind)) for kind in ("Polite", "InPlace"))
    same(products(in_place, library), products(polite, library))


@pytest.mark.parametrize("role", list(ROLES))
def test_models_in_place_on_arrays_with_hardware_of_their_own(role: str) -> None:
    parts = {"core.rows_max": 3, "core.cols_max": 2}
    polite, in_place = (hardware(parts, ROLES[role](kind)) for kind in ("Polite", "InPlace"))
    same(products([in_place] * 4, "torch"), products([polite] * 4, "torch"))


@pytest.mark.parametrize("role", ["curve", "polynomial"])
@pytest.mark.parametrize("wires", [{}, WIRES, GATED])
def test_models_in_place_at_an_operating_point(role: str, wires: dict[str, Any]) -> None:
    found = []
    for kind in ("Polite", "InPlace"):
        core = AnalogCore(MATRIX, hardware(wires, ROLES[role](kind)), seed=1)
        before, x = state(core), BATCH[0].copy()
        slice_ = 0 if wires is GATED else None
        found.append(operating_point(core, x, input_slice=slice_).cell_current)
        np.testing.assert_array_equal(x, BATCH[0])
        same(state(core), before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("gradient", ["programmed", "chain"])
@pytest.mark.parametrize("role", ["read noise", "ADC", "DAC", "DAC of its own"])
def test_models_in_place_in_layers_under_autograd(role: str, gradient: str, dtype: torch.dtype) -> None:
    """One vector at a time, as well as a batch, and with the gradients of the twin."""
    found = []
    for kind in ("Polite", "InPlace"):
        torch.manual_seed(0)
        layer = from_torch(torch.nn.Linear(6, 4, dtype=dtype), hardware(ROLES[role](kind)), seed=1)
        layer.gradient = gradient
        before = state(layer.core)
        x = torch.tensor(BATCH, dtype=dtype, requires_grad=True)
        torch.manual_seed(5)
        y = torch.cat([layer(x), *(layer(x[i : i + 1]) for i in range(3))])
        y.float().square().sum().backward()
        same(state(layer.core), before)
        assert torch.equal(x.detach(), torch.tensor(BATCH, dtype=dtype))
        assert x.grad is not None and layer.weight.grad is not None
        found.append([as_numpy(value) for value in (y, x.grad, layer.weight.grad)])
    same(*found)


def test_writing_leaves_the_targets_of_the_caller_alone() -> None:
    params = hardware(device("programming_error", "InPlace"))
    target = MATRIX.clip(0.1, 1)
    before = target.copy()
    write(target, params.xbar.device, ChipDraw(np.random.default_rng(0)))
    np.testing.assert_array_equal(target, before)


class ScaledErrors(ADC):
    """Keeps offsets of its own chip, and works on them in place."""

    def mismatch(self, spec: Any, lines: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"offset": rng.normal(size=lines)}

    def converter(self, spec: Any, low: float, high: float, mismatch: Any) -> Any:
        offsets = mismatch["offset"]
        offsets *= high
        return Shifted(offsets)


class Shifted:
    levels = lsb = output_levels = None
    stochastic = False
    per_line = True

    def __init__(self, offsets: np.ndarray) -> None:
        self.offsets = offsets

    def __call__(self, x: Any, draw: Any = None) -> Any:
        backend = backend_of(x)
        x += backend.asarray(self.offsets.reshape(-1, *(1,) * (x.ndim - 2)), x)
        return x


def test_converter_errors_of_a_chip_do_not_drift() -> None:
    """Plans are made anew for every array library and dtype, from one set of errors."""
    params: CrossSimParameters = hardware(adc("ScaledErrors"))
    core = AnalogCore(MATRIX, params, seed=1)
    before = {key: errors.copy() for key, errors in core.blocks[0].record.mismatch.items()}
    first = core @ BATCH[0]
    again = as_numpy(core @ torch.tensor(BATCH[0]))
    np.testing.assert_allclose(first, again, rtol=1e-12)
    for key, errors in core.blocks[0].record.mismatch.items():
        np.testing.assert_array_equal(errors, before[key])
