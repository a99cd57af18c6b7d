"""Discrete Fourier transforms on arrays: spectra of two signals, and a picture there and back. Half a minute.

    python examples/dft.py

The complex DFT matrix is programmed once, as a real matrix of twice the size, with the weight range fixed to -1 to 1.
A spectrum is then one product, ``core @ x``. The matrix is symmetric, so a two-dimensional transform ``F X F`` is a
product from the left and one from the right with the same arrays. Weights are pairs of 7-bit cells without leakage,
arrays have 64 x 64 cells; errors are relative to the exact spectrum, in the root of the summed squares.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from crossohm import AnalogCore, CrossSimParameters

IDEAL: dict[str, Any] = {
    "core.complex_matrix": True,
    "core.rows_max": 64,
    "core.cols_max": 64,
    "core.mapping.weights": {"min": -1.0, "max": 1.0},
    "xbar.device.Rmin": 1e3,
    "xbar.device.infinite_on_off_ratio": True,
}
EIGHT_BITS = {**IDEAL, "xbar.device.cell_bits": 7}  # a pair of cells adds the sign bit
ERRORS = {
    **EIGHT_BITS,
    "xbar.device.programming_error.enable": True,
    "xbar.device.programming_error.model": "NormalIndependentDevice",
    "xbar.device.programming_error.magnitude": 0.03,  # of the largest conductance
}
WIRES = {
    **ERRORS,
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 1e-4,
    "xbar.array.parasitics.Rp_col": 1e-4,
}
SETTINGS = {"8-bit weights": EIGHT_BITS, "and 3 % programming error": ERRORS, "and wires of 0.1 mohm per cell": WIRES}


def dft_matrix(points: int) -> np.ndarray:
    """``exp(-2 pi i j k / points)``, complex64; its conjugate is the inverse transform times ``points``."""
    index = np.arange(points)
    turns = np.outer(index, index) % points / points  # whole turns taken out: cosines of large angles lose digits
    return np.exp(-2j * np.pi * turns).astype(np.complex64)


def program(matrix: np.ndarray, settings: dict[str, Any], seed: int) -> AnalogCore:
    """The matrix in the arrays of one chip."""
    params = CrossSimParameters()
    params.update(settings)
    return AnalogCore(matrix, params, seed=seed)


def signals(points: int) -> dict[str, np.ndarray]:
    """A pulse of 20 ones, and a sinc with 48 half waves, both at the centre; float32."""
    offset = np.arange(points) - points // 2
    pulse = (offset >= -10) & (offset < 10)
    return {"pulse": pulse.astype(np.float32), "sinc": np.sinc(48 * offset / points).astype(np.float32)}


def relative_error(core: AnalogCore, x: np.ndarray) -> float:
    """Of the analog spectrum of ``x``."""
    exact = np.fft.fft(x)
    return float(np.linalg.norm(core @ x - exact) / np.linalg.norm(exact))


def transform(core: AnalogCore, picture: np.ndarray) -> np.ndarray:
    """``F X F``, both products on the arrays of the symmetric matrix F."""
    return (core @ picture) @ core


def restored(inverse: AnalogCore, spectrum: np.ndarray) -> np.ndarray:
    """The picture of a spectrum: real part, pixels cut to 0..1."""
    return np.clip(transform(inverse, spectrum).real / spectrum.size, 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Discrete Fourier transforms on analog arrays.")
    parser.add_argument("--points", type=int, default=512, help="length of the signals")
    parser.add_argument("--pixels", type=int, default=64, help="side of the picture")
    parser.add_argument("--chips", type=int, default=2, help="simulated chips per row")
    options = parser.parse_args()
    matrix, inputs = dft_matrix(options.points), signals(options.points)
    print(f"{options.points} points: relative error    {'   '.join(inputs)}")
    for name, settings in SETTINGS.items():
        cores = [program(matrix, settings, seed) for seed in range(1, options.chips + 1)]
        errors = [np.mean([relative_error(core, x) for core in cores]) for x in inputs.values()]
        print(f"{name:32}{'  '.join(f'{error:.4f}' for error in errors)}", flush=True)

    picture = np.random.default_rng(0).random((options.pixels, options.pixels), dtype=np.float32)
    matrix = dft_matrix(options.pixels)
    print(f"picture of {options.pixels} x {options.pixels} pixels, error after transform and inverse: mean, largest")
    for name, settings in {"ideal": IDEAL, "8-bit weights": EIGHT_BITS}.items():
        spectrum = transform(program(matrix, settings, 1), picture)
        error = np.abs(restored(program(matrix.conj(), settings, 1), spectrum) - picture)
        print(f"{name:32}{error.mean():.1e}  {error.max():.1e}")


if __name__ == "__main__":
    main()
