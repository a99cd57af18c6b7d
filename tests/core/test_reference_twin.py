"""The library against the slow twin of the specification, on random hardware that no recorded case covers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_hardware import STYLES, hardware
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from reference_twin import Twin

from crossohm import AnalogCore
from crossohm.chain import Dense, lower, multiply

RELATIVE = 1e-9


@st.composite
def weight_settings(draw: Any, style: str) -> dict[str, Any]:
    """Mapping and cells."""
    found = dict(STYLES[style])
    found["xbar.device.infinite_on_off_ratio"] = draw(st.booleans())
    found["xbar.device.Rmax"] = draw(st.sampled_from([2500.0, 1e4, 1e6]))
    if style.startswith("sliced"):
        bits, slices = draw(st.sampled_from([(4, 2), (5, 2), (7, 3), (8, 2), (8, 3), (8, 4), (3, 1)]))
        found |= {"core.weight_bits": bits, "core.bit_sliced.num_slices": slices}
    else:
        found["xbar.device.cell_bits"] = draw(st.sampled_from([0, 2, 3, 6]))
    found |= draw(
        st.sampled_from(
            [
                {},
                {"core.mapping.weights.percentile": 0.9},
                {"core.mapping.weights.percentile": 1.3},
                {
                    "core.mapping.weights.percentile": None,
                    "core.mapping.weights.min": -1.0,
                    "core.mapping.weights.max": 0.6,
                },
            ]
        )
    )
    found |= draw(st.sampled_from([{}, {"xbar.array.Icol_max": 0.7}]))
    found |= draw(st.sampled_from([{}, {"core.rows_max": 3, "core.cols_max": 4}, {"core.rows_max": 4}]))
    if "core.rows_max" in found:
        found["core.mapping.weights.col_partition_strategy"] = draw(st.sampled_from(["MAX", "EQUAL"]))
    return found


@st.composite
def converter_settings(draw: Any, style: str, weights: dict[str, Any], op: str) -> dict[str, Any]:
    """Input range, DAC, input slices and ADC of one operation."""
    found: dict[str, Any] = {}
    dac = draw(st.sampled_from(["ideal", "signed", "unsigned", "sign-magnitude"]))
    unsigned = dac == "unsigned"
    fixed = [{"min": 0.0, "max": 2.0}, {"min": 0.5, "max": 2.0}] if unsigned else [{"min": -2.0, "max": 2.0}]
    if dac == "signed":
        fixed += [{"min": -0.5, "max": 2.0}, {"min": -3.0, "max": 1.0}]
    ranges = [*fixed, {"percentile": 1.0}, {"percentile": 0.8}]
    chosen = draw(st.sampled_from(ranges))
    found |= {f"core.mapping.inputs.{op}.{name}": value for name, value in chosen.items()}
    if "percentile" in chosen:
        found[f"core.mapping.inputs.{op}.percentile_scope"] = draw(st.sampled_from(["call", "vector"]))
        found |= {f"core.mapping.inputs.{op}.min": None, f"core.mapping.inputs.{op}.max": None}
    else:
        found[f"core.mapping.inputs.{op}.clipping"] = draw(st.booleans())
    sliced = False
    if dac != "ideal":
        sliced = dac != "signed" and draw(st.booleans())
        found |= {
            f"xbar.dac.{op}.model": "SignMagnitudeDAC" if dac == "sign-magnitude" else "QuantizerDAC",
            f"xbar.dac.{op}.bits": draw(st.integers(2, 8)),
            f"xbar.dac.{op}.signed": not unsigned,
            f"xbar.dac.{op}.input_bitslicing": sliced,
            f"xbar.dac.{op}.slice_size": draw(st.integers(1, 3)),
        }
    if draw(st.integers(0, 4)):
        found |= draw(adc_settings(style, weights, op, sliced, unsigned))
    return found


@st.composite
def adc_settings(
    draw: Any, style: str, weights: dict[str, Any], op: str, sliced: bool, unsigned: bool
) -> dict[str, Any]:
    per_slice = sliced and draw(st.booleans())
    has_step = style.startswith("sliced") or bool(weights.get("xbar.device.cell_bits"))
    options = ["CALIBRATED", "MAX"] + (["GRANULAR"] if per_slice and has_step else [])
    option = draw(st.sampled_from(options))
    found: dict[str, Any] = {
        f"xbar.adc.{op}.bits": draw(st.sampled_from([2, 3, 5, 8, 12])),
        f"xbar.adc.{op}.adc_per_ibit": per_slice,
        f"xbar.adc.{op}.adc_range_option": option,
    }
    pair_difference = (
        "offset" not in style
        and "column" not in style
        and (style.startswith("sliced") or style != "digital-subtraction")
    )
    bipolar = not unsigned or pair_difference
    symmetric = bipolar
    if option == "CALIBRATED":
        pairs = draw(st.sampled_from([[[-1.5, 1.5]], [[-0.4, 2.0]], [[0.1, 1.9]]]))
        symmetric = pairs == [[-1.5, 1.5]]
        count = weights.get("core.bit_sliced.num_slices", 1)
        ranges = [[low * 2.0**-i, high * 2.0**-i] for i in range(count) for low, high in pairs]
        found[f"xbar.adc.{op}.calibrated_range"] = ranges if style.startswith("sliced") else pairs[0]
    models = ["QuantizerADC", "SignMagnitudeADC"] if symmetric else ["QuantizerADC"]
    found[f"xbar.adc.{op}.model"] = draw(st.sampled_from(models))
    return found


@st.composite
def problems(draw: Any, style: str) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]:
    weights = draw(weight_settings(style))
    found = {**weights, **draw(converter_settings(style, weights, "mvm"))}
    if draw(st.booleans()):
        apart = {"xbar.adc.match": False, "xbar.dac.match": False, "core.mapping.inputs.match": False}
        found = {**apart, **found, **draw(converter_settings(style, weights, "vmm"))}
    else:
        found |= {path.replace(".mvm.", ".vmm."): value for path, value in found.items() if ".mvm." in path}
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    m, n = draw(st.integers(1, 9)), draw(st.integers(1, 10))
    x, z = rng.uniform(-2.2, 2.2, (3, n)), rng.uniform(-2.2, 2.2, (3, m))
    if not found.get("xbar.dac.mvm.signed", True):
        x = np.abs(x)
    if not found.get("xbar.dac.vmm.signed", True):
        z = np.abs(z)
    return found, rng.uniform(-1, 1, (m, n)), x, z


class CurrentsTap:
    """Keeps everything that passes the ADC inputs, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, np.ndarray]] = []

    def xbar_inputs(self, x: Any, operation: str, constants: int) -> None:
        pass

    def adc_inputs(self, currents: np.ndarray, operation: str, partition: int, plane: int = 0) -> None:
        self.seen.append((partition, currents.copy()))


def without_match(found: dict[str, Any]) -> dict[str, Any]:
    """Paths for the library: where the sides match, one of them is enough."""
    if "xbar.adc.match" in found:
        return found
    return {path: value for path, value in found.items() if ".vmm." not in path}


def expected_taps(traces: list[Any]) -> list[tuple[int, np.ndarray]]:
    """What a tap must see: per input partition and input slice, ``(batch, banks, lines)``."""
    keys = sorted({(c, k) for c, _, k in traces[0].adc_inputs})
    banks = {c: 1 + max(n for other, n, _ in traces[0].adc_inputs if other == c) for c, _ in keys}
    return [(c, np.stack([[trace.adc_inputs[c, n, k] for n in range(banks[c])] for trace in traces])) for c, k in keys]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("style", list(STYLES))
@settings(max_examples=60)
@given(data=st.data())
def test_core_does_what_the_specification_says(style: str, data: Any) -> None:
    found, matrix, x, z = data.draw(problems(style))
    core = AnalogCore(matrix, hardware(without_match(found)), seed=3)
    twin = Twin(found, matrix, core.NrowsVec, core.NcolsVec)
    np.testing.assert_allclose(core.get_matrix(), twin.stored_matrix(), rtol=0, atol=1e-12)
    for op, vectors, result in (("mvm", x, core @ x.T), ("vmm", z, z @ core)):
        traces = [twin.multiply(vector, op, vectors) for vector in vectors]
        y = np.stack([trace.y for trace in traces])
        doubt = np.stack([trace.doubt for trace in traces])
        assume(np.mean(doubt > 0) < 0.5)
        event("near ties" if np.any(doubt) else "no ties")
        actual = result.T if op == "mvm" else result
        scale = np.abs(matrix).sum() * 3
        assert np.all(np.abs(actual - y) <= doubt * (1 + 1e-6) + RELATIVE * scale)
        block = core.blocks[0]
        plan = lower(block.record, block.params, op, Dense(vectors.shape[1]), vectors, tapped=True)
        tap = CurrentsTap()
        tapped = multiply(plan, vectors, None, tap)
        assert np.all(np.abs(tapped - y) <= doubt * (1 + 1e-6) + RELATIVE * scale)
        expected = expected_taps(traces)
        assert [place for place, _ in tap.seen] == [place for place, _ in expected]
        for (_, seen), (_, wanted) in zip(tap.seen, expected, strict=True):
            np.testing.assert_allclose(seen, wanted, rtol=0, atol=1e-11)


def test_twin_reproduces_the_published_table() -> None:
    """The twin itself, on the values of the specification's section 11."""
    matrix, x = np.array([[0.5, -1, 0.25], [0.1, 0, -0.75]]), np.array([0.8, -0.6, 0.3])
    cases = [
        ({}, [1.075, -0.145]),
        ({"xbar.device.cell_bits": 3}, [1.1428571, -0.1]),
        ({"core.style": "OFFSET", "xbar.device.cell_bits": 4}, [1.1428571, -0.1]),
        ({"core.style": "BITSLICED", "core.weight_bits": 5}, [1.1066667, -0.1133333]),
        (
            {"core.style": "BITSLICED", "core.weight_bits": 4, "core.bit_sliced.style": "OFFSET"},
            [1.1428571, -0.1],
        ),
        (
            {
                "xbar.adc.mvm.model": "SignMagnitudeADC",
                "xbar.adc.mvm.bits": 5,
                "xbar.adc.mvm.calibrated_range": [-2, 2],
            },
            [1.0370370, -0.1481481],
        ),
    ]
    for found, expected in cases:
        trace = Twin(found, matrix, [2], [3]).multiply(x, "mvm")
        np.testing.assert_allclose(trace.y, expected, atol=1e-7)
