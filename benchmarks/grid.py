"""Wire resistance: what the set-up of one array costs, and that products cost nothing extra afterwards.

Usage: ``OMP_NUM_THREADS=1 python benchmarks/grid.py [--large]``. The set-up is the elimination of the whole network in
float64 for input-source arrays with resistance along rows and columns.
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
from crossohm.circuits.grid import Wires, effective_matrix

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
    print(f"\n1152x64 array, 256 vectors, 8-bit ADC, with wires / without: {product_ratio(7):.2f}")


if __name__ == "__main__":
    main()
