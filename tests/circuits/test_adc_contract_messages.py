"""What the ADC contract says about converters that break it: what they did, and what to write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from crossohm.backends import backend_of
from crossohm.circuits import ADC
from crossohm.testing.converter import ADCContract


def converting(function: Callable[..., Any]) -> type[ADC]:
    """An ADC of this conversion."""
    return type("Broken", (ADC,), {"convert": lambda self, *given: function(*given)})


@dataclass
class Bank:
    """A converter built by hand."""

    function: Callable[[Any], Any]
    levels: int | None = None
    lsb: float | None = None
    output_levels: np.ndarray | None = None
    stochastic: bool = False
    per_line: bool = False

    def __call__(self, x: Any, draw: Any = None) -> Any:
        return self.function(x)


def built(function: Callable[[Any], Any], **facts: Any) -> type[ADC]:
    """An ADC that is this converter."""
    return type("Broken", (ADC,), {"build": lambda self, *given: Bank(function, **facts)})


def in_place(x: Any) -> Any:
    x *= 0.5
    return x


def numbered(x: Any) -> Any:
    return x + np.arange(x.shape[1]).reshape(1, -1, *[1] * (x.ndim - 2)) if x.ndim > 1 else x


class Hidden(ADC):
    """Draws when it is built."""

    rng = np.random.default_rng(0)

    def converter(self, spec: Any, low: float, high: float, mismatch: Any) -> Any:
        shift = float(self.rng.normal())
        return Bank(lambda x: x + shift)


class Writes(ADC):
    """Writes on the errors of the chip."""

    def mismatch(self, spec: Any, lines: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"offsets": rng.standard_normal(lines)}

    def build(self, spec: Any, low: float, high: float, mismatch: Any) -> Any:
        offsets = mismatch["offsets"]
        offsets += 1
        return Bank(lambda x: x)


Contract = ADCContract
WIDTH = 3.0 / 2**5
BROKEN: list[tuple[type[ADC], Any, str]] = [
    (converting(lambda x, *_: x * np.float64(0.5)), lambda test: test.test_keeps_shape_and_dtype("float32"),
     "currents in float32 become float64: combine x with Python numbers"),
    (built(lambda x: x[:1]), lambda test: test.test_keeps_shape_and_dtype("float64"), "return one number per current"),
    (built(in_place), Contract.test_does_not_change_its_input, r"write y = x \+ 1"),
    (Writes, Contract.test_leaves_the_errors_of_the_chip_alone, r"changes mismatch\['offsets'\]"),
    (built(lambda x: x - x.mean()), Contract.test_batches_do_not_matter, "nothing of x but the current itself"),
    (built(numbered), Contract.test_lines_that_do_not_differ_need_no_lines, "set per_line = True"),
    (built(lambda x: -x), Contract.test_is_monotone_without_errors, "larger current gives a smaller number"),
    (built(lambda x: x), Contract.test_saturates, r"clip x to \[low, high\]"),
    (built(lambda x: x + WIDTH, lsb=WIDTH), Contract.test_error_is_at_most_half_an_lsb, "set half_lsb = False"),
    (converting(lambda x, *_: 0.5 * x), Contract.test_is_idempotent, "set idempotent = False"),
    (built(lambda x: x, levels=3, output_levels=np.arange(2.0)), Contract.test_outputs_are_the_levels_it_names,
     "report one for each code"),
    (built(lambda x: x, levels=2, output_levels=np.ones(2)), Contract.test_outputs_are_the_levels_it_names,
     "sort them, each once"),
    (built(lambda x: x, levels=2, output_levels=np.arange(2.0)), Contract.test_outputs_are_the_levels_it_names,
     "report the values that come out"),
    (Hidden, Contract.test_the_same_chip_converts_the_same, "draw from `rng` in mismatch"),
    (built(lambda x: x), Contract.test_the_same_chip_converts_the_same, r"use what mismatch\(\) drew"),
    (built(lambda x: 0 * x), Contract.test_zero_bits_convert_nothing, r"override converter\(\) or convert\(\)"),
    (converting(lambda x, *_: np.where(x > 0, 1.0, -1.0)), Contract.test_nan_stays_nan, r"end with xp\.where\(x == x"),
    (built(lambda x: x - x.mean()), Contract.test_nan_stays_nan, "makes others undefined"),
    (converting(lambda x, *_: np.asarray(x).round()), Contract.test_gradient_passes_straight_through_in_torch,
     "PyTorch tensors are not converted.*in place of numpy"),
    (converting(lambda x, *_: x if x.max() > 0 else -x), Contract.test_jax_agrees_under_jit, "no if or loop"),
    (built(lambda x: 0.5 * x), Contract.test_gradient_passes_straight_through_in_torch, "leave the gradient to cross"),
    (built(lambda x: 0.5 * x), Contract.test_gradient_passes_straight_through_in_jax, "straight_through"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "test", "message"), BROKEN, ids=[message for _, _, message in BROKEN])
def test_the_contract_catches_and_says_what_to_do(model: type[ADC], test: Any, message: str) -> None:
    for library in ("torch", "jax"):
        if library in getattr(test, "__name__", "") or library in message.lower():
            pytest.importorskip(library)
    contract = type("Test", (ADCContract,), {"make": lambda self: model(), "noisy": {"sigma_comparator": 0.1}})()
    with pytest.raises(AssertionError, match=f"(?s){message}"):
        test(contract)


def test_a_converter_that_keeps_the_contract_passes() -> None:
    def rounded(x: Any, low: float, high: float, bits: int) -> Any:
        step = (high - low) / 2**bits
        return backend_of(x).xp.round(x / step) * step

    contract = type("Test", (ADCContract,), {"make": lambda self: converting(rounded)(), "half_lsb": False})()
    for name in ("does_not_change_its_input", "is_monotone_without_errors", "saturates", "nan_stays_nan"):
        getattr(contract, f"test_{name}")()
