"""Fuzzed hardware descriptions: each multiplies to finite numbers or is refused by our own error with a path.

2,000 of them in every run, 5,000 with the slow tests. One shard per mapping style, so that the shards differ and run in
parallel. Values are valid, unusual or slightly wrong; nothing but a `CrossOhmError` that names a parameter may come
out of any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from core_hardware import STYLES
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from crossohm import AnalogCore, CrossOhmError, CrossSimParameters

PARAMETER_PATH = re.compile(r"\b(xbar|core|simulation)\.\w+")

NUMBERS = [0, 0.0, 1, -1, 0.5, 1e-3, 1e3, 1e9, -0.1, float("nan"), float("inf"), None, "1"]
MODELS = [
    "IdealDevice",
    "NormalIndependentDevice",
    "NormalProportionalDevice",
    "NormalInverseProportionalDevice",
    "UniformIndependentDevice",
    "UniformInverseProportionalDevice",
    "PCMJoshi",
    "RRAMMilo",
    "RRAMWan",
    "SONOS",
    "CubicDevice",
    "NormalDevice",
    "",
]
ADCS = ["IdealADC", "QuantizerADC", "SignMagnitudeADC", "RampADC", "SarADC", "PipelineADC", "CyclicADC", "RampAdc"]
DACS = ["IdealDAC", "QuantizerDAC", "SignMagnitudeDAC", "QuantiserDAC"]
BOOL = [True, False, 1, None]
BITS = [0, 1, 2, 3, 5, 8, 12, 16, 24, 64, -1, 2.5]
SIGMAS = [0.0, 0.01, 0.1, 1.0, -0.1]


def device(role: str) -> dict[str, list[Any]]:
    path = f"xbar.device.{role}"
    return {f"{path}.enable": BOOL, f"{path}.model": MODELS, f"{path}.magnitude": [0.0, 0.01, 0.3, 5.0, -1, None]}


def converter(op: str) -> dict[str, list[Any]]:
    return {
        f"xbar.adc.{op}.model": ADCS,
        f"xbar.adc.{op}.bits": BITS,
        f"xbar.adc.{op}.signed": BOOL,
        f"xbar.adc.{op}.stochastic_rounding": BOOL,
        f"xbar.adc.{op}.adc_per_ibit": BOOL,
        f"xbar.adc.{op}.calibrated_range": [[-2, 2], [-1, 3], [2, -2], [1, 1], [], None, [[-1, 1], [-1, 1]], [0], 3],
        f"xbar.adc.{op}.adc_range_option": ["MAX", "GRANULAR", "CALIBRATED", 2, 7, "FULL"],
        f"xbar.adc.{op}.gain_db": [100, 20, 0, -10, 1e4, None],
        f"xbar.adc.{op}.sigma_capacitor": SIGMAS,
        f"xbar.adc.{op}.sigma_comparator": SIGMAS,
        f"xbar.adc.{op}.symmetric_cdac": BOOL,
        f"xbar.adc.{op}.split_cdac": BOOL,
        f"xbar.adc.{op}.group_size": [1, 2, 8, 100, 0, -1],
        f"xbar.adc.{op}.sigma_C1": SIGMAS,
        f"xbar.adc.{op}.sigma_C2": SIGMAS,
        f"xbar.adc.{op}.sigma_Cpar": SIGMAS,
        f"xbar.dac.{op}.model": DACS,
        f"xbar.dac.{op}.bits": BITS,
        f"xbar.dac.{op}.signed": BOOL,
        f"xbar.dac.{op}.input_bitslicing": BOOL,
        f"xbar.dac.{op}.slice_size": [1, 2, 3, 8, 20, 0],
        f"core.mapping.inputs.{op}.clipping": BOOL,
        f"core.mapping.inputs.{op}.min": [-1.0, 0.0, 0.5, -3, 2, None, float("nan")],
        f"core.mapping.inputs.{op}.max": [1.0, 2.0, 0.0, -1, None, 1e-300],
        f"core.mapping.inputs.{op}.percentile": [None, 1.0, 0.9, 1.5, 0.5, 0.0, -1],
        f"core.mapping.inputs.{op}.percentile_scope": ["call", "vector", "batch"],
    }


FIELDS: dict[str, list[Any]] = {
    "core.rows_max": [0, 1, 2, 3, 100, -1, 2.0],
    "core.cols_max": [0, 1, 2, 4, 100, -1],
    "core.weight_bits": BITS,
    "core.complex_matrix": BOOL,
    "core.complex_input": BOOL,
    "core.output_dtype": ["NATIVE", "FLOAT32", "FLOAT64", "MATRIX", "INPUT", "INT8", 3, "FLOAT128"],
    "core.balanced.style": ["ONE_SIDED", "TWO_SIDED", 2, 3],
    "core.balanced.interleaved_posneg": BOOL,
    "core.balanced.subtract_current_in_xbar": BOOL,
    "core.bit_sliced.style": ["BALANCED", "OFFSET", 3, 2],
    "core.bit_sliced.num_slices": [1, 2, 3, 4, 8, 0, -1],
    "core.offset.style": ["DIGITAL_OFFSET", "UNIT_COLUMN_SUBTRACTION", 2],
    "core.mapping.weights.clipping": BOOL,
    "core.mapping.weights.min": [-1.0, -0.5, 0.0, 0.5, None],
    "core.mapping.weights.max": [1.0, 0.5, 0.0, -1.0, None],
    "core.mapping.weights.percentile": [1.0, 0.9, 0.5, 2.0, 0.0, None],
    "core.mapping.weights.row_partition_priority": [[], [2], [0], [3, 2], "2"],
    "core.mapping.weights.col_partition_strategy": ["MAX", "EQUAL", 1],
    "simulation.read_noise_sampling": ["auto", "explicit", "first_order", "none"],
    "xbar.adc.match": BOOL,
    "xbar.dac.match": BOOL,
    "core.mapping.inputs.match": BOOL,
    "xbar.device.cell_bits": BITS,
    "xbar.device.Rmin": [1e3, 3.5e4, 1e5, 1e4, 0, -1, 1e-300],
    "xbar.device.Rmax": [1e4, 1e6, 1e3, 6e12, 0, 1e300],
    "xbar.device.Vread": [0.1, 0.5, 2.0, 10.0, 0],
    "xbar.device.time": [0, 1, 2.5, 7, 100, -1],
    "xbar.device.infinite_on_off_ratio": BOOL,
    "xbar.device.clip_conductance": BOOL,
    **device("read_noise"),
    **device("programming_error"),
    **device("drift_error"),
    **device("nonlinear_IV"),
    "xbar.array.Icol_max": [0, 0.5, 3.0, 1e-9, -1],
    "xbar.array.parasitics.enable": BOOL,
    "xbar.array.parasitics.Rp_row": [0, 1.0, -1],
    "xbar.array.parasitics.disable_slices": [[], [0], [9]],
    **converter("mvm"),
    **converter("vmm"),
    "core.typo": [1],
    "xbar.adc.mvm.bit": [8],
}

# Most fields of a tree keep their default; three in four values are among the first, plausible ones of their list.
# All in one list: drawn at once, not a field and then its value.
CHANGE = st.sampled_from([(path, value) for path in sorted(FIELDS) for value in [*FIELDS[path][:3] * 2, *FIELDS[path]]])


def refused_by_name(error: CrossOhmError) -> None:
    assert PARAMETER_PATH.search(str(error)), f"no parameter named: {error}"


def build_and_multiply(changes: list[tuple[str, Any]], style: dict[str, Any], shape: tuple[int, int], seed: int) -> str:
    rng = np.random.default_rng(seed)
    params = CrossSimParameters()
    params.update(style)
    try:
        for path, value in changes:
            params.update({path: value})
        core = AnalogCore(rng.normal(size=shape), params, seed=seed)
        outcomes = [
            core @ rng.uniform(0, 1, shape[1]),
            rng.uniform(0, 1, shape[0]) @ core,
            core @ rng.uniform(-1, 1, (shape[1], 3)),
            rng.uniform(-1, 1, (2, shape[0])) @ core,
        ]
        stored = core.get_matrix()
    except CrossOhmError as error:
        refused_by_name(error)
        return "refused"
    assert [y.shape for y in outcomes] == [(shape[0],), (shape[1],), (shape[0], 3), (2, shape[1])]
    assert stored.shape == shape
    for y in (*outcomes, stored):
        assert np.all(np.isfinite(y))
    str(core.explain("mvm"))
    return "multiplied"


def fuzzed(examples: int) -> Callable[[Callable[..., None]], Any]:
    """Run a law on so many descriptions of all styles together."""
    cases = given(
        changes=st.lists(CHANGE, max_size=9),
        shape=st.tuples(st.integers(1, 6), st.integers(1, 7)),
        seed=st.integers(0, 1000),
    )
    chosen = settings(max_examples=examples // len(STYLES), suppress_health_check=list(HealthCheck), database=None)
    styles, silent = pytest.mark.parametrize("style", list(STYLES)), pytest.mark.filterwarnings("ignore::UserWarning")
    return lambda law: styles(silent(chosen(cases(law))))


@fuzzed(2000)
def test_every_tree_multiplies_or_is_refused_by_name(
    style: str, changes: list[tuple[str, Any]], shape: tuple[int, int], seed: int
) -> None:
    event(build_and_multiply(changes, STYLES[style], shape, seed))


@pytest.mark.slow
@fuzzed(5000)
def test_more_trees(style: str, changes: list[tuple[str, Any]], shape: tuple[int, int], seed: int) -> None:
    event(build_and_multiply(changes, STYLES[style], shape, seed))
