"""What takes long is what lowering evaluates vector by vector, and the settings named make it a matrix product."""

from __future__ import annotations

import ast
import re
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
from core_hardware import STYLES, core_on, hardware

from crossohm import CrossSimParameters
from crossohm.chain.inspection.slow import slow_path
from crossohm.chain.running.circuit_readout import CircuitReadout
from crossohm.chain.running.readout import SampledReadout
from crossohm.errors import ParameterError
from crossohm.params import preset_names

MATRIX = np.random.default_rng(31).normal(size=(4, 5))
CAUSES: dict[str, dict[str, Any]] = {
    "wires": {"xbar.array.parasitics": {"enable": True, "Rp_row": 1.0, "Rp_col": 1.0}},
    "gated": {
        "xbar.array.parasitics.current_from_input": False,
        "xbar.dac.mvm": {"model": "SignMagnitudeDAC", "bits": 4, "input_bitslicing": True},
    },
    "noise": {"xbar.device.read_noise": {"enable": True, "model": "NormalProportionalDevice", "magnitude": 0.02}},
    "clipping": {"xbar.device.clip_conductance": True},
    "explicit": {"simulation.read_noise_sampling": "explicit"},
    "nonlinear": {"xbar.device.nonlinear_IV": {"enable": True, "model": "CubicDevice"}, "xbar.device.Vread": 1.0},
}
COMBINATIONS = list(chain.from_iterable(combinations(CAUSES, size) for size in range(len(CAUSES) + 1)))
REMEDY = re.compile(r"[\w.]+ = (?:'\w+'|True|False)(?: and [\w.]+ = (?:'\w+'|True|False))*")


def by_vector(params: CrossSimParameters) -> bool:
    """True if the plan of a core on this hardware evaluates every vector by itself."""
    core = core_on(MATRIX, params.as_dict())
    plans = core.plan(np.zeros(1)).plans
    return any(isinstance(stage.readout, CircuitReadout | SampledReadout) for plan in plans for stage in plan.stages)


def remedies(message: str) -> list[dict[str, Any]]:
    """The settings that a message says make products fast."""
    told = message.partition("; fast with ")[2].partition(", in a third")[0]
    found = [dict(one.split(" = ") for one in text.split(" and ")) for text in REMEDY.findall(told)]
    return [{path: ast.literal_eval(value) for path, value in one.items()} for one in found]


@pytest.mark.parametrize("style", ["balanced", "offset", "unit-column", "sliced-balanced"])
@pytest.mark.parametrize("causes", COMBINATIONS, ids=" ".join)
def test_what_is_slow_is_what_lowering_does_vector_by_vector(causes: tuple[str, ...], style: str) -> None:
    params = hardware(STYLES[style], *(CAUSES[cause] for cause in causes))
    found = slow_path(params)
    assert (found is not None) == by_vector(params)
    if found is not None:
        told = remedies(found)
        assert told
        for settings in told:
            cured = params.copy()
            cured.update(settings)
            assert slow_path(cured) is None
            assert not by_vector(cured)


def test_first_order_is_named_where_it_is_available() -> None:
    first_order = {"simulation.read_noise_sampling": "first_order"}
    for causes in COMBINATIONS:
        params = hardware(*(CAUSES[cause] for cause in causes))
        named = "'first_order'" in (slow_path(params) or "")
        params.update(first_order)
        try:
            params.validate()
            available = slow_path(params) is not None and {"wires", "noise"} <= set(causes)
        except ParameterError:
            available = False
        assert named == available


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_fast(name: str) -> None:
    assert slow_path(CrossSimParameters.from_json(name)) is None


@pytest.mark.parametrize("operation", ["mvm", "vmm"])
def test_asking_changes_and_draws_nothing(operation: str) -> None:
    params = hardware(CAUSES["wires"], CAUSES["noise"], {"core.rows_max": 2, "xbar.device.cell_bits": 3})
    before = params.as_dict()
    assert slow_path(params, operation) == slow_path(params, operation)
    assert params.as_dict() == before
