"""A user's model that answers what no hardware can do is an error that names it, in every role and library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from crossohm import AnalogCore, CrossSimParameters
from crossohm.circuits import ADC, ADCS, DAC, DACS
from crossohm.devices import DEVICES, Device
from crossohm.errors import ModelError

MATRIX = np.random.default_rng(0).uniform(-1, 1, (12, 20))
BATCH = np.random.default_rng(1).uniform(-1, 1, (5, 20))


class Answers(Device):
    """What a model would answer, changed by ``fault``."""

    source = "test"
    fault: Callable[[Any], Any]

    def programming_error(self, g: Any, cell: Any, draw: Any) -> Any:
        return type(self).fault(g)

    drift_error = programming_error


class Deviations(Answers):
    def read_noise_std(self, g: Any, cell: Any) -> Any:
        return type(self).fault(0.01 * g)


class Noise(Answers):
    def read_noise(self, g: Any, cell: Any, draw: Any) -> Any:
        return type(self).fault(g + 0.01 * draw.normal(g))


class Currents(Answers):
    def current(self, g: Any, v: Any, cell: Any) -> Any:
        return type(self).fault(g * v**3)


class Coefficients(Answers):
    def current_coefficients(self, g: Any, cell: Any) -> Any:
        return {1: g, 3: type(self).fault(g)}


class Converter(ADC):
    def convert(self, x: Any, low: float, high: float, bits: int) -> Any:
        return type(self).fault(x)  # type: ignore[attr-defined]


class Driver(DAC):
    def quantize(self, x: Any, low: float, high: float, bits: int) -> Any:
        return type(self).fault(x)  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for registry in (DEVICES, ADCS, DACS):
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))


def registered(registry: Any, base: type, fault: Callable[[Any], Any]) -> str:
    made = type(base.__name__, (base,), {"fault": staticmethod(fault)})
    name = f"{base.__name__}_answers"
    registry.register(name)(made)
    return name


def core(role: str, base: type[Device], fault: Callable[[Any], Any], matrix: Any = MATRIX, **params: Any) -> AnalogCore:
    hardware = CrossSimParameters()
    hardware.xbar.device.time = 1.0 if role == "drift_error" else 0.0
    model = {"enable": True, "model": registered(DEVICES, base, fault), **params}
    hardware.update({f"xbar.device.{role}.{name}": value for name, value in model.items()})
    return AnalogCore(matrix, hardware, seed=1)


SHAPES = {
    "row": lambda g: g[..., :1],
    "flat": lambda g: g.reshape(-1),
    "number": lambda g: 0.5,
    "nothing": lambda g: None,
}
NUMBERS = {
    "nan": (lambda g: g * np.nan, "nan"),
    "one nan": (lambda g: np.where(g == g.max(), np.nan, g), "nan"),
    "infinite": (lambda g: g + np.inf, "inf"),
}
RANGES = {
    "siemens of another cell": lambda g: 100 * g,
    "microsiemens": lambda g: 1e6 * g,
    "negative": lambda g: -g,
    "beyond the highest": lambda g: g + 1.5,
    "one cell": lambda g: np.where(g == g.max(), 50.0, g),
}


@pytest.mark.parametrize("role", ["programming_error", "drift_error"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fault", [*SHAPES, *NUMBERS, *RANGES])
def test_writes(role: str, dtype: str, fault: str) -> None:
    wrong = SHAPES.get(fault) or RANGES.get(fault) or NUMBERS[fault][0]
    with pytest.raises(ModelError, match=rf"Answers\.{role} returned"):
        core(role, Answers, wrong, MATRIX.astype(dtype))


@pytest.mark.parametrize(
    "law",
    [
        lambda g: g * 0.8,
        lambda g: g + np.random.default_rng(0).normal(0, 0.3, g.shape),
        lambda g: g * np.random.default_rng(0).lognormal(0, 0.5, g.shape),
        lambda g: np.zeros_like(g),
        lambda g: np.ones_like(g),
        lambda g: 1 - g,
    ],
)
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (200, 100)])
def test_errors_of_cells_are_no_mistakes(law: Callable[[Any], Any], shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(2).uniform(-1, 1, shape)
    core("programming_error", Answers, law, matrix)


def test_a_magnitude_that_was_asked_for_is_no_mistake() -> None:
    def law(g: Any) -> Any:
        return g + np.random.default_rng(0).normal(0, 10, g.shape)

    core("programming_error", Answers, law, magnitude=10.0)
    with pytest.raises(ModelError, match="returned a conductance of"):
        core("programming_error", Answers, law)


def product(core: AnalogCore, library: str) -> Any:
    return core.matmul(torch.tensor(BATCH.T) if library == "torch" else BATCH.T)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("fault", SHAPES)
@pytest.mark.parametrize(
    ("role", "base", "method"),
    [
        ("read_noise", Deviations, "read_noise_std"), ("read_noise", Noise, "read_noise"),
        ("nonlinear_IV", Currents, "current"), ("nonlinear_IV", Coefficients, "current_coefficients"),
    ],
)  # fmt: skip
def test_operations(library: str, fault: str, role: str, base: type[Device], method: str) -> None:
    with pytest.raises(ModelError, match=rf"{base.__name__}\.{method} returned"):
        product(core(role, base, SHAPES[fault]), library)


@pytest.mark.parametrize("fault", NUMBERS)
def test_what_is_worked_out_once_is_finite(fault: str) -> None:
    wrong, value = NUMBERS[fault]
    for role, base in (("read_noise", Deviations), ("nonlinear_IV", Coefficients)):
        with pytest.raises(ModelError, match=rf"{base.__name__}\.\w+ returned {value}"):
            product(core(role, base, wrong), "numpy")
    with pytest.raises(ModelError, match="standard deviation of -"):
        product(core("read_noise", Deviations, lambda std: -std - 0.01), "numpy")


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("fault", SHAPES)
def test_converters(library: str, fault: str) -> None:
    for place, registry, base, method in (("adc", ADCS, Converter, "convert"), ("dac", DACS, Driver, "quantize")):
        params = CrossSimParameters()
        model = registered(registry, base, SHAPES[fault])
        params.update({f"xbar.{place}.mvm.model": model, f"xbar.{place}.mvm.bits": 8})
        params.update({"xbar.adc.mvm.adc_range_option": "MAX"})
        with pytest.raises(ModelError, match=rf"{base.__name__}\.{method} returned"):
            product(AnalogCore(MATRIX, params), library)
