"""Laws of a core that the public reference breaks.

The marker `reference_defect` has the row of the specification's table in section 10; laws that belong elsewhere carry
it there.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from core_hardware import INFINITE, STYLES, core_on, hardware

from crossohm import AnalogCore, CrossOhmError, CrossSimParameters, InputError, ParameterError
from crossohm.params import SimulationParameters

RNG = np.random.default_rng(21)
A = RNG.uniform(-1, 1, (5, 6))
X = RNG.uniform(-1, 1, (6, 4))
Z = RNG.uniform(-1, 1, (4, 5))
EVERY_STYLE = pytest.mark.parametrize("style", list(STYLES))
READ_NOISE = {
    "xbar.device.read_noise.enable": True,
    "xbar.device.read_noise.model": "NormalIndependentDevice",
    "xbar.device.read_noise.magnitude": 1e-3,
}
MAX8 = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8, "xbar.adc.mvm.adc_range_option": "MAX"}
SLICED_INPUTS = {
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 5,
    "xbar.dac.mvm.input_bitslicing": True,
}
UNSIGNED = {"xbar.dac.mvm.model": "QuantizerDAC", "xbar.dac.mvm.signed": False}


@pytest.mark.reference_defect("Q02")
def test_hardware_is_validated_when_a_core_is_built() -> None:
    params = hardware(MAX8, {"xbar.adc.mvm.adc_range_option": "GRANULAR"})
    with pytest.raises(ParameterError, match=r"xbar\.adc\.mvm\.adc_range_option"):
        AnalogCore(A, params)


@pytest.mark.reference_defect("Q03")
def test_a_group_assigned_whole_belongs_to_the_tree() -> None:
    params = CrossSimParameters()
    params.simulation = SimulationParameters()
    np.testing.assert_allclose(AnalogCore(A, params) @ X, A @ X, atol=1e-13)
    params.xbar.adc.match = False
    params.xbar.adc.vmm.model = "SarADC"
    params.xbar.adc.vmm.bits = 4
    params.xbar.adc.vmm.adc_range_option = "MAX"
    core = AnalogCore(A, params)
    np.testing.assert_allclose(core @ X, A @ X, atol=1e-13)
    assert np.max(np.abs(Z @ core - Z @ A)) > 1e-3


@pytest.mark.reference_defect("Q04")
def test_weight_bits_of_unsliced_weights_warns() -> None:
    with pytest.warns(UserWarning, match=r"core\.weight_bits"):
        AnalogCore(A, hardware({"core.weight_bits": 8, "xbar.device.cell_bits": 3}))


@pytest.mark.reference_defect("Q05")
def test_inputs_are_clipped_where_asked_also_with_an_ideal_dac() -> None:
    clipping = {"core.mapping.inputs.mvm.min": -0.5, "core.mapping.inputs.mvm.max": 0.25}
    core = core_on(A, clipping, {"core.mapping.inputs.mvm.clipping": True})
    np.testing.assert_allclose(core @ X, A @ np.clip(X, -0.5, 0.25), atol=1e-13)
    np.testing.assert_allclose(core_on(A, clipping) @ X, A @ X, atol=1e-13)


@pytest.mark.reference_defect("Q08")
def test_the_adc_model_can_be_changed_and_changed_back() -> None:
    params = hardware(MAX8)
    results = []
    for model in ("RampADC", "SarADC", "PipelineADC", "CyclicADC", "QuantizerADC", "RampADC"):
        params.xbar.adc.mvm.model = model
        results.append(AnalogCore(A, params, seed=0) @ X)
    np.testing.assert_array_equal(results[0], results[-1])


@pytest.mark.reference_defect("Q10")
def test_later_changes_of_the_parameters_do_not_reach_the_core() -> None:
    params = hardware(MAX8)
    core = AnalogCore(A, params, seed=0)
    before = core @ X
    params.xbar.adc.mvm.bits = 2
    params.core.style = "OFFSET"
    core.set_matrix(A)
    np.testing.assert_array_equal(core @ X, before)
    assert core.params.xbar.adc.mvm.bits == 8


@EVERY_STYLE
@pytest.mark.reference_defect("Q15")
def test_column_vectors_and_lists_with_partitions(style: str) -> None:
    core = core_on(A, STYLES[style], {"core.rows_max": 2, "core.cols_max": 2})
    stored = core.get_matrix()
    assert core.matvec(X[:, :1]).shape == (5, 1)
    assert core.T.matvec(Z[:1].T).shape == (6, 1)
    np.testing.assert_allclose(core.matvec(X[:, :1]), stored @ X[:, :1], atol=1e-12)
    np.testing.assert_allclose(core.matvec(X[:, 0].tolist()), stored @ X[:, 0], atol=1e-12)
    np.testing.assert_allclose(core.vecmat(Z[0].tolist()), Z[0] @ stored, atol=1e-12)
    np.testing.assert_allclose(core.matmat(X.tolist()), stored @ X, atol=1e-12)


@pytest.mark.reference_defect("Q16")
def test_numpy_functions_run_the_analog_path() -> None:
    core = core_on(A, MAX8)
    np.testing.assert_array_equal(np.matmul(core, X), core @ X)
    np.testing.assert_array_equal(np.dot(core, X), core @ X)
    np.testing.assert_array_equal(np.matmul(Z, core), Z @ core)
    np.testing.assert_array_equal(np.dot(Z, core), Z @ core)
    np.testing.assert_array_equal(np.matmul(core.T, Z.T), core.T @ Z.T)
    assert np.max(np.abs(core @ X - A @ X)) > 1e-4
    with pytest.raises(TypeError):
        np.add(core, 1.0)
    with pytest.raises(TypeError):
        core + 1.0  # type: ignore[operator]
    assert np.asarray(core, dtype="float32", copy=True).dtype == np.float32


@EVERY_STYLE
@pytest.mark.parametrize("noise", [{}, READ_NOISE, {**READ_NOISE, "simulation.read_noise_sampling": "explicit"}])
@pytest.mark.parametrize("converter", [{}, {**MAX8, "xbar.adc.mvm.model": "RampADC"}], ids=["ideal", "ramp"])
@pytest.mark.reference_defect("Q17")
def test_stacks_of_any_depth(style: str, noise: dict[str, Any], converter: dict[str, Any]) -> None:
    """Every vector of a stack meets the same hardware, whatever axes surround it; also on square matrices."""
    a = RNG.uniform(-1, 1, (4, 4))
    core = core_on(a, STYLES[style], noise, converter)
    x = RNG.uniform(-1, 1, (2, 3, 4, 5))
    y, left, turned = core @ x, x[..., :4] @ core, core.T @ x
    flat = (core @ np.moveaxis(x, -2, 0).reshape(4, -1)).reshape(4, 2, 3, 5)
    tolerance = 0.15 if noise else 1e-12
    lsb = 0.5 if converter else 0.0
    np.testing.assert_allclose(y, np.moveaxis(flat, 0, -2), atol=max(tolerance, lsb))
    if not converter:
        stored = core.get_matrix()
        np.testing.assert_allclose(y, stored @ x, atol=tolerance)
        np.testing.assert_allclose(left, x[..., :4] @ stored, atol=tolerance)
        np.testing.assert_allclose(turned, stored.T @ x, atol=tolerance)


@pytest.mark.reference_defect("Q17")
def test_complex_stacks() -> None:
    a = A + 1j * A[::-1]
    x = RNG.normal(size=(2, 3, 6, 2)) + 1j * RNG.normal(size=(2, 3, 6, 2))
    core = core_on(a, {"core.complex_matrix": True})
    np.testing.assert_allclose(core @ x, a @ x, atol=1e-12)
    np.testing.assert_allclose(np.swapaxes(x, -1, -2) @ core.T, np.swapaxes(x, -1, -2) @ a.T, atol=1e-12)


@pytest.mark.reference_defect("Q19")
def test_complex_inputs_of_a_real_core_are_refused() -> None:
    with pytest.raises(InputError, match=r"core\.complex_input"):
        core_on(A) @ (X + 1j)
    with pytest.raises(InputError, match=r"core\.complex_matrix"):
        AnalogCore(A + 1j)


@EVERY_STYLE
@pytest.mark.reference_defect("Q20")
def test_double_precision_stays_double(style: str) -> None:
    matrix = np.rint(A * 127)
    matrix[0, 0] = 127
    core = core_on(matrix / 3, STYLES[style])
    np.testing.assert_allclose(core.get_matrix(), matrix / 3, rtol=0, atol=1e-12)
    assert core.blocks[0].record.conductance.dtype == np.float64


@pytest.mark.reference_defect("Q21")
def test_a_range_per_vector_does_not_depend_on_batching() -> None:
    inputs = {"core.mapping.inputs.mvm.percentile": 0.9, "core.mapping.inputs.mvm.percentile_scope": "vector"}
    core = core_on(A, inputs, SLICED_INPUTS)
    singles = np.stack([core @ x for x in X.T], axis=1)
    np.testing.assert_allclose(core @ X, singles, atol=1e-14)


@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.0), (0.0, 1.0), (-2.0, 0.5)])
@pytest.mark.reference_defect("Q22")
def test_signed_inputs_never_exceed_full_scale(low: float, high: float) -> None:
    """Full scale is the larger limit: a DAC level beyond it would leave the ADC's MAX range."""
    dac = {
        "xbar.dac.mvm.model": "QuantizerDAC",
        "xbar.dac.mvm.bits": 4,
        "core.mapping.inputs.mvm.min": low,
        "core.mapping.inputs.mvm.max": high,
    }
    core = core_on(np.ones((1, 6)), dac, INFINITE, MAX8)
    with core.profile() as seen:
        for value in (low, high):
            y = core @ np.full(6, value)
            assert y[0] == pytest.approx(6 * value, abs=12 / 255 * max(-low, high) + 1e-9)
    assert max(abs(seen.adc["mvm", 0, 0].low), abs(seen.adc["mvm", 0, 0].high)) == pytest.approx(6)


@EVERY_STYLE
@pytest.mark.reference_defect("Q25")
def test_asymmetric_weight_ranges_have_no_gain_error(style: str) -> None:
    limits = {"core.mapping.weights.min": -0.5, "core.mapping.weights.max": 1.0}
    core = core_on(A, STYLES[style], limits)
    stored = core.get_matrix()
    np.testing.assert_allclose(stored, np.clip(A, -0.5, 1), atol=0.01)
    np.testing.assert_allclose(core @ X, stored @ X, atol=1e-12)
    np.testing.assert_allclose(Z @ core, Z @ stored, atol=1e-12)


@pytest.mark.parametrize("style", ["unit-column", "sliced-unit-column"])
@pytest.mark.parametrize("adc", [{}, {**MAX8, "xbar.adc.mvm.bits": 12}], ids=["ideal", "ADC"])
@pytest.mark.reference_defect("Q26")
def test_unit_lines_work_from_both_sides(style: str, adc: dict[str, Any]) -> None:
    core = core_on(A, STYLES[style], adc)
    stored = core.get_matrix()
    step = 40 * 10 / 4095 if adc else 1e-12
    np.testing.assert_allclose(Z @ core, Z @ stored, atol=step)
    np.testing.assert_allclose(Z[0] @ core, Z[0] @ stored, atol=step)
    np.testing.assert_allclose(core @ X, stored @ X, atol=step)


@pytest.mark.parametrize("style", ["offset", "unit-column"])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.reference_defect("Q27")
def test_quantised_offset_weights_have_no_gain_error(style: str, bits: int) -> None:
    core = core_on(A, STYLES[style], {"xbar.device.cell_bits": bits})
    stored = core.get_matrix()
    np.testing.assert_allclose(core @ X, stored @ X, atol=1e-12)
    np.testing.assert_allclose(core @ np.eye(6), stored, atol=1e-12)
    assert np.abs(stored).max() == pytest.approx(np.abs(A).max())


@pytest.mark.reference_defect("Q28")
def test_cell_bits_must_fit_the_slices() -> None:
    with pytest.raises(ParameterError, match=r"xbar\.device\.cell_bits"):
        core_on(A, STYLES["sliced-offset"], {"xbar.device.cell_bits": 5})
    core = core_on(A, STYLES["sliced-offset"], {"xbar.device.cell_bits": 2})
    np.testing.assert_array_equal(core.get_matrix(), core_on(A, STYLES["sliced-offset"]).get_matrix())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("bits", "slices"), [(8, 3), (5, 2), (7, 3), (8, 2), (6, 4)])
@pytest.mark.reference_defect("Q29")
def test_unit_lines_hold_the_offset_code_of_any_slicing(bits: int, slices: int) -> None:
    sizes = {"core.weight_bits": bits, "core.bit_sliced.num_slices": slices}
    style = {**STYLES["sliced-unit-column"], **sizes}
    try:
        core = core_on(A, style)
    except ParameterError:
        pytest.fail("a legitimate slicing was refused")
    digital = core_on(A, {**style, "core.offset.style": "DIGITAL_OFFSET"})
    np.testing.assert_allclose(core.get_matrix(), digital.get_matrix(), atol=1e-12)
    np.testing.assert_allclose(core @ X, digital @ X, atol=1e-12)
    assert np.max(np.abs(core.get_matrix() - A)) <= 0.5 / (2 ** (bits - 1) - 1) + 1e-9


@pytest.mark.parametrize("bits", [0, 1])
@pytest.mark.reference_defect("Q30")
def test_slices_need_weight_bits(bits: int) -> None:
    with pytest.raises(ParameterError, match=r"core\.weight_bits"):
        core_on(A, {"core.style": "BITSLICED", "core.weight_bits": bits})


@pytest.mark.reference_defect("Q31")
def test_slicing_needs_a_dac_with_codes() -> None:
    ideal = {"xbar.dac.mvm.bits": 4, "xbar.dac.mvm.input_bitslicing": True}
    with pytest.raises(ParameterError, match=r"xbar\.dac\.mvm"):
        core_on(A, ideal)
    with pytest.raises(ParameterError, match=r"xbar\.dac\.mvm"):
        core_on(A, ideal, {"xbar.dac.mvm.model": "QuantizerDAC"})
    with pytest.raises(ParameterError, match=r"xbar\.dac\.mvm\.bits"):
        core_on(A, {"xbar.dac.mvm.input_bitslicing": True, "xbar.dac.mvm.model": "SignMagnitudeDAC"})


@pytest.mark.reference_defect("Q32")
def test_unsigned_percentile_inputs_use_all_codes() -> None:
    core = core_on(np.eye(6), UNSIGNED, {"xbar.dac.mvm.bits": 4, "core.mapping.inputs.mvm.percentile": 1.0})
    x = np.linspace(0, 3, 301)
    seen = np.unique(np.round(core @ np.stack([x, *[np.full(301, 3.0)] * 5]), 9)[0])
    np.testing.assert_allclose(seen, np.linspace(0, 3, 16), atol=1e-9)


@EVERY_STYLE
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("per_slice", [True, False])
@pytest.mark.reference_defect("Q33")
def test_sliced_codes_of_a_range_above_zero(style: str, size: int, per_slice: bool) -> None:
    """The code is sliced, where the range starts is added digitally: the product of the quantised inputs."""
    inputs = {
        "xbar.dac.mvm.bits": 4,
        "xbar.dac.mvm.input_bitslicing": True,
        "xbar.dac.mvm.slice_size": size,
        "core.mapping.inputs.mvm.min": 0.5,
        "core.mapping.inputs.mvm.max": 2.0,
    }
    adc = {**MAX8, "xbar.adc.mvm.bits": 20, "xbar.adc.mvm.adc_per_ibit": True} if per_slice else {}
    core = core_on(A, STYLES[style], UNSIGNED, inputs, adc)
    x = RNG.uniform(0.3, 2.2, (6, 5))
    xq = 0.5 + np.rint((np.clip(x, 0.5, 2) - 0.5) * 15 / 1.5) * 1.5 / 15
    np.testing.assert_allclose(core @ x, core.get_matrix() @ xq, atol=2e-3 if per_slice else 1e-12)


@EVERY_STYLE
@pytest.mark.reference_defect("Q34")
def test_operations_have_their_own_converters(style: str) -> None:
    params = hardware(STYLES[style])
    for pair in (params.xbar.adc, params.xbar.dac):
        pair.match = False
    params.update({path.replace(".mvm.", ".vmm."): value for path, value in {**MAX8, **SLICED_INPUTS}.items()})
    params.xbar.adc.vmm.adc_per_ibit = True
    core = AnalogCore(A, params, seed=0)
    np.testing.assert_allclose(core @ X, core.get_matrix() @ X, atol=1e-12)
    codes = np.rint(Z * 15) / 15
    y = Z @ core
    assert np.max(np.abs(y - Z @ core.get_matrix())) > 1e-6
    np.testing.assert_allclose(y, codes @ core.get_matrix(), atol=3)
    assert "every input slice" in str(core.explain("vmm"))
    assert "every input slice" not in str(core.explain("mvm"))


@EVERY_STYLE
@pytest.mark.parametrize("inputs", [{}, UNSIGNED | {"core.mapping.inputs.mvm.min": 0.0}], ids=["signed", "unsigned"])
@pytest.mark.parametrize("cells", [{}, INFINITE], ids=["finite", "infinite"])
@pytest.mark.reference_defect("Q36")
def test_the_max_range_holds_every_current(style: str, inputs: dict[str, Any], cells: dict[str, Any]) -> None:
    matrix = np.ones((2, 90))
    matrix[1] = -1
    core = core_on(matrix, STYLES[style], {**MAX8, "xbar.adc.mvm.bits": 16}, inputs, cells)
    y = core @ np.ones(90)
    np.testing.assert_allclose(y, [90, -90], atol=0.2)


GRANULAR = {"xbar.adc.mvm.adc_range_option": "GRANULAR", "xbar.adc.mvm.adc_per_ibit": True}


@pytest.mark.parametrize(
    "style", ["balanced", "two-sided", "digital-subtraction", "offset", "sliced-balanced", "sliced-offset"]
)
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("cells", [{}, INFINITE], ids=["finite", "infinite"])
@pytest.mark.reference_defect("Q37")
def test_granular_ranges_lose_nothing(style: str, size: int, signed: bool, cells: dict[str, Any]) -> None:
    """With enough bits every slice current is a level, so results are exact products of quantised inputs."""
    if "offset" in style and not cells:
        pytest.skip("the pedestal rho * sum(x) of offset weights is not on the grid of levels")
    grid = {} if style.startswith("sliced") else {"xbar.device.cell_bits": 4}
    bipolar = signed or style in ("balanced", "two-sided", "sliced-balanced")
    adc = {
        "xbar.adc.mvm.model": "SignMagnitudeADC" if bipolar else "QuantizerADC",
        "xbar.adc.mvm.bits": 12,
        **GRANULAR,
        "xbar.dac.mvm.input_bitslicing": True,
        "xbar.dac.mvm.slice_size": size,
    }
    dac = {"xbar.dac.mvm.model": "SignMagnitudeDAC", "xbar.dac.mvm.bits": 5} if signed else dict(UNSIGNED)
    if not signed:
        dac |= {"xbar.dac.mvm.bits": 4, "core.mapping.inputs.mvm.min": 0.0}
    core = core_on(A, STYLES[style], grid, cells, dac, adc)
    x = X if signed else np.abs(X)
    np.testing.assert_allclose(core @ x, core.get_matrix() @ (np.rint(x * 15) / 15), atol=1e-9)


@pytest.mark.reference_defect("Q38")
def test_groups_of_a_sar_adc_have_their_own_capacitors() -> None:
    adc = {**MAX8, "xbar.adc.mvm.model": "SarADC", "xbar.adc.mvm.sigma_capacitor": 0.1, "xbar.adc.mvm.group_size": 1}
    core = core_on(np.tile(A[:1], (8, 1)), adc, {"xbar.adc.mvm.bits": 6})
    y = core @ np.linspace(-1, 1, 500)[None].repeat(6, axis=0)
    assert len({line.tobytes() for line in y}) == 8


@EVERY_STYLE
@pytest.mark.parametrize("model", ["RampADC", "SarADC", "PipelineADC", "CyclicADC"])
@pytest.mark.reference_defect("Q39")
def test_circuit_adcs_serve_every_operation(style: str, model: str) -> None:
    sigmas = {f"xbar.adc.mvm.{name}": 1e-4 for name in ("sigma_comparator", "sigma_capacitor", "sigma_C1")}
    adc = {**MAX8, "xbar.adc.mvm.model": model, "xbar.adc.mvm.bits": 12, "xbar.adc.mvm.group_size": 4}
    core = core_on(A, STYLES[style], adc, sigmas, {"core.rows_max": 4})
    stored = core.get_matrix()
    stack = RNG.uniform(-1, 1, (2, 3, 6, 4))
    for actual, expected in (
        (core @ X[:, 0], stored @ X[:, 0]),
        (core @ X, stored @ X),
        (core @ stack, stored @ stack),
        (Z[0] @ core, Z[0] @ stored),
        (Z @ core, Z @ stored),
    ):
        np.testing.assert_allclose(actual, expected, atol=0.15)


@pytest.mark.reference_defect("Q40")
def test_time_without_drift_is_told() -> None:
    errors = {
        "xbar.device.programming_error.enable": True,
        "xbar.device.programming_error.model": "NormalIndependentDevice",
        "xbar.device.programming_error.magnitude": 0.05,
    }
    with pytest.warns(UserWarning, match=r"xbar\.device\.time"):
        core = core_on(A, errors, {"xbar.device.time": 3})
    np.testing.assert_array_equal(core.get_matrix(), core_on(A, errors).get_matrix())


@pytest.mark.reference_defect("Q41")
def test_a_model_is_only_asked_for_roles_that_are_enabled() -> None:
    named = {"xbar.device.drift_error.model": "PCMJoshi", "xbar.device.read_noise.model": "RRAMWan"}
    np.testing.assert_allclose(core_on(A, named) @ X, A @ X, atol=1e-13)
    with pytest.raises(CrossOhmError, match=r"xbar\.device\.drift_error"):
        core_on(A, named, {"xbar.device.drift_error.enable": True})
    with pytest.raises(CrossOhmError, match=r"xbar\.device\.read_noise\.model"):
        core_on(A, {"xbar.device.read_noise.enable": True, "xbar.device.read_noise.model": "Normal"})


CUBIC = {
    "xbar.device.nonlinear_IV.enable": True,
    "xbar.device.nonlinear_IV.model": "CubicDevice",
    "xbar.device.Vread": 1.5,
}
MILO = {**CUBIC, "xbar.device.nonlinear_IV.model": "RRAMMilo", "xbar.device.Vread": 0.5}
MILO_CELLS = {"xbar.device.Rmin": 1e6 / 225, "xbar.device.Rmax": 1e6 / 60}
TINY_NOISE = {**READ_NOISE, "xbar.device.read_noise.magnitude": 1e-12}


def milo(g: np.ndarray, v: np.ndarray) -> np.ndarray:
    level = np.log10(g * 225e-6)
    c2 = 0.0001388 * level**3 + 0.001541 * level**2 + 0.005711 * level + 0.007063
    c3 = 8.8710e-5 * level**2 + 6.7919e-4 * level + 1.2968e-3
    return g * v + (c2 * 0.5**2 * v**2 + c3 * 0.5**3 * v**3) / (225e-6 * 0.5)


@EVERY_STYLE
@pytest.mark.parametrize("explicit", [{}, TINY_NOISE], ids=["sums", "cells"])
@pytest.mark.parametrize("model", ["cubic", "milo"])
@pytest.mark.reference_defect("Q43")
def test_nonlinear_cells_from_both_sides(style: str, explicit: dict[str, Any], model: str) -> None:
    """Both evaluations are the sum of cell currents; interleaved negative cells see the opposite voltage."""
    cells = CUBIC if model == "cubic" else {**MILO, **MILO_CELLS}
    core = core_on(A, STYLES[style], cells, explicit)
    law = (lambda g, v: g * (v - 0.25 * 1.5**2 * v**3)) if model == "cubic" else milo
    for forward in (True, False):
        vectors = X.T if forward else Z
        result = (core @ X).T if forward else Z @ core
        tap_sums = {}
        for array in core.arrays:
            g = array.conductance if forward else array.conductance.T
            flip = -1.0 if style == "interleaved" and array.sign == "-" else 1.0
            current = (flip * law(g[None], flip * vectors[:, None])).sum(axis=-1)
            tap_sums[array.slice, array.sign] = current
        with core.profile() as seen:
            core @ X if forward else Z @ core
        operation = "mvm" if forward else "vmm"
        found = [h for (op, _, _), h in sorted(seen.adc.items()) if op == operation]
        if style in ("balanced", "interleaved", "two-sided"):
            expected = tap_sums[0, "+"] - tap_sums[0, "-"]
            np.testing.assert_allclose(result, expected / core.params.xbar.device.Grange_norm * core.max, atol=1e-8)
        elif "column" not in style:
            banks = tap_sums.values()
            if style == "sliced-balanced":
                banks = [tap_sums[i, "+"] - tap_sums[i, "-"] for i in range(3)]
            for histogram, currents in zip(found, banks, strict=True):
                assert histogram.low == pytest.approx(currents.min(), abs=1e-8)
                assert histogram.high == pytest.approx(currents.max(), abs=1e-8)


@EVERY_STYLE
@pytest.mark.parametrize("sampling", ["auto", "explicit"])
@pytest.mark.reference_defect("Q44")
def test_read_noise_of_left_products_uses_the_transposed_array(style: str, sampling: str) -> None:
    """Square, so that a forgotten transpose would not be noticed by its shape."""
    a = RNG.uniform(-1, 1, (5, 5))
    core = core_on(a, STYLES[style], READ_NOISE, {"simulation.read_noise_sampling": sampling})
    stored = core.get_matrix()
    for z in (Z[0], Z, np.stack([Z, -Z])):
        np.testing.assert_allclose(z @ core, z @ stored, atol=0.2)
        assert np.all(z @ core != z @ stored)


@pytest.mark.reference_defect("Q48")
def test_slices_without_wires_are_a_declared_list() -> None:
    core = core_on(A, STYLES["sliced-balanced"], {"xbar.array.parasitics.disable_slices": [0, 2]})
    assert core.params.xbar.array.parasitics.disable_slices == [0, 2]


@pytest.mark.reference_defect("Q49")
def test_interleaving_is_validated_or_ignored() -> None:
    both = {"core.balanced.interleaved_posneg": True, "core.balanced.subtract_current_in_xbar": False}
    try:
        core = core_on(A, both)
    except ParameterError as error:
        assert "core.balanced" in str(error)
    else:
        np.testing.assert_allclose(core @ X, A @ X, atol=1e-12)
    for style in ("offset", "sliced-offset", "sliced-unit-column"):
        core = core_on(A, STYLES[style], {"core.balanced.interleaved_posneg": True})
        np.testing.assert_array_equal(core @ X, core_on(A, STYLES[style]) @ X)


@pytest.mark.reference_defect("Q50")
def test_lists_of_parameters() -> None:
    one = hardware()
    np.testing.assert_allclose(AnalogCore(A, [one]) @ X, A @ X, atol=1e-13)
    split = [hardware({"core.rows_max": 3, "core.cols_max": 3}) for _ in range(4)]
    split[1].update(MAX8)  # outputs 0.. of the first partition, second half of the inputs
    core = AnalogCore(A, split, seed=0)
    assert (core.num_cores_row, core.num_cores_col, core.Ncores) == (2, 2, 4)
    error = np.abs(core @ X - A @ X)
    first = core.NrowsVec[0]
    assert np.all(error[:first] > 1e-9)
    np.testing.assert_allclose(error[first:], 0, atol=1e-13)
    np.testing.assert_allclose((Z @ core)[:, :3], Z @ A[:, :3], atol=1e-13)
    for wrong in (split[:3], [], [one, "x"]):
        with pytest.raises(ParameterError, match="params"):
            AnalogCore(A, wrong)
    core[0] = 0.5
    np.testing.assert_allclose(core.get_matrix()[0], 0.5, atol=1e-14)


@pytest.mark.reference_defect("Q50")
def test_numpy_ranges_are_accepted() -> None:
    params = hardware(MAX8, {"xbar.adc.mvm.adc_range_option": "CALIBRATED"})
    params.xbar.adc.mvm.calibrated_range = np.array([-4.0, 4.0])
    AnalogCore(A, params) @ X
    assert "4.0" in params.to_json()


@pytest.mark.reference_defect("Q51")
def test_sampling_needs_bounded_memory() -> None:
    """60,000 vectors of 8 x 40 cells would be 300 MB per copy if held at once."""
    core = core_on(np.ones((4, 40)), READ_NOISE, {"simulation.read_noise_sampling": "explicit"})
    x = np.ones((40, 60_000))
    tracemalloc.start()
    core @ x
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 8 * 4 * 2 * 40 * 60_000 > 150e6
    assert peak < 500e6


@pytest.mark.reference_defect("Q51")
def test_input_slices_need_bounded_memory() -> None:
    core = core_on(np.ones((4, 40)), MAX8, SLICED_INPUTS, {"xbar.dac.mvm.bits": 16})
    x = np.ones((40, 100_000))
    tracemalloc.start()
    core @ x
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * x.nbytes
