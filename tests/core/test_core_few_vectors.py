"""Wires of cores that multiply few vectors: solved one by one, eliminated where that pays, and the same either way."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from core_hardware import STYLES, core_on

from crossohm import AnalogCore, CrossSimParameters
from crossohm.chain.lowering import wire_setup, wires
from crossohm.chain.operation import Operation
from crossohm.circuits.grid import conjugate

RNG = np.random.default_rng(23)
MATRIX = RNG.normal(size=(9, 13))
X, Z = RNG.uniform(-1, 1, (13, 6)), RNG.uniform(-1, 1, (6, 9))
WIRES: dict[str, Any] = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 3.0,
    "xbar.array.parasitics.Rp_col": 5.0,
    "xbar.array.parasitics.Rp_row_terminal": 20.0,
    "xbar.array.parasitics.Rp_col_terminal": 10.0,
}
ADC = {
    f"xbar.adc.{operation}.{name}": value
    for operation in ("mvm", "vmm")
    for name, value in {"model": "QuantizerADC", "bits": 8, "adc_range_option": "MAX"}.items()
}
DAC = {f"xbar.dac.{operation}": {"model": "SignMagnitudeDAC", "bits": 5} for operation in ("mvm", "vmm")}
CHAINS: dict[str, dict[str, Any]] = {
    "plain": {},
    "partitions": {"core.rows_max": 5, "core.cols_max": 4},
    "converters": {**ADC, **DAC},
    "input slices": {**DAC, "xbar.dac.mvm.input_bitslicing": True},
    "ADC per input slice": {**ADC, **DAC, "xbar.dac.mvm.input_bitslicing": True, "xbar.adc.mvm.adc_per_ibit": True},
    "current limit": {"xbar.array.Icol_max": 0.8},
}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solve one by one however many vectors there are."""
    monkeypatch.setattr(wire_setup, "SPENT_BEFORE", 1e9)


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is eliminated; nothing has to be."""
    eliminated: list[str] = []

    def recorded(g: Any, wires: Any, names: Any = ()) -> Any:
        eliminated.extend(names)
        return wired_matrix(g, wires, names)

    wired_matrix = wires.effective_matrix
    monkeypatch.setattr(wires, "effective_matrix", recorded)
    monkeypatch.setattr(conjugate, "effective_matrix", None)
    return eliminated


def eliminated_first(*changes: dict[str, Any], matrix: Any = MATRIX) -> AnalogCore:
    """A core whose networks are matrices from the beginning."""
    core = core_on(matrix, *changes)
    for operation in ("mvm", "vmm"):
        core._lowered.wires(Operation(operation)).records(np.zeros(0))
    return core


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("style", STYLES)
def test_vectors_solved_one_by_one_give_what_the_elimination_gives(
    style: str, chain: str, dtype: type, always: None, never: list[str]
) -> None:
    changes, matrix = (STYLES[style], WIRES, CHAINS[chain]), MATRIX.astype(dtype)
    solving, x, z = core_on(matrix, *changes), X.astype(dtype), Z.astype(dtype)
    found = solving @ x, z @ solving
    assert not never
    core = eliminated_first(*changes, matrix=matrix)
    assert never
    for ours, theirs in zip(found, (core @ x, z @ core), strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 if dtype == np.float32 else 1e-10)


@pytest.mark.parametrize("shape", [(), (3,)], ids=["vectors", "stacks"])
def test_complex_cores_and_stacks(shape: tuple[int, ...], always: None, never: list[str]) -> None:
    matrix = MATRIX + 1j * MATRIX[::-1]
    x = RNG.uniform(-1, 1, (*shape, 13, 2)) + 1j * RNG.uniform(-1, 1, (*shape, 13, 2))
    changes = (WIRES, {"core.complex_matrix": True})
    found = core_on(matrix, *changes) @ x
    assert not never
    expected = eliminated_first(*changes, matrix=matrix) @ x
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_arrays_with_hardware_of_their_own(always: None, never: list[str]) -> None:
    def params(wires: bool) -> CrossSimParameters:
        found = CrossSimParameters()
        found.update({"core.rows_max": 7, **(WIRES if wires else {})})
        return found

    solving, core = (AnalogCore(MATRIX, [params(True), params(False)], seed=1) for _ in range(2))
    found = solving @ X
    assert not never
    core._lowered.wires(Operation("mvm")).records(np.zeros(0))
    np.testing.assert_allclose(found, core @ X, rtol=0, atol=1e-10)


def test_what_adcs_see_is_recorded_while_vectors_are_solved(always: None) -> None:
    seen = []
    for core in (core_on(MATRIX, WIRES), eliminated_first(WIRES)):
        with core.profile() as profile:
            core @ X
        seen.append(profile.adc["mvm", 0, 0])
    np.testing.assert_array_equal(seen[0].counts, seen[1].counts)
    assert seen[0].total == X.shape[1] * 9


def large_core() -> AnalogCore:
    return core_on(
        np.random.default_rng(3).normal(size=(60, 70)),
        WIRES,
        {path: WIRES[path] / 50 for path in WIRES if "Rp" in path},
    )


def test_vectors_are_counted_and_then_the_network_is_eliminated(never: list[str]) -> None:
    core, vectors = large_core(), np.random.default_rng(4).uniform(-1, 1, (70, 400))
    left = core._lowered.wires(Operation("mvm")).vectors_left
    assert 3 <= left <= 200
    assert f"the next {left} NumPy vectors are solved one by one (exact)" in str(core.explain())
    found = [core @ vectors[:, k] for k in range(left)]
    assert not never
    assert "conjugate gradients" in str(core.explain()) or core._lowered.wires(Operation("mvm")).vectors_left == 0
    found += [core @ vectors[:, k] for k in range(left, left + 3)]
    assert len(never) == 2  # both signs, once
    assert "eliminated once (exact)" in str(core.explain())
    assert "conjugate" not in str(core.explain())
    np.testing.assert_allclose(np.stack(found, axis=1), core @ vectors[:, : left + 3], rtol=0, atol=1e-11)
    assert len(never) == 2


def test_a_batch_that_pays_is_eliminated_at_once(never: list[str]) -> None:
    core = large_core()
    left = core._lowered.wires(Operation("mvm")).vectors_left
    core @ np.ones((70, left + 1))
    assert len(never) == 2
    assert core._lowered.wires(Operation("mvm")).vectors_left == 0
    assert core._lowered.wires(Operation("vmm")).vectors_left > 0  # the other operation drives other lines


def test_what_is_spent_is_a_part_of_the_elimination() -> None:
    """However vectors come, their work before the elimination is bounded by what it costs."""
    for sizes in ([1] * 400, [2, 5, 1] * 100, [7] * 60):
        setup = large_core()._lowered.wires(Operation.MVM)
        elimination, vector = setup._works
        solved = 0
        for size in sizes:
            if not setup.solves(np.ones((size, 70))):
                break
            solved += size
        assert solved * vector <= wire_setup.SPENT_BEFORE * elimination < (solved + max(sizes)) * vector


def test_writing_starts_anew(never: list[str]) -> None:
    core = large_core()
    core @ np.ones((70, 300))
    before = core @ np.ones(70)
    core[:, 3] = 0.0
    assert core._lowered.wires(Operation("mvm")).vectors_left > 0
    never.clear()
    after = core @ np.ones(70)
    assert not never
    assert np.abs(after - before).max() > 1e-2


@pytest.mark.parametrize(
    "inputs",
    [torch.ones(70, dtype=torch.float64), torch.ones(70, dtype=torch.float64, requires_grad=True),
     np.r_[np.nan, np.ones(69)]],
    ids=["torch", "gradient", "NaN"],
)  # fmt: skip
def test_other_inputs_take_the_matrix(inputs: Any, never: list[str]) -> None:
    core = large_core()
    y = core @ inputs
    assert len(never) == 2
    if isinstance(inputs, torch.Tensor) and inputs.requires_grad:
        y.sum().backward()
        np.testing.assert_allclose(inputs.grad, core.effective_matrix().sum(axis=0), atol=1e-12)


def test_wires_in_one_direction_are_eliminated_at_once(never: list[str]) -> None:
    """Every line is a ladder of its own then, which costs what a few vectors cost."""
    core = core_on(
        np.random.default_rng(3).normal(size=(60, 70)), WIRES | {path: 0.0 for path in WIRES if "col" in path}
    )
    core @ np.ones(70)
    assert len(never) == 2


def test_copies_go_on_where_the_core_is(never: list[str]) -> None:
    core = large_core()
    first = core @ np.ones(70)
    twin = copy.deepcopy(core)
    np.testing.assert_array_equal(twin @ np.ones(70), first)
    assert not never
    assert twin._lowered.wires(Operation.MVM).vectors_left == core._lowered.wires(Operation("mvm")).vectors_left - 1
    loaded = AnalogCore.from_bytes(core.to_bytes())
    np.testing.assert_array_equal(loaded @ np.ones(70), first)


def test_an_explanation_computes_no_network(never: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossohm.circuits.grid.DrivenNetwork.currents", None)
    assert "solved one by one" in str(large_core().explain())
    assert "solved one by one" in str(large_core().explain("vmm"))
    assert not never
