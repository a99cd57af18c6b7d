"""Training rules: the contract of each, and what they conserve."""

from __future__ import annotations

import numpy as np
import pytest

from crossohm.errors import ParameterError
from crossohm.testing.rule import RuleContract
from crossohm.training.arrays.interfaces import Interface, Interfaces
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.arrays.weights import WeightArray
from crossohm.training.rules import (
    AGAD,
    ChoppedTikiTakaV2,
    MixedPrecision,
    Parallel,
    PeriodicCarry,
    Rule,
    TikiTaka,
    TikiTakaV2,
    TrainedMatrix,
)
from crossohm.training.rules.model import RuleMatrix
from crossohm.training.tables.table import PulseTable
from crossohm.training.updates.analytic import AnalyticUpdate
from crossohm.training.updates.ideal import IdealUpdate
from crossohm.training.updates.lookup import LookupUpdate
from crossohm.training.updates.pulsed import ConstantStep, SoftBounds

EXACT = ArraySettings(model=IdealUpdate(), dtype="float64")


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


@pytest.mark.parametrize(
    ("step", "pulses", "least"), [(0.5, "fractional", 0.03), (0.5, "counted", 0.5), (0.01, "fractional", 0.01)]
)
def test_devices_of_huge_pulses_are_written_in_parts_of_them(step: float, pulses: str, least: float) -> None:
    """Of what a device's pulse is worth, at most three hundredths of the weight limit waits to be written."""
    model = ConstantStep(step_size=step, low=-1.0, high=1.0)
    settings = ArraySettings(model=model, weights="offset", pulses=pulses)
    matrix = MixedPrecision().matrix(settings, (1, 1), 2.0, (1,), "huge")
    written = []
    for share in (0.9, 0.2):
        matrix.update(np.full((1, 1, 1), 2.0 * share * least), np.ones((1, 1, 1)), 1.0)
        written.append(bool(np.abs(matrix.read()).max() > 1e-6))
    assert written == [False, True]


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


def _lookup() -> LookupUpdate:
    """Steps of about a percent of the range that shrink on the way up and down, with spread."""
    g, cdf = np.linspace(0, 1, 11), np.linspace(0, 1, 9)
    spread = 0.01 + 0.004 * (cdf[:, None] - 0.5)
    return LookupUpdate([PulseTable(g + 1, cdf, spread * (1.3 - g), -spread[::-1] * (0.5 + g), "made up")])


def _array_of(matrix: TrainedMatrix, name: str) -> WeightArray:
    assert isinstance(matrix, RuleMatrix)
    return matrix.arrays[name]


@pytest.mark.parametrize("reset", ["exact", "calibrated", "blind"])
@pytest.mark.parametrize("exact_carries", [True, False])
def test_all_ways_to_carry_make_nothing_of_ideal_devices(reset: str, exact_carries: bool) -> None:
    """Updates end in the sum of the digits whatever is carried how."""
    rule = PeriodicCarry(3, 4.0, (2, 3), 0.05, reset=reset, exact_carries=exact_carries)
    matrix, rng, total = rule.matrix(EXACT, (3, 4), 1.0, (1,), "carry"), np.random.default_rng(0), np.zeros((1, 3, 4))
    for _ in range(40):
        rows, columns = rng.normal(size=(1, 1, 3)), rng.normal(size=(1, 1, 4))
        matrix.update(rows, columns, 2e-3)
        total += 2e-3 * rows.transpose(0, 2, 1) @ columns
    np.testing.assert_allclose(matrix.read(), total, atol=1e-13)
    assert np.any(_array_of(matrix, "digit0").read()), "nothing was carried to the top"


def test_exact_carries_conserve_weights_on_any_device() -> None:
    """The update after which digits are carried leaves what it leaves without a carry; carried digits are zero."""
    settings = ArraySettings(model=AnalyticUpdate(nonlinearity=2.0, write_noise=0.05), dtype="float64")
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(1, 10, 3)), rng.normal(size=(1, 10, 4))
    found = {}
    for every in (10, 1000):
        rule = PeriodicCarry(2, 4.0, (every,), 0.2, reset="exact", exact_carries=True)
        found[every] = rule.matrix(settings, (3, 4), 1.0, (1,), "carry")
        found[every].update(rows, columns, 0.02)
    np.testing.assert_allclose(found[10].read(), found[1000].read(), atol=1e-14)
    low = _array_of(found[1000], "digit1").read()
    moved = np.abs(low) >= 0.2 / 4
    assert moved.any()
    np.testing.assert_allclose(_array_of(found[10], "digit1").read(), np.where(moved, 0, low), atol=1e-15)


def test_calibrated_resets_are_right_on_average() -> None:
    """Blind ones are off by what steps differ from the average one."""
    left = {}
    for reset in ("calibrated", "blind"):
        rule = PeriodicCarry(2, 4.0, (1,), 0.1, reset=reset, exact_carries=True)
        matrix = rule.matrix(ArraySettings(model=_lookup(), dtype="float64"), (40, 50), 1.0, (1,), "carry")
        low = _array_of(matrix, "digit1")
        low.set(np.full((40, 50), 0.06))
        matrix.burst(np.zeros((1, 40, 50)))
        left[reset] = abs(low.read().mean())
    assert left["calibrated"] < 0.002
    assert left["blind"] > 3 * left["calibrated"]


def test_tiki_taka_moves_columns_in_turn() -> None:
    """Each update one, as much of it as the transfer rate says."""
    rule = TikiTaka(every=1, scale_transfers=False, transfer_lr=0.5)
    matrix = rule.matrix(EXACT, (2, 3), 5.0, (1,), "tt")
    for column in range(3):
        matrix.update(np.full((1, 1, 2), 0.1), np.ones((1, 1, 3)), 1.0)
        slow = matrix.read()[0]
        np.testing.assert_allclose(slow[:, column], 0.5 * 0.1 * (column + 1))
        assert not slow[:, column + 1 :].any()


@pytest.mark.parametrize("forget", [True, False])
def test_buffers_send_pulses_and_keep_what_is_left(forget: bool) -> None:
    """One column holds 0.25 and is read each time: 2.5 pulses of 0.01 at a rate of 0.1."""
    rule = TikiTakaV2(granularity=0.01, momentum=0.2, forget=forget, most_pulses=5)
    matrix = rule.matrix(EXACT, (1, 1), 1.0, (1,), "v2")
    _array_of(matrix, "fast").set(np.full((1, 1), 0.25))
    buffer, sent = 0.0, 0.0
    for _ in range(6):
        matrix.update(np.zeros((1, 1, 1)), np.ones((1, 1, 1)), 0.1)
        buffer += 2.5
        pulses = min(np.trunc(buffer + 1e-9), 5)
        buffer = 0.2 * buffer if forget else buffer - 0.8 * pulses
        sent += 0.01 * pulses
        np.testing.assert_allclose(matrix.read(), sent, atol=1e-12)


@pytest.mark.parametrize(
    "rule", [MixedPrecision(), TikiTakaV2(), ChoppedTikiTakaV2(), AGAD(period=3)], ids=lambda rule: type(rule).__name__
)
def test_pulses_of_measured_devices_pass_no_rounding_of_operands(rule: Rule) -> None:
    """They are counted digitally: operands of writes whose levels are far larger than a pulse round none away."""
    interfaces = Interfaces(row_update=Interface(3.0, 6), column_update=Interface(10.0, 4))
    settings = ArraySettings(model=_lookup(), interfaces=interfaces, dtype="float64", pulses="counted")
    matrix = rule.matrix(settings, (4, 3), 1.0, (1,), "pulses")
    rows, columns = np.full((1, 400, 4), 1.5), np.full((1, 400, 3), 5.0)
    matrix.update(rows, columns, 0.05)
    assert np.all(matrix.read() > 0)
    assert matrix.read().mean() > 0.1


def test_more_inputs_send_more_with_their_own_granularity() -> None:
    """The unit of the buffer is divided by the inputs and the updates between transfers."""
    moved = []
    for auto_granularity in (0.0, 0.5):
        rule = TikiTakaV2(granularity=0.01, auto_granularity=auto_granularity, most_pulses=1000)
        matrix = rule.matrix(EXACT, (1, 5), 1.0, (1,), "v2")
        _array_of(matrix, "fast").set(np.full((1, 5), 0.3))
        matrix.update(np.zeros((1, 5, 1)), np.ones((1, 5, 5)), 0.1)
        moved.append(matrix.read().mean())
    assert moved == pytest.approx([0.03, 0.3])
