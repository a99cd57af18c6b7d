"""Overhead of the analog core over plain NumPy, measured in one run with one BLAS thread.

Usage: ``OMP_NUM_THREADS=1 python benchmarks/core.py [--repeats N]``. Each row times ``A @ x`` and ``core @ x`` in turn,
several rounds, and reports the median times and the median of the rounds' ratios. A second table multiplies single
vectors through converters, next to the same arithmetic in NumPy. A third table writes one weight of a large core and
multiplies.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np

from crossohm import AnalogCore, CrossSimParameters


@dataclass(frozen=True)
class Case:
    """One row of the table: hardware, sizes, and the ratio aimed at."""

    name: str
    matrix: tuple[int, int]
    vectors: int | None
    dtype: str
    overrides: dict[str, object]
    target: float | None


CONVERTERS = {
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 8,
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 8,
    "xbar.adc.mvm.adc_range_option": "MAX",
}
READ_NOISE = {
    "xbar.device.read_noise.enable": True,
    "xbar.device.read_noise.model": "NormalProportionalDevice",
    "xbar.device.read_noise.magnitude": 0.02,
}
SLICED = {"core.style": "BITSLICED", "core.weight_bits": 9, "core.bit_sliced.num_slices": 4}
BITWISE = {"xbar.dac.mvm.input_bitslicing": True, "xbar.adc.mvm.adc_per_ibit": True}

LARGE = ((1024, 1024), 256, "float32")
CASES = (
    Case("64x64, one vector, default parameters", (64, 64), None, "float64", {}, 12),
    Case("1024x1024 @ 1024x256, ideal", *LARGE, {}, 1.15),
    Case("the same, 8-bit DAC and ADC", *LARGE, CONVERTERS, 1.4),
    Case("the same, 2 % read noise", *LARGE, CONVERTERS | READ_NOISE, None),
    Case("the same, 4 weight slices", *LARGE, CONVERTERS | SLICED, None),
    Case("the same, ADC per input bit", *LARGE, CONVERTERS | BITWISE, None),
)


def seconds(function: Callable[[], object], budget: float) -> float:
    """Time of one call, from enough calls to fill ``budget`` seconds."""
    start = time.perf_counter()
    function()
    once = max(time.perf_counter() - start, 1e-7)
    calls = max(1, int(budget / once))
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def measure(case: Case, rounds: int) -> tuple[float, float, float]:
    """Median seconds of NumPy and of the core, and the median ratio over rounds."""
    rng = np.random.default_rng(1)
    matrix = rng.uniform(-1, 1, case.matrix).astype(case.dtype)
    shape = case.matrix[1:] if case.vectors is None else (case.matrix[1], case.vectors)
    x = rng.uniform(-1, 1, shape).astype(case.dtype)
    params = CrossSimParameters()
    params.update(case.overrides)
    core = AnalogCore(matrix, params, seed=1)
    core @ x
    pairs = [(seconds(lambda: matrix @ x, 0.1), seconds(lambda: core @ x, 0.1)) for _ in range(rounds)]
    ratios = [analog / plain for plain, analog in pairs]
    return statistics.median(p for p, _ in pairs), statistics.median(a for _, a in pairs), statistics.median(ratios)


@dataclass(frozen=True)
class Single:
    """A row of the second table: one vector, on a 64x64 core with an 8-bit DAC and ADC."""

    name: str
    overrides: dict[str, object]
    multiply: Callable[[AnalogCore, np.ndarray], object]
    target: float


BOTH = CONVERTERS | {path.replace("mvm", "vmm"): value for path, value in CONVERTERS.items()}
SINGLES = (
    Single("core @ x", {}, lambda core, x: core @ x, 2.5),
    Single("x @ core", {}, lambda core, x: x @ core, 2.5),
    Single("core @ x, offset weights", {"core.style": "OFFSET"}, lambda core, x: core @ x, 2.5),
    Single("core[:32] @ x", {}, lambda core, x: core[:32] @ x, 3.5),
    Single("core @ x, complex", {"core.complex_matrix": True}, lambda core, x: core @ x, 2.5),
)


def digitised(weights: np.ndarray, limit: float) -> Callable[[np.ndarray], np.ndarray]:
    """What such a core does, by hand: 255 input levels, a product, 256 output levels."""
    step = 2 * limit / 255

    def multiply(x: np.ndarray) -> np.ndarray:
        quantised = np.rint(np.clip(x, -1, 1) * 127) / 127
        current = np.clip(weights @ quantised, -limit, limit)
        return np.asarray(np.rint((current + limit) / step) * step - limit)

    return multiply


def measure_single(case: Single, rounds: int) -> tuple[float, float]:
    """Shortest seconds of NumPy and of the core."""
    rng = np.random.default_rng(1)
    params = CrossSimParameters()
    params.update({**BOTH, **case.overrides})
    matrix, x = rng.uniform(-1, 1, (64, 64)), rng.uniform(-1, 1, 64)
    core, stored, driven = AnalogCore(matrix, params, seed=1), matrix, x
    if core.complex_valued:
        stored, driven = np.block([[matrix, -matrix], [matrix, matrix]]), np.concatenate([x, x])
        x = x + 1j * x
    plain = digitised(stored, len(driven))
    pairs = [
        (seconds(lambda: plain(driven), 0.02), seconds(lambda: case.multiply(core, x), 0.02)) for _ in range(5 * rounds)
    ]
    return min(p for p, _ in pairs), min(a for _, a in pairs)


WRITES = (("ideal", {}), ("8-bit DAC and ADC", CONVERTERS), ("4 weight slices, 8 bits", CONVERTERS | SLICED))


def measure_write(overrides: dict[str, object], rounds: int) -> tuple[float, float]:
    """Median seconds of a product, and of one weight's update followed by one."""
    params = CrossSimParameters()
    params.update(overrides)
    core = AnalogCore(np.random.default_rng(1).uniform(-1, 1, (1024, 1024)), params, seed=1)
    x = np.ones(1024)

    def update() -> object:
        core[3, 5] = 0.5
        return core @ x

    core @ x
    pairs = [(seconds(lambda: core @ x, 0.05), seconds(update, 0.05)) for _ in range(rounds)]
    return statistics.median(p for p, _ in pairs), statistics.median(u for _, u in pairs)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9, help="rounds per row")
    rounds = parser.parse_args().repeats
    print("| case | NumPy | crossohm | ratio | target |\n|---|---|---|---|---|")
    for case in CASES:
        plain, analog, ratio = measure(case, rounds)
        target = f"{case.target:g}" if case.target else ""
        print(f"| {case.name} | {plain * 1e6:.1f} us | {analog * 1e6:.1f} us | {ratio:.2f} | {target} |", flush=True)
    print("\n| one vector, 64x64, 8-bit DAC and ADC | NumPy | crossohm | ratio | target |\n|---|---|---|---|---|")
    for single in SINGLES:
        plain, analog = measure_single(single, rounds)
        row = f"{plain * 1e6:.1f} us | {analog * 1e6:.1f} us | {analog / plain:.2f} | {single.target:g}"
        print(f"| {single.name} | {row} |", flush=True)
    print("\n| one weight of 1024x1024, then a product | product alone | write and product |\n|---|---|---|")
    for name, overrides in WRITES:
        alone, written = measure_write(overrides, rounds)
        print(f"| {name} | {alone * 1e3:.2f} ms | {written * 1e3:.2f} ms |", flush=True)


if __name__ == "__main__":
    main()
