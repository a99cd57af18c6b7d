"""Wire resistance: what the set-up of one array costs, products after it, and gate-selected rows.

Usage: ``OMP_NUM_THREADS=1 python benchmarks/grid.py [--large]``. The set-up is the elimination of the whole network in
float64 for input-source arrays with resistance along rows and columns. Gate-selected rows are compared with a
fixed-point iteration of the same networks, one vector at a time, to a residual of 1e-3.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np
from core import seconds

from crossohm import AnalogCore, CrossSimParameters
from crossohm.circuits.grid import Wires, effective_matrix, ladder_currents

WIRES = {
    "xbar.array.parasitics.enable": True,
    "xbar.array.parasitics.Rp_row": 0.1,
    "xbar.array.parasitics.Rp_col": 0.1,
}
ADC = {"xbar.adc.mvm.model": "QuantizerADC", "xbar.adc.mvm.bits": 8, "xbar.adc.mvm.adc_range_option": "MAX"}


def set_up(outputs: int, inputs: int) -> float:
    """Seconds to eliminate one array."""
    g = np.random.default_rng(1).uniform(0.1, 1, (1, outputs, inputs))
    start = time.perf_counter()
    effective_matrix(g, Wires(1e-4, 1e-4))
    return time.perf_counter() - start


def resnet20_shapes() -> list[tuple[int, int]]:
    """Outputs x inputs of the 22 layers of ResNet-20 for CIFAR-10: 19 convolutions, 2 shortcuts, 1 classifier."""
    stages = [[(16, 144)] * 6, [(32, 144), *[(32, 288)] * 5], [(64, 288), *[(64, 576)] * 5]]
    return [(16, 27), *(shape for stage in stages for shape in stage), (32, 16), (64, 32), (10, 64)]


def resnet20() -> float:
    """Seconds to set up the wires of all layers, both signs: 1 ohm per segment, 10 kohm cells."""
    params = CrossSimParameters()
    params.update({**WIRES, "xbar.array.parasitics.Rp_row": 1.0, "xbar.array.parasitics.Rp_col": 1.0})
    params.update({"xbar.device.Rmin": 1e4, "xbar.device.Rmax": 1e6, "core.rows_max": 1152})
    rng = np.random.default_rng(4)
    cores = [AnalogCore(rng.normal(size=shape), params, seed=1) for shape in resnet20_shapes()]
    start = time.perf_counter()
    for core in cores:
        core @ np.zeros(core.shape[1])
    return time.perf_counter() - start


def product_ratio(rounds: int) -> float:
    """Time of a batch with wires over the same batch without, 8-bit ADC, after the set-up."""
    rng = np.random.default_rng(2)
    matrix, x = rng.uniform(-1, 1, (64, 1152)), rng.uniform(-1, 1, (1152, 256))
    cores = []
    for changes in (ADC, {**ADC, **WIRES}):
        params = CrossSimParameters()
        params.update(changes)
        cores.append(AnalogCore(matrix, params, seed=1))
        cores[-1] @ x
    ideal, wired = cores
    return statistics.median(seconds(lambda: wired @ x, 0.1) / seconds(lambda: ideal @ x, 0.1) for _ in range(rounds))


def single_vectors(counts: tuple[int, ...] = (1, 10, 40, 100)) -> tuple[dict[int, float], float]:
    """Seconds from a new 256x256 pair to so many single products (5e-6 of Rmin per cell), and of its elimination."""
    rng = np.random.default_rng(6)
    matrix, vectors = rng.uniform(-1, 1, (256, 256)), rng.uniform(0, 1, (max(counts), 256))
    params = CrossSimParameters()
    params.update({**WIRES, "xbar.array.parasitics.Rp_row": 5e-3, "xbar.array.parasitics.Rp_col": 5e-3})
    core, taken = AnalogCore(matrix, params, seed=1), {}
    start = time.perf_counter()
    for count, x in enumerate(vectors, start=1):
        core @ x
        if count in counts:
            taken[count] = time.perf_counter() - start
    fresh = AnalogCore(matrix, params, seed=1)
    start = time.perf_counter()
    fresh.effective_matrix()
    return taken, time.perf_counter() - start


def first_product(ohms: float, rounds: int = 4) -> tuple[float, float, float]:
    """Processor seconds of the first product of a 256x256 pair, of iterating its networks, and their difference."""
    rng = np.random.default_rng(6)
    matrix, x = rng.uniform(-1, 1, (256, 256)), rng.uniform(0, 1, 256)
    params = CrossSimParameters()
    params.update({**WIRES, "xbar.array.parasitics.Rp_row": ohms, "xbar.array.parasitics.Rp_col": ohms})
    wires, taken = Wires(ohms / 1e3, ohms / 1e3), ([], [])
    for _ in range(rounds):
        core = AnalogCore(matrix, params, seed=1)
        cells = [array.conductance for array in core.arrays]
        start = time.process_time()
        y = core @ x
        taken[0].append(time.process_time() - start)
        start = time.process_time()
        positive, negative = (settled(g, x, wires, 1e-10) for g in cells)
        taken[1].append(time.process_time() - start)
    currents = positive - negative
    scale = (currents @ y) / (currents @ currents)
    return min(taken[0]), min(taken[1]), float(np.abs(scale * currents - y).max() / np.abs(y).max())


def settled(g: np.ndarray, v: np.ndarray, wires: Wires, tolerance: float) -> np.ndarray:
    """Currents of the lines ``(lines, N)`` of an input-driven array, its cell voltages iterated until they settle."""
    voltage, change = np.broadcast_to(v, g.shape), np.inf
    while change > tolerance:
        current = g * voltage
        supply = np.cumsum(current[::-1], axis=0)[::-1]  # carried by the segment of an input line before each cell
        sums = np.cumsum(current, axis=1)
        above = v - np.cumsum(wires.input * supply, axis=0)
        below = np.cumsum((wires.output * sums)[:, ::-1], axis=1)[:, ::-1]
        change, voltage = float(np.abs(above - below - voltage).max()), above - below
    return np.asarray((g * voltage).sum(axis=1))


def fixed_point(g: np.ndarray, v: np.ndarray, wires: Wires) -> np.ndarray:
    """Currents of gate-selected lines for one vector by iterating the cell voltages; ``g`` is ``(lines, N)``.

    Relaxation is halved from scratch when an iteration diverges.
    """
    active = g * (np.abs(v) > 1e-9)
    gamma = 1.0
    while gamma > 1e-3:
        voltage = np.broadcast_to(v, g.shape).copy()
        for _ in range(400):
            current = active * voltage
            towards_end = np.cumsum(current, axis=1)
            total = towards_end[:, -1:]
            output_drop = np.cumsum((wires.output * towards_end)[:, ::-1], axis=1)[:, ::-1]
            supply = total - towards_end + current  # carried by the segment before each cell
            supply_drop = np.cumsum(wires.input * supply, axis=1)
            residual = (v - output_drop - supply_drop - voltage) * (active > 0)
            worst = np.abs(residual).max()
            if worst < 1e-3:
                return np.asarray(total[:, 0])
            if not worst < 1e6:
                break
            voltage += gamma * residual
        gamma /= 2
    raise RuntimeError("the fixed-point iteration did not converge")


def gated(outputs: int = 64, inputs: int = 512, vectors: int = 1000, bits: int = 7) -> tuple[float, float, float]:
    """Seconds for all input bits of all vectors: exact elimination, fixed point, and their largest difference."""
    rng = np.random.default_rng(3)
    g, wires = rng.uniform(0.1, 1, (1, outputs, inputs)), Wires(1e-5, 1e-5)
    code = rng.integers(0, 2**bits, (vectors, inputs))
    planes = [((code >> bit) & 1).astype(float) for bit in range(bits)]
    start = time.perf_counter()
    exact = [ladder_currents(g, plane, wires) for plane in planes]
    direct = time.perf_counter() - start
    sample = range(0, vectors, 20)  # every 20th vector: the iteration costs the same for each
    start = time.perf_counter()
    iterated = [np.array([fixed_point(g[0], plane[i], wires) for i in sample]) for plane in planes]
    iteration = (time.perf_counter() - start) * vectors / len(sample)
    differences = [np.abs(a[list(sample)] - b).max() / np.abs(a).max() for a, b in zip(exact, iterated, strict=True)]
    return direct, iteration, max(differences)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="also 1024x1024 (minutes)")
    sizes = [(32, 1152), (64, 1152), (1152, 64), (128, 128), (256, 256), (512, 512)]
    sizes += [(1024, 1024)] if parser.parse_args().large else []
    print("| array (outputs x inputs) | set-up | peak memory of the process |\n|---|---|---|")
    for outputs, inputs in sizes:
        taken = set_up(outputs, inputs)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"| {outputs}x{inputs} | {taken:.2f} s | {memory:.2f} GB |", flush=True)
    taken = statistics.median(resnet20() for _ in range(3))
    print(f"\nResNet-20, 22 layers, both signs, 1 ohm per segment, 10 kohm cells: {taken:.2f} s")
    print(f"1152x64 array, 256 vectors, 8-bit ADC, with wires / without: {product_ratio(7):.2f}")
    single, elimination = single_vectors()
    sums = ", ".join(f"{count}: {seconds:.2f} s" for count, seconds in single.items())
    print(f"256x256 pair, single vectors since it was written: {sums}; elimination {elimination:.2f} s")
    for ohms in (5e-3, 2e-2):
        first, iterated, difference = first_product(ohms)
        print(
            f"256x256 pair, first product, {ohms / 1e3:.0e} of Rmin per cell: {first:.3f} s, fixed point "
            f"{iterated:.3f} s (ratio {first / iterated:.2f}, difference {difference:.1e})"
        )
    direct, iteration, difference = gated()
    print(
        f"gate-selected 512x64 array, 7 input bits, 1,000 vectors: {direct:.2f} s, fixed point {iteration:.1f} s "
        f"(ratio {iteration / direct:.0f}, its error {difference:.1e})"
    )


if __name__ == "__main__":
    main()
