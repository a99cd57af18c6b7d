"""Training rules: the contract of each, and what they conserve."""

from __future__ import annotations

import numpy as np
import pytest

from crossohm.errors import ParameterError
from crossohm.testing.rule import RuleContract
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.rules.buffered import AGAD, ChoppedTikiTakaV2, TikiTakaV2
from crossohm.training.rules.carry import PeriodicCarry
from crossohm.training.rules.mixed_precision import MixedPrecision
from crossohm.training.rules.model import Rule
from crossohm.training.rules.parallel import Parallel
from crossohm.training.rules.tiki_taka import TikiTaka
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.pulsed import SoftBounds


class TestParallel(RuleContract):
    def make(self) -> Rule:
        return Parallel()


class TestCarry(RuleContract):
    def make(self) -> Rule:
        return PeriodicCarry(cores=2, base=4.0, frequency=(7,))


class TestMixedPrecision(RuleContract):
    def make(self) -> Rule:
        return MixedPrecision(granularity=0.01)


class TestTikiTaka(RuleContract):
    learns_on = ("pulsed",)

    def make(self) -> Rule:
        return TikiTaka()


class TestTikiTakaV2(RuleContract):
    learns_on = ("pulsed",)

    def make(self) -> Rule:
        return TikiTakaV2(granularity=0.01)


class TestChoppedTikiTakaV2(RuleContract):
    learns_on = ("pulsed",)
    updates = 2000

    def make(self) -> Rule:
        return ChoppedTikiTakaV2(granularity=0.01, switch=0.05)


class TestAGAD(RuleContract):
    updates = 2000

    def make(self) -> Rule:
        return AGAD(granularity=0.01, period=20)


def test_exact_carries_conserve_the_weights() -> None:
    """Moving digits from core to core changes no weight, and each update goes to the lowest core alone."""
    rule = PeriodicCarry(cores=3, base=4.0, frequency=(2, 5), threshold=0.0, reset="exact", exact_carries=True)
    settings = ArraySettings(model=IdealUpdate(), dtype="float64")
    matrix = rule.matrix(settings, (3, 4), 1.0, (1,), "carry")
    rng, total = np.random.default_rng(0), np.zeros((3, 4))
    for _ in range(60):
        rows, columns = rng.normal(size=(1, 1, 3)), rng.normal(size=(1, 1, 4))
        matrix.update(rows, columns, 1e-4)
        total += 1e-4 * np.outer(rows, columns)
    np.testing.assert_allclose(matrix.read()[0], total, atol=1e-12)


def test_mixed_precision_loses_nothing() -> None:
    """What ideal devices hold and the digital remainder add up to all gradients."""
    rule = MixedPrecision(granularity=0.01)
    matrix = rule.matrix(ArraySettings(model=IdealUpdate(), dtype="float64"), (3, 4), 1.0, (1,), "mixed")
    rng, total = np.random.default_rng(0), np.zeros((3, 4))
    for _ in range(40):
        rows, columns = rng.normal(size=(1, 1, 3)), rng.normal(size=(1, 1, 4))
        matrix.update(rows, columns, 1e-3)
        total += 1e-3 * np.outer(rows, columns)
    left = next(of for name, of in matrix.state_dict().items() if name.startswith("digital/") and of.shape == (1, 3, 4))
    np.testing.assert_allclose(matrix.read()[0] + left[0], total, atol=1e-12)
    assert np.abs(left).max() < 0.01


@pytest.mark.parametrize("rule", [ChoppedTikiTakaV2(switch=0.05), AGAD(period=20)])
def test_choppers_average_out_what_the_fast_array_holds(rule: Rule) -> None:
    """Without gradients, an offset of the fast array does not move the weights for good; version 2 follows it."""
    moved = []
    for each in (rule, TikiTakaV2()):
        model = SoftBounds(step_size=0.01, step_spread=0.0, cycle_noise=0.0, bound_spread=0.0, asymmetry_spread=0.0)
        matrix = each.matrix(ArraySettings(model=model, weights="offset", dtype="float64"), (2, 3), 1.0, (1,), "offset")
        matrix.fast.set(np.full((1, 2, 3), 0.2))  # type: ignore[attr-defined]
        for _ in range(3000):
            matrix.update(np.zeros((1, 1, 2)), np.zeros((1, 1, 3)), 0.05)
        moved.append(np.abs(matrix.read()).mean())
    assert moved[0] < 0.3 * moved[1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PeriodicCarry(cores=1), "cores"),
        (lambda: PeriodicCarry(cores=3, frequency=(10,)), "frequency"),
        (lambda: TikiTaka(every=0), "every"),
        (lambda: TikiTakaV2(momentum=2.0), "momentum"),
        (lambda: ChoppedTikiTakaV2(switch=-0.1), "switch"),
        (lambda: AGAD(period=0), "period"),
        (
            lambda: TikiTakaV2().matrix(ArraySettings(model=AnalyticUpdate()), (2, 2), 1.0, (1,), "x"),
            "granularity",
        ),
    ],
)
def test_what_no_rule_is_is_said(make: object, words: str) -> None:
    """Naming the parameter."""
    with pytest.raises(ParameterError, match=words):
        make()  # type: ignore[operator]
