"""The recorded answers of the public reference: programmed matrices and products in both directions.

Where nothing quantises, every element agrees within 1e-5 of the output range. Where an ADC quantises, single elements
next to a rounding threshold may differ, each by exactly one LSB of one conversion, and at most 0.5 % of all elements.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from core_hardware import hardware

from crossohm import AnalogCore
from crossohm.chain import Dense, lower

# Recorded settings that warn by intent: weight_bits without effect, more slices than bits, no ADC behind slices.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

TOLERANCE = 1e-5
RUNS = {
    "matvec": lambda core, x, z: core.matvec(x[:, 0]),
    "mvm": lambda core, x, z: np.stack([core.matvec(x[:, k]) for k in range(x.shape[1])], axis=1),
    "matmat": lambda core, x, z: core.matmat(x),
    "vmm": lambda core, x, z: np.stack([core.vecmat(row) for row in z]),
}


@cache
def recorded(folder: Path) -> tuple[dict[str, dict[str, Any]], Any]:
    cases = {case["name"]: case for case in json.loads((folder / "cases.json").read_text())}
    return cases, np.load(folder / "arrays.npz")


def has_wires(case: dict[str, Any]) -> bool:
    return bool(case["params"].get("xbar.array.parasitics.enable"))


def one_lsb_amounts(core: AnalogCore, operation: str) -> np.ndarray:
    """Every change of an output, in the matrix's units, that one step of one converter can make."""
    block = core.blocks[0]
    size = core.ncol if operation == "mvm" else core.nrow
    plan = lower(block.record, block.params, operation, Dense(size), np.zeros(1))
    amounts = set()
    for stage in plan.stages:
        if stage.digitiser is None:
            continue
        planes = plan.drive.dac.plane_weights if stage.per_plane else (1.0,)
        for bank, coefficient in zip(stage.digitiser.converters, stage.combination.coefficients, strict=True):
            for converter in bank:
                amounts |= {abs(float(coefficient)) * converter.lsb * plane for plane in planes}
    return np.array(sorted(amounts))


class Comparison:
    """Elements that differ from the record, and whether one converter step explains each."""

    def __init__(self, actual: np.ndarray, expected: np.ndarray, amounts: np.ndarray, factor: float = 1.0) -> None:
        parts = [np.real, np.imag] if np.iscomplexobj(expected) else [np.asarray]
        scale = float(np.max(np.abs(expected)))
        self.tolerance = TOLERANCE * scale
        gaps = np.concatenate([np.abs(part(actual) - part(expected)).ravel() for part in parts])
        self.differing = gaps[gaps > self.tolerance]
        self.total = gaps.size
        steps = amounts * factor
        self.unexplained = [
            gap for gap in self.differing if not np.any(np.abs(gap - steps) <= self.tolerance + 1e-4 * steps)
        ]


def compare(case: dict[str, Any], arrays: Any, result: str) -> Comparison:
    name = case["name"]
    core = AnalogCore(arrays[f"{name}.matrix"], hardware(case["params"]), seed=0)
    x, z = arrays[f"{name}.x"], arrays[f"{name}.z"]
    actual, expected = RUNS[result](core, x, z), arrays[f"{name}.{result}"]
    assert actual.shape == expected.shape
    amounts = one_lsb_amounts(core, "vmm" if result == "vmm" else "mvm")
    return Comparison(actual, expected, amounts)


def test_every_recorded_case_is_compared(shared: Path) -> None:
    cases, arrays = recorded(shared / "golden")
    assert len(cases) == 246
    compared = {f"{name}.{result}" for name, case in cases.items() for result in case["results"]}
    assert set(arrays.files) == compared | {f"{name}.{what}" for name in cases for what in ("matrix", "x", "z")}


def test_programmed_matrices(shared: Path) -> None:
    cases, arrays = recorded(shared / "golden")
    wrong = {}
    for name, case in cases.items():
        if has_wires(case):
            continue
        matrix, expected = arrays[f"{name}.matrix"], arrays[f"{name}.programmed"]
        stored = AnalogCore(matrix, hardware(case["params"]), seed=0).get_matrix()
        error = float(np.max(np.abs(stored - expected)) / np.max(np.abs(expected)))
        if error > TOLERANCE:
            wrong[name] = error
    assert not wrong


@pytest.mark.parametrize("result", list(RUNS))
def test_products(shared: Path, result: str) -> None:
    cases, arrays = recorded(shared / "golden")
    wrong: dict[str, Any] = {}
    differing = total = 0
    for name, case in cases.items():
        if has_wires(case) or result not in case["results"]:
            continue
        found = compare(case, arrays, result)
        # One element of a small result is already more than 0.5 %: the share is taken over all cases below.
        if found.unexplained or len(found.differing) > max(1, 0.005 * found.total):
            wrong[name] = (len(found.differing), found.total, found.unexplained)
        if "xbar.adc.mvm.bits" in case["params"]:
            differing, total = differing + len(found.differing), total + found.total
        elif len(found.differing):
            wrong[name] = "differs although nothing quantises the outputs"
    assert not wrong
    assert total > 1000
    assert differing <= 0.005 * total


@pytest.mark.reference_defect("Q21")
def test_percentile_input_range_of_each_vector_or_of_the_call(shared: Path) -> None:
    """With scope "vector" a batch is its vectors one by one; the recorded batches had one range for the call."""
    cases, arrays = recorded(shared / "golden")
    scope = {"core.mapping.inputs.mvm.percentile_scope": "vector"}
    for name in (name for name in cases if name.endswith("-inpct")):
        core = AnalogCore(arrays[f"{name}.matrix"], hardware(cases[name]["params"], scope), seed=0)
        x, reference = arrays[f"{name}.x"], arrays[f"{name}.matmat"]
        batch, single = core.matmat(x), RUNS["mvm"](core, x, None)
        np.testing.assert_allclose(batch, single, rtol=0, atol=1e-9 * np.abs(single).max())
        assert np.max(np.abs(batch - reference)) > 100 * TOLERANCE * np.abs(reference).max()


def test_wires_give_the_recorded_answers(shared: Path) -> None:
    """All four topologies; the reference iterated them to 1e-9 on conductances stored in float32."""
    cases, arrays = recorded(shared / "golden")
    wired = [case for case in cases.values() if has_wires(case)]
    assert len(wired) > 30
    for case in wired:
        name = case["name"]
        core = AnalogCore(arrays[f"{name}.matrix"], hardware(case["params"]), seed=0)
        for what in case["results"]:
            x, z = arrays[f"{name}.x"], arrays[f"{name}.z"]
            found = core.get_matrix() if what == "programmed" else RUNS[what](core, x, z)
            reference = arrays[f"{name}.{what}"]
            assert np.max(np.abs(found - reference)) <= 1e-6 * np.abs(reference).max(), (name, what)
