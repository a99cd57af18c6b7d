"""Wire resistance through the core: every mapping and operation against the networks of its physical arrays."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np
import pytest
import torch
from core_hardware import STYLES, core_on, hardware

from crossohm import AnalogCore, CrossOhmError, ParameterError, UnsupportedError
from crossohm.backends import backend_of
from crossohm.circuits.grid import Wires, effective_matrix, ladder, ladder_currents, newton, reduction, sensitivity
from crossohm.mapping import build_mapping

RNG = np.random.default_rng(11)
MATRIX = RNG.normal(size=(9, 13))
X, Z = RNG.uniform(-1, 1, (13, 5)), RNG.uniform(-1, 1, (5, 9))
WIRES = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 3.0,
    "xbar.array.parasitics.Rp_col": 5.0,
    "xbar.array.parasitics.Rp_row_terminal": 20.0,
    "xbar.array.parasitics.Rp_col_terminal": 10.0,
}
PARTS = {"core.rows_max": 5, "core.cols_max": 4}


def expected(core: AnalogCore, operation: str) -> np.ndarray:
    """The matrix the core represents in an operation, network by network, for mappings without unit lines."""
    r_min = core.params.xbar.device.Rmin
    wires = Wires(3 / r_min, 5 / r_min, 20 / r_min, 10 / r_min)
    mapping, record = build_mapping(core.params), core.blocks[0].record
    orient: Callable[[np.ndarray], np.ndarray] = (lambda g: g) if operation == "mvm" else np.transpose
    effective = np.array(record.conductance)
    for rows in record.row_parts:
        for columns in record.column_parts:
            for s in range(effective.shape[0]):
                pair = [orient(g) for g in record.conductance[s, :, rows, columns]]
                w = wires if operation == "mvm" else wires.mirrored
                if core.params.core.balanced.interleaved_posneg:
                    found = [effective_matrix(np.stack(pair), w), np.zeros_like(pair[0])]
                else:
                    found = [effective_matrix(g[None], w) for g in pair]
                effective[s, :, rows, columns] = np.stack([orient(t) for t in found])
    return mapping.decode(effective) * core.max


@pytest.mark.parametrize("partitions", [{}, PARTS], ids=["one array", "partitions"])
@pytest.mark.parametrize("style", [name for name in STYLES if "unit" not in name])
def test_both_operations_are_those_of_the_networks(style: str, partitions: dict[str, int]) -> None:
    core = core_on(MATRIX, STYLES[style], WIRES, partitions)
    np.testing.assert_allclose(core @ X, expected(core, "mvm") @ X, rtol=0, atol=1e-11)
    np.testing.assert_allclose(Z @ core, Z @ expected(core, "vmm"), rtol=0, atol=1e-11)
    assert np.abs(core @ X - MATRIX @ X).max() > 1e-3  # the wires matter here
    np.testing.assert_allclose(
        core.get_matrix(), core_on(MATRIX, STYLES[style], partitions).get_matrix(), rtol=1e-12
    )  # fmt: skip


@pytest.mark.parametrize("style", ["unit-column", "sliced-unit-column"])
def test_a_unit_line_is_part_of_the_network(style: str) -> None:
    """It lies before the outputs of its array, so it is the first line an input line meets."""
    core = core_on(MATRIX, STYLES[style], WIRES)
    r_min = core.params.xbar.device.Rmin
    wires, record = Wires(3 / r_min, 5 / r_min, 20 / r_min, 10 / r_min), core.blocks[0].record
    total = np.zeros_like(X[:9])
    for s, coefficient in enumerate(build_mapping(core.params).coefficients[:, 0]):
        lines = np.concatenate([record.units["mvm"][s], record.conductance[s, 0]])
        currents = effective_matrix(lines[None], wires) @ X
        total += coefficient * (currents[1:] - currents[:1])
    np.testing.assert_allclose(core @ X, total * core.max, rtol=0, atol=1e-11)


def test_slices_without_wires() -> None:
    style = STYLES["sliced-balanced"]
    skipped = core_on(MATRIX, style, WIRES, {"xbar.array.parasitics.disable_slices": [0, 1, 2]})
    np.testing.assert_allclose(skipped @ X, core_on(MATRIX, style) @ X, rtol=0, atol=1e-11)
    some = core_on(MATRIX, style, WIRES, {"xbar.array.parasitics.disable_slices": [2]})
    distances = [np.abs(core @ X - MATRIX @ X).max() for core in (core_on(MATRIX, style, WIRES), some)]
    assert distances[1] < distances[0]


@pytest.mark.parametrize("adc", [False, True])
def test_every_array_library_agrees(adc: bool) -> None:
    params = hardware(WIRES, PARTS)
    if adc:
        params.update({"xbar.adc.mvm": {"model": "QuantizerADC", "bits": 8, "adc_range_option": "MAX"}})
    core = AnalogCore(MATRIX, params, seed=1)
    y = core @ X
    np.testing.assert_allclose((core @ torch.tensor(X)).numpy(), y, rtol=0, atol=1e-12)
    with jax.enable_x64(True):
        jitted = jax.jit(lambda x: core @ x)
        np.testing.assert_allclose(np.asarray(jitted(jax.numpy.asarray(X))), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("style", ["balanced", "interleaved"])
def test_inputs_on_an_accelerator_take_the_elimination_there(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = core_on(MATRIX, STYLES[style], WIRES, PARTS) @ X
    monkeypatch.setattr(type(backend_of(torch.ones(1))), "on_accelerator", lambda *_: True)
    eliminated: list[type] = []

    def watched(g: Any, *rest: Any) -> Any:
        eliminated.append(type(g))
        return effective_matrix(g, *rest)

    monkeypatch.setattr("crossohm.chain.lowering.wires.effective_matrix", watched)
    found = core_on(MATRIX, STYLES[style], WIRES, PARTS) @ torch.as_tensor(X)
    np.testing.assert_allclose(found, host, rtol=1e-12, atol=1e-13)
    assert set(eliminated) == {torch.Tensor}


def test_writing_renews_the_network() -> None:
    core = core_on(MATRIX, WIRES)
    before = core @ X
    core[2, 3] = 0.0
    fresh = AnalogCore(core.get_matrix(), core.params, seed=1)
    assert np.abs(core @ X - before).max() > 0
    np.testing.assert_allclose(core @ X, fresh @ X, rtol=0, atol=1e-9)


def test_current_limit_acts_after_the_wires() -> None:
    limited = core_on(MATRIX, WIRES, {"xbar.array.Icol_max": 0.4}, {"core.balanced.interleaved_posneg": True})
    free = core_on(MATRIX, WIRES, {"core.balanced.interleaved_posneg": True})
    unit = free.max / free.params.xbar.device.Grange_norm
    np.testing.assert_allclose(limited @ X, np.clip(free @ X, -0.4 * unit, 0.4 * unit), rtol=0, atol=1e-11)


def test_explain_says_how_wires_are_solved() -> None:
    assert "eliminated once (exact)" in str(core_on(MATRIX, WIRES).explain())


LAW = {
    "xbar.device.nonlinear_IV": {"enable": True, "model": "CubicDevice"},
    "xbar.device.Vread": 1.0,
}


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("style", ["balanced", "interleaved", "offset", "unit-column", "sliced-balanced"])
def test_nonlinear_cells_on_wires(style: str, gated: bool) -> None:
    """Vanishing wires leave the nonlinear cells, vanishing read voltage leaves the linear network."""
    matrix, x = MATRIX[:4, :6], X[:6, :2]
    inputs = GATED if gated else {}
    small = {**WIRES, **{path: 1e-6 for path in WIRES if "Rp_" in path}}
    wireless = core_on(matrix, STYLES[style], LAW, GATED_INPUTS if gated else {})
    np.testing.assert_allclose(core_on(matrix, STYLES[style], small, LAW, inputs) @ x, wireless @ x, rtol=0, atol=1e-6)
    weak, linear = (
        core_on(matrix, STYLES[style], WIRES, inputs, law) for law in (LAW | {"xbar.device.Vread": 1e-4}, {})
    )
    np.testing.assert_allclose(weak @ x, linear @ x, rtol=0, atol=1e-7)
    both = core_on(matrix, STYLES[style], WIRES, LAW, inputs) @ x
    assert np.abs(both - linear @ x).max() > 1e-3
    assert np.abs(both - wireless @ x).max() > 1e-3


NOISE = {"xbar.device.read_noise": {"enable": True, "model": "NormalProportionalDevice", "magnitude": 0.02}}


@pytest.mark.parametrize("style", ["balanced", "interleaved", "offset", "unit-column"])
@pytest.mark.parametrize("gated", [False, True])
def test_read_noise_on_wires_is_a_network_per_vector(style: str, gated: bool) -> None:
    """To first order the noise of ``T v`` is that of the cells through the network's own sensitivities."""
    matrix, x = MATRIX[:3, :4], X[:4, :1]
    changes = (STYLES[style], WIRES, GATED if gated else {})
    silent, noisy = core_on(matrix, *changes), core_on(matrix, *changes, NOISE)
    calm = core_on(matrix, *changes, NOISE, {"xbar.device.read_noise.magnitude": 1e-12})
    np.testing.assert_allclose(calm @ x, silent @ x, rtol=0, atol=1e-9)
    draws = noisy @ np.repeat(x, 3000, axis=1)
    spread = draws.std(axis=1)
    assert np.all(spread > 0)
    assert np.all(np.abs(draws.mean(axis=1) - (silent @ x)[:, 0]) < 5 * spread / np.sqrt(3000) + 2e-3 * spread.max())
    wireless = core_on(matrix, STYLES[style], NOISE, GATED_INPUTS if gated else {}) @ np.repeat(x, 3000, axis=1)
    ratio = spread / wireless.std(axis=1)
    assert np.all((ratio > 0.8) & (ratio < 1.1))  # wires attenuate currents and their noise by a few per cent


GATED = {
    "xbar.array.parasitics.current_from_input": False,
    "xbar.dac.mvm": {"model": "SignMagnitudeDAC", "bits": 4, "input_bitslicing": True},
}
GATED_INPUTS = {"xbar.dac": {"mvm": GATED["xbar.dac.mvm"]}}


def ladder_twin(core: AnalogCore, x: np.ndarray, unused_at: Literal["top", "bottom"]) -> np.ndarray:
    """One column of ``core @ x`` for gated pairs on one array, slice by slice and line by line."""
    params, record = core.params, core.blocks[0].record
    r_min = params.xbar.device.Rmin
    wires = Wires(3 / r_min, 5 / r_min, 20 / r_min, 10 / r_min)
    spare = max(params.core.rows_max - core.ncol, 0)
    code = np.rint(np.abs(x) * 7).astype(int)
    total = np.zeros(core.nrow)
    for bit in range(3):
        v = np.sign(x) * ((code >> bit) & 1)
        for s, coefficients in enumerate(build_mapping(params).coefficients):
            g = record.conductance[s]
            if params.core.balanced.interleaved_posneg:
                currents = coefficients[0] * ladder_currents(g, v[None], wires, spare, unused_at)[0]
            else:
                pairs = zip(coefficients, g, strict=True)
                currents = sum(c * ladder_currents(one[None], v[None], wires, spare, unused_at)[0] for c, one in pairs)
            total += currents * 2**bit / 7
    return total * core.max


@pytest.mark.parametrize("rows_max", [0, 20])
@pytest.mark.parametrize("unused_at", ["top", "bottom"])
@pytest.mark.parametrize("style", ["balanced", "two-sided", "interleaved", "sliced-balanced"])
def test_gate_selected_rows(style: str, unused_at: Literal["top", "bottom"], rows_max: int) -> None:
    changes = {"core.rows_max": rows_max, "xbar.array.parasitics.selected_rows": unused_at}
    core = core_on(MATRIX, STYLES[style], WIRES, GATED, changes)
    expected_columns = [ladder_twin(core, x, unused_at) for x in X.T]
    np.testing.assert_allclose(core @ X, np.stack(expected_columns, axis=1), rtol=0, atol=1e-10)
    np.testing.assert_allclose((core @ torch.tensor(X)).numpy(), core @ X, rtol=0, atol=1e-12)


@pytest.mark.parametrize("style", STYLES)
def test_gates_without_resistance_are_ideal(style: str) -> None:
    """Supply-line resistance tending to zero leaves the sliced product, for every mapping and both operations."""
    small = {**WIRES, **{path: 1e-7 for path in WIRES if "Rp_" in path}}
    gated, ideal = (
        core_on(MATRIX, STYLES[style], small, GATED),
        core_on(MATRIX, STYLES[style], {"xbar.dac": {"mvm": GATED["xbar.dac.mvm"]}}),
    )
    np.testing.assert_allclose(gated @ X, ideal @ X, rtol=0, atol=1e-6)
    np.testing.assert_allclose(Z @ gated, Z @ ideal, rtol=0, atol=1e-6)


def test_gates_are_refused_while_jax_traces() -> None:
    core = core_on(MATRIX, WIRES, GATED)
    with pytest.raises(UnsupportedError, match=r"xbar\.array\.parasitics\.current_from_input"):
        jax.jit(lambda x: core @ x)(jax.numpy.asarray(X))


SOLVERS = {
    "input-source": ({}, "chain.lowering.wires.effective_matrix", ()),
    "noise": (
        {**NOISE, "xbar.device.read_noise.magnitude": 1e-9},
        "circuits.grid.sensitivity.effective_matrix",  # of vectors for which iteration does not converge
        (reduction, "RESIDUAL", -1.0),
    ),
    "gated": (
        {**GATED, "xbar.dac.vmm": GATED["xbar.dac.mvm"]},
        "chain.running.circuit_readout.ladder_currents",
        (ladder, "RESIDUAL", -1.0),
    ),
    "nonlinear": (LAW, "chain.running.circuit_readout.cell_currents", (newton, "MOST_STEPS", 0)),
}


@pytest.mark.parametrize("operation", ["mvm", "vmm"])
@pytest.mark.parametrize("style", ["balanced", "interleaved", "unit-column", "sliced-balanced"])
@pytest.mark.parametrize("kind", SOLVERS)
def test_a_failed_solve_names_the_array(kind: str, style: str, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, solver, limit = SOLVERS[kind]
    params = hardware(STYLES[style], WIRES, changes, {"core.rows_max": 3, "core.cols_max": 2})
    core = AnalogCore(MATRIX[:4, :6], params, seed=1, name="fc1")
    culprit = next(array for array in reversed(core.arrays) if array.partition == (1, 0))
    cells = culprit.conductance if operation == "mvm" else culprit.conductance.T
    module, name = f"crossohm.{solver}".rsplit(".", 1)
    solve = getattr(sys.modules[module], name)

    def checked(g: np.ndarray, *rest: object) -> np.ndarray:
        if g.ndim == 4:  # several arrays at once: spoil the one
            found = [np.allclose(one[-1, -len(cells) :], cells, rtol=0, atol=1e-6) for one in g]
            return solve(np.where(np.reshape(found, (-1, 1, 1, 1)), np.nan, g), *rest)
        with monkeypatch.context() as patch:
            if np.allclose(g[-1, -len(cells) :], cells, rtol=0, atol=1e-6):
                patch.setattr(*limit)
            return solve(g, *rest)

    monkeypatch.setattr(sys.modules[module], name, checked)
    monkeypatch.setattr(sensitivity, "MOST_STEPS", 0)
    array = culprit.name.removesuffix("-") + "+-" if style == "interleaved" else culprit.name
    product = "core @ x" if operation == "mvm" else "x @ core"
    size = r"\d outputs x \d inputs.*Wires\(input="
    with pytest.raises(CrossOhmError, match=f"^{re.escape(array)}, {product}: .*{size}"):
        _ = core @ X[:6, 0] if operation == "mvm" else Z[0, :4] @ core


@pytest.mark.parametrize("style", ["balanced", "interleaved", "unit-column", "sliced-balanced"])
def test_every_partition_is_a_network_of_its_own_for_every_vector(style: str) -> None:
    """Arrays solved vector by vector (noise, nonlinear cells) tend to those eliminated once."""
    silent = core_on(MATRIX, STYLES[style], WIRES, PARTS)
    calm = core_on(MATRIX, STYLES[style], WIRES, PARTS, NOISE, {"xbar.device.read_noise.magnitude": 1e-12})
    weak = core_on(MATRIX, STYLES[style], WIRES, PARTS, LAW, {"xbar.device.Vread": 1e-4})
    for core, limit in ((calm, 1e-8), (weak, 1e-6)):
        np.testing.assert_allclose(core @ X, silent @ X, rtol=0, atol=limit)
        np.testing.assert_allclose(Z @ core, Z @ silent, rtol=0, atol=limit)


FIRST_ORDER = {"simulation.read_noise_sampling": "first_order"}


@pytest.mark.parametrize("style", ["balanced", "interleaved", "unit-column", "sliced-balanced"])
@pytest.mark.parametrize("operation", ["mvm", "vmm"])
def test_first_order_noise_misses_what_is_quadratic(style: str, operation: str) -> None:
    """Both modes draw the same numbers from a generator, so that they can be compared vector by vector."""
    x = {"mvm": np.repeat(X[:, :1], 40, axis=1), "vmm": np.repeat(Z[:1], 40, axis=0)}[operation]

    def products(magnitude: float, sampling: dict[str, str]) -> np.ndarray:
        changes = (STYLES[style], WIRES, PARTS, NOISE, {"xbar.device.read_noise.magnitude": magnitude}, sampling)
        core, rng = core_on(MATRIX, *changes), np.random.default_rng(5)
        return np.asarray(core.matmul(x, rng=rng) if operation == "mvm" else core.rmatmul(x, rng=rng))

    errors = [np.abs(products(m, FIRST_ORDER) - products(m, {})).max() for m in (0.01, 0.02)]
    assert 0 < errors[1] < 0.02 * products(0.02, {}).std(axis=1 if operation == "mvm" else 0).max()
    assert errors[1] / errors[0] == pytest.approx(4, rel=0.2)


def test_first_order_noise_without_wires_is_exact() -> None:
    first, auto = (core_on(MATRIX, NOISE, sampling) for sampling in (FIRST_ORDER, {}))
    rngs = np.random.default_rng(6), np.random.default_rng(6)
    np.testing.assert_array_equal(first.matmul(X, rng=rngs[0]), auto.matmul(X, rng=rngs[1]))
    assert "to first order" in str(core_on(MATRIX, WIRES, NOISE, FIRST_ORDER).explain())


def test_first_order_noise_takes_torch_and_single_precision() -> None:
    core = core_on(MATRIX.astype(np.float32), WIRES, NOISE, FIRST_ORDER)
    y = core @ torch.tensor(X, dtype=torch.float32)
    assert y.dtype == torch.float32
    silent = core_on(MATRIX, WIRES) @ X
    assert 1e-4 < np.abs(y.numpy() - silent).max() < 0.5


@pytest.mark.parametrize("changes", [GATED, LAW])
def test_first_order_noise_needs_one_linear_network(changes: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=r"simulation\.read_noise_sampling = 'first_order'.*not available"):
        core_on(MATRIX, WIRES, NOISE, FIRST_ORDER, changes)
