"""Statistics of programming errors and of read noise, seen through the core.

Alpha is 1e-3 for every test of a distribution; seeds are fixed, so a pass is a pass on every machine.
The moment method must have the law of cell-by-cell sampling, including correlations between outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core_hardware import INFINITE, STYLES, core_on, hardware
from scipy import stats

from crossohm import AnalogCore

ALPHA = 1e-3
DRAWS = 100_000
EVERY_STYLE = pytest.mark.parametrize("style", list(STYLES))


def error_model(role: str, model: str, magnitude: float) -> dict[str, Any]:
    path = f"xbar.device.{role}"
    return {f"{path}.enable": True, f"{path}.model": model, f"{path}.magnitude": magnitude}


def programming(model: str, magnitude: float = 0.01) -> dict[str, Any]:
    return error_model("programming_error", model, magnitude)


def reading(model: str, magnitude: float = 0.01) -> dict[str, Any]:
    return error_model("read_noise", model, magnitude)


# --- programming errors -----------------------------------------------------------------------------------------------


def spread(model: str, g: np.ndarray) -> np.ndarray:
    if "Inverse" in model:
        return 1 / g
    return g if "Proportional" in model else np.ones_like(g)


@pytest.mark.parametrize("style", ["balanced", "two-sided", "offset", "sliced-balanced", "sliced-offset"])
@pytest.mark.parametrize("kind", ["Independent", "Proportional", "InverseProportional"])
@pytest.mark.parametrize("law", ["Normal", "Uniform"])
def test_programming_errors_have_the_stated_law(style: str, kind: str, law: str) -> None:
    model = f"{law}{kind}Device"
    matrix = np.random.default_rng(1).uniform(-1, 1, (60, 70))
    magnitude = 0.002 if "Inverse" in kind else 0.01
    core = core_on(matrix, STYLES[style], programming(model, magnitude), {"core.rows_max": 40})
    z = np.concatenate(
        [((a.conductance - a.target) / (magnitude * spread(model, a.target))).ravel() for a in core.arrays]
    )
    assert z.size >= 4200
    deviation = 1.0 if law == "Normal" else 1 / np.sqrt(12)
    assert abs(z.mean()) < 4 * deviation / np.sqrt(z.size)
    assert z.std() == pytest.approx(deviation, rel=4 / np.sqrt(2 * z.size))
    reference = stats.norm if law == "Normal" else stats.uniform(-0.5, 1)
    assert stats.kstest(z, reference.cdf).pvalue > ALPHA


def test_arrays_slices_signs_and_partitions_have_independent_errors() -> None:
    matrix = np.random.default_rng(1).uniform(-1, 1, (40, 80))
    core = core_on(matrix, STYLES["sliced-balanced"], programming("NormalIndependentDevice"), {"core.rows_max": 40})
    errors = np.stack([(a.conductance - a.target).ravel() for a in core.arrays])
    assert len(errors) == 2 * 3 * 2
    correlations = np.corrcoef(errors)[np.triu_indices(len(errors), 1)]
    assert np.max(np.abs(correlations)) < 4.5 / np.sqrt(errors.shape[1])


def test_seeds_and_names_make_chips() -> None:
    matrix = np.random.default_rng(1).uniform(-1, 1, (20, 20))

    def errors(**options: Any) -> np.ndarray:
        core = AnalogCore(matrix, hardware(programming("NormalIndependentDevice")), **options)
        return np.stack([a.conductance for a in core.arrays])

    np.testing.assert_array_equal(errors(seed=4, name="a"), errors(seed=4, name="a"))
    assert np.all(errors(seed=4, name="a") != errors(seed=5, name="a"))
    assert np.all(errors(seed=4, name="a") != errors(seed=4, name="b"))
    assert np.all(errors() != errors())


def test_a_chip_is_repeated_by_the_seed_it_was_given() -> None:
    matrix = np.random.default_rng(1).uniform(-1, 1, (4, 5))
    params = hardware(programming("NormalIndependentDevice"))
    first = AnalogCore(matrix, params)
    second = AnalogCore(matrix, params, seed=first.seed)
    np.testing.assert_array_equal(first.get_matrix(), second.get_matrix())


@pytest.mark.parametrize("clip", [True, False])
def test_conductances_stay_in_range(clip: bool) -> None:
    matrix = np.random.default_rng(1).uniform(-1, 1, (50, 50))
    core = core_on(matrix, programming("NormalIndependentDevice", 0.3), {"xbar.device.clip_conductance": clip})
    g = np.stack([a.conductance for a in core.arrays])
    assert g.min() == (0.1 if clip else 0.0)
    assert (g.max() == 1.0) if clip else (g.max() > 1.2)


# --- read noise -------------------------------------------------------------------------------------------------------

MATRIX = np.array([[0.5, -1.0, 0.25, 0.8], [0.1, 0.0, -0.75, -0.3], [-0.6, 0.9, 0.4, 0.2]])
VECTOR = np.array([0.8, -0.6, 0.3, -0.9])
SLICING = {
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 5,
    "xbar.dac.mvm.input_bitslicing": True,
    "xbar.dac.mvm.slice_size": 2,
}
FINE_ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 14, "xbar.adc.mvm.adc_range_option": "MAX"}
EXPLICIT = {"simulation.read_noise_sampling": "explicit"}
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {**style} for name, style in STYLES.items()},
    "input slices": {**STYLES["balanced"], **SLICING},
    "input slices, ADC": {**STYLES["balanced"], **SLICING, **FINE_ADC},
    "ADC": {**STYLES["balanced"], **FINE_ADC},
    "two ADCs": {**STYLES["digital-subtraction"], **FINE_ADC},
    "unit column, ADC": {**STYLES["unit-column"], **FINE_ADC},
    "unit column, input slices": {**STYLES["unit-column"], **SLICING},
    "sliced unit column, input slices, ADC": {**STYLES["sliced-unit-column"], **SLICING, **FINE_ADC},
    "offset, input slices": {**STYLES["offset"], **SLICING},
    "partitions": {**STYLES["balanced"], "core.rows_max": 2, "core.cols_max": 2},
    "partitions, unit column": {**STYLES["unit-column"], "core.rows_max": 2, "core.cols_max": 2},
    "partitions, ADC": {**STYLES["offset"], **FINE_ADC, "core.rows_max": 2, "core.cols_max": 2},
    "current limit": {**STYLES["balanced"], "xbar.array.Icol_max": 1.1},
    "proportional": {**STYLES["balanced"], **reading("NormalProportionalDevice", 0.05)},
}


def samples(settings: dict[str, Any], *more: dict[str, Any], seed: int, left: bool = False) -> np.ndarray:
    """Results of one product repeated with fresh noise, ``(DRAWS, outputs)``."""
    core = core_on(MATRIX, reading("NormalIndependentDevice"), settings, *more)
    rng = np.random.default_rng(seed)
    if left:
        return core.rmatmat(np.broadcast_to(VECTOR[:3], (DRAWS, 3)), rng=rng)
    return core.matmat(np.broadcast_to(VECTOR[:, None], (4, DRAWS)), rng=rng).T


def uses_moments(core: AnalogCore, operation: str = "mvm") -> bool:
    text = str(core.explain(operation))
    assert ("by moments" in text) != ("every cell" in text)
    return "by moments" in text


def same_law(moments: np.ndarray, explicit: np.ndarray) -> None:
    n = len(moments)
    for a, b in zip(moments.T, explicit.T, strict=True):
        assert stats.ks_2samp(a, b, method="asymp").pvalue > ALPHA
        assert abs(a.mean() - b.mean()) < 4.5 * np.hypot(a.std(), b.std()) / np.sqrt(n)
        assert a.var() / b.var() == pytest.approx(1, abs=4.5 * np.sqrt(4 / n))
    gap = np.corrcoef(moments.T) - np.corrcoef(explicit.T)
    assert np.max(np.abs(gap)) < 4.5 * np.sqrt(2 / n)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_moment_method_has_the_law_of_explicit_sampling(name: str) -> None:
    settings = SETTINGS[name]
    assert uses_moments(core_on(MATRIX, reading("NormalIndependentDevice"), settings))
    assert not uses_moments(core_on(MATRIX, reading("NormalIndependentDevice"), settings, EXPLICIT))
    same_law(samples(settings, seed=1), samples(settings, EXPLICIT, seed=2))


@pytest.mark.parametrize("name", ["balanced", "digital-subtraction", "unit-column", "sliced-offset", "partitions"])
@pytest.mark.reference_defect("Q44")
def test_moment_method_of_left_products(name: str) -> None:
    """Also the transposed arrays of a VMM."""
    settings = SETTINGS[name]
    same_law(samples(settings, seed=1, left=True), samples(settings, EXPLICIT, seed=2, left=True))


@pytest.mark.parametrize("sampling", ["auto", "explicit"])
def test_read_noise_has_the_analytic_moments(sampling: str) -> None:
    """A line's current has variance ``m**2 sum x**2``; a pair has two lines; outputs are independent.

    In output units one unit of current is ``1 / 0.9``, since the weight range of 1 spans 0.9 of the conductance range.
    """
    y = samples(STYLES["balanced"], {"simulation.read_noise_sampling": sampling}, seed=3)
    expected = 0.01 * np.sqrt(2 * np.sum(VECTOR**2)) / 0.9
    np.testing.assert_allclose(y.mean(axis=0), MATRIX @ VECTOR, atol=4.5 * expected / np.sqrt(DRAWS))
    np.testing.assert_allclose(y.std(axis=0), expected, rtol=4.5 / np.sqrt(2 * DRAWS))
    for column in y.T:
        assert stats.kstest((column - column.mean()) / expected, "norm").pvalue > ALPHA
    off_diagonal = np.corrcoef(y.T)[np.triu_indices(3, 1)]
    assert np.max(np.abs(off_diagonal)) < 4.5 / np.sqrt(DRAWS)


def test_input_slices_have_independent_noise() -> None:
    """Three slices of weights w_k = 4**k * 3/15 (two bits each, of four) at plane values v_k: variances add."""
    y = samples(SETTINGS["input slices"], seed=4)
    codes = np.rint(np.abs(VECTOR) * 15).astype(int)
    energy = sum((4**k * 3 / 15) ** 2 * np.sum(((codes // 4**k % 4) / 3) ** 2) for k in range(2))
    expected = 0.01 * np.sqrt(2 * energy) / 0.9
    np.testing.assert_allclose(y.std(axis=0), expected, rtol=4.5 / np.sqrt(2 * DRAWS))


def test_unit_line_noise_is_common_to_its_outputs() -> None:
    """Every output subtracts the same noisy line, so outputs correlate with 1/2."""
    y = samples(STYLES["unit-column"], seed=5)
    off_diagonal = np.corrcoef(y.T)[np.triu_indices(3, 1)]
    np.testing.assert_allclose(off_diagonal, 0.5, atol=4.5 / np.sqrt(DRAWS))


@pytest.mark.parametrize("style", ["balanced", "sliced-balanced", "sliced-offset", "unit-column"])
def test_noise_that_clips_is_sampled_explicitly(style: str) -> None:
    """Near g = 0 the noise is cut off, so that it is not Gaussian."""
    core = core_on(MATRIX, STYLES[style], INFINITE, reading("NormalIndependentDevice"))
    assert not uses_moments(core)
    assert "zero" in str(core.explain())


def test_clipped_noise_is_half_normal() -> None:
    core = core_on([[1.0, 0.0]], INFINITE, reading("NormalIndependentDevice", 0.02))
    x = np.broadcast_to(np.array([[0.0], [1.0]]), (2, DRAWS))
    y = core.matmat(x, rng=np.random.default_rng(6))[0]
    # g+ and g- of weight zero are both clipped at zero: the difference of two half-normals has mean 0
    half_variance = 0.02**2 * (0.5 - 1 / (2 * np.pi))
    assert y.mean() == pytest.approx(0, abs=4.5 * np.sqrt(2 * half_variance / DRAWS))
    assert y.var() == pytest.approx(2 * half_variance, rel=0.03)
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.01)


def test_clipping_at_the_top_is_sampled_explicitly_only_if_cells_clip() -> None:
    noise = reading("NormalIndependentDevice")
    assert uses_moments(core_on(MATRIX, noise))
    clipping = core_on(MATRIX, noise, {"xbar.device.clip_conductance": True})
    assert not uses_moments(clipping)
    y = clipping.matmat(np.broadcast_to(np.eye(4)[:, 1:2], (4, 20_000)), rng=np.random.default_rng(7))
    assert y[0].min() > -1.2
    assert y[0].mean() > -1.0  # -1 can only lose magnitude: one cell is at the top, the other at the bottom


def test_uniform_noise_is_sampled_explicitly() -> None:
    core = core_on(np.array([[1.0]]), reading("UniformIndependentDevice", 0.06))
    assert not uses_moments(core)
    y = core.matmat(np.ones((1, DRAWS)), rng=np.random.default_rng(8))[0]
    # two cells of U(-0.03, 0.03): triangular between -0.06 and 0.06, over 0.9
    triangle = stats.triang(0.5, 1 - 0.06 / 0.9, 0.12 / 0.9)
    assert stats.kstest(y, triangle.cdf).pvalue > ALPHA


@pytest.mark.parametrize("sampling", ["auto", "explicit"])
def test_noise_is_fresh_in_every_product_and_never_accumulates(sampling: str) -> None:
    core = core_on(MATRIX, reading("NormalIndependentDevice"), {"simulation.read_noise_sampling": sampling})
    before = core.get_matrix()
    assert np.all(core @ VECTOR != core @ VECTOR)
    for _ in range(50):
        core @ VECTOR
    np.testing.assert_array_equal(core.get_matrix(), before)


@pytest.mark.parametrize("sampling", ["auto", "explicit"])
def test_vectors_of_a_batch_have_their_own_noise(sampling: str) -> None:
    core = core_on(MATRIX, reading("NormalIndependentDevice"), {"simulation.read_noise_sampling": sampling})
    y = core @ np.broadcast_to(VECTOR[:, None], (4, 500))
    assert len(np.unique(y[0])) == 500
    gaps = np.corrcoef(y[0, :-1], y[0, 1:])[0, 1]
    assert abs(gaps) < 0.2


def test_stochastic_rounding_has_the_right_mean() -> None:
    adc = {
        "xbar.adc.mvm.model": "QuantizerADC",
        "xbar.adc.mvm.bits": 3,
        "xbar.adc.mvm.calibrated_range": [-2.0, 2.0],
        "xbar.adc.mvm.stochastic_rounding": True,
    }
    core = core_on(MATRIX, adc)
    y = core.matmat(np.broadcast_to(VECTOR[:, None], (4, DRAWS)), rng=np.random.default_rng(9))
    lsb = 4 / 7 / 0.9
    np.testing.assert_allclose(y.mean(axis=1), MATRIX @ VECTOR, atol=4.5 * lsb / np.sqrt(DRAWS))
    assert all(len(np.unique(np.round(line, 9))) == 2 for line in y)


@EVERY_STYLE
def test_error_free_hardware_is_deterministic(style: str) -> None:
    core = core_on(MATRIX, STYLES[style])
    np.testing.assert_array_equal(core @ VECTOR, core @ VECTOR)
