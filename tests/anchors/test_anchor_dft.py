"""Discrete Fourier transforms on arrays, against figures measured with a reference implementation and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from dft import EIGHT_BITS, ERRORS, IDEAL, WIRES, dft_matrix, program, relative_error, restored, signals, transform
from scipy.stats import norm

POINTS = 512
SIGNALS = signals(POINTS)
CHIPS = range(1, 9)
SIDE = 64


def truncated(g: np.ndarray, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of ``max(0, g + N(0, deviation))``."""
    above, density = norm.cdf(g / deviation), norm.pdf(g / deviation)
    mean = g * above + deviation * density
    return mean, (g**2 + deviation**2) * above + g * deviation * density - mean**2


def expected_error(x: np.ndarray) -> float:
    """Root of the expected squared relative error of ERRORS: cells cannot go below zero, which shifts every weight."""
    matrix = dft_matrix(POINTS).astype(complex)
    parts = np.vstack([matrix.real, matrix.imag])
    grid = np.rint(parts * 127) / 127
    (plus, plus_variance), (minus, minus_variance) = (truncated(np.maximum(g, 0), 0.03) for g in (grid, -grid))
    square = ((plus - minus - parts) @ x) ** 2 + (plus_variance + minus_variance) @ x**2
    return float(np.sqrt(square.sum()) / np.linalg.norm(parts @ x))


def test_spectra_of_ideal_arrays_are_exact() -> None:
    core = program(dft_matrix(POINTS), IDEAL, 1)
    assert core.Ncores == 256
    for name, peak in (("pulse", 20.0), ("sinc", 11.644)):
        found = core @ SIGNALS[name]
        assert found.dtype == np.complex64
        assert np.abs(found).max() == pytest.approx(peak, abs=5e-4)
        assert relative_error(core, SIGNALS[name]) < 1e-6


@pytest.mark.parametrize(("name", "reference"), [("pulse", 0.0030), ("sinc", 0.0029)])
def test_eight_bit_weights(name: str, reference: float) -> None:
    core = program(dft_matrix(POINTS), EIGHT_BITS, 1)
    assert relative_error(core, SIGNALS[name]) == pytest.approx(reference, rel=0.1)


def test_programming_error_of_3_percent() -> None:
    """The reference's figures are of one chip; single chips differ by 2 %."""
    cores = [program(dft_matrix(POINTS), ERRORS, seed) for seed in CHIPS]
    for name, reference in (("pulse", 0.0532), ("sinc", 0.0533)):
        errors = [relative_error(core, SIGNALS[name]) for core in cores]
        assert np.mean(errors) == pytest.approx(reference, rel=0.1)
        assert np.mean(errors) == pytest.approx(expected_error(SIGNALS[name]), rel=0.02)
        assert 0.003 < np.std(errors) / np.mean(errors) < 0.04


def test_short_thin_wires_change_nothing_to_speak_of() -> None:
    """The error does not depend on the length of the transform: a fourth of it, for speed. Chips differ by 4 %."""
    points, found = 128, []
    for seed in range(1, 7):
        wired, plain = (program(dft_matrix(points), settings, seed) for settings in (WIRES, ERRORS))
        for x in signals(points).values():
            found.append(relative_error(wired, x))
            assert found[-1] == pytest.approx(relative_error(plain, x), rel=0.01)
            assert not np.array_equal(wired @ x, plain @ x)
    assert np.mean(found) == pytest.approx((0.0515 + 0.0524) / 2, rel=0.1)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((SIDE, SIDE), dtype=np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_ideal_pictures_come_back(seed: int) -> None:
    forward, inverse = program(dft_matrix(SIDE), IDEAL, 1), program(dft_matrix(SIDE).conj(), IDEAL, 1)
    spectrum = transform(forward, picture(seed))
    assert np.abs(spectrum - np.fft.fft2(picture(seed))).max() < 1e-6 * np.abs(spectrum).max()
    unclipped = transform(inverse, spectrum) / SIDE**2
    assert np.abs(unclipped - picture(seed)).max() < 2e-6
    assert np.array_equal(restored(inverse, spectrum), np.clip(unclipped.real, 0, 1))


def test_pictures_through_eight_bit_weights() -> None:
    """Averages over pictures: the largest error is an extreme value."""
    forward, inverse = program(dft_matrix(SIDE), EIGHT_BITS, 1), program(dft_matrix(SIDE).conj(), EIGHT_BITS, 1)
    found = []
    for seed in range(8):
        exact, spectrum = np.fft.fft2(picture(seed)), transform(forward, picture(seed))
        error = np.abs(transform(inverse, spectrum).real / SIDE**2 - picture(seed))
        found.append((error.mean(), error.max(), np.abs(spectrum - exact).max() / np.abs(exact).max()))
    assert np.mean(found, axis=0) == pytest.approx((0.0018, 0.0097, 1.4e-4), rel=0.1)
