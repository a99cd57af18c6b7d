"""Read noise on resistive wires: error of the first-order mode, and what a vector costs in either mode.

Usage: ``OMP_NUM_THREADS=1 python benchmarks/read_noise.py``. Both modes get the same conductances, vector by vector, so
that their difference is the error of the first order and not that of a finite sample. Elimination is what every vector
cost before `DisturbedNetwork`: the whole effective matrix of its own conductances.
"""

from __future__ import annotations

import os
import time

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np

from crossohm.circuits.grid import DisturbedNetwork, Wires, effective_matrix


def errors(resistance: float, strength: float, proportional: bool, vectors: int = 200) -> tuple[float, ...]:
    """Loss by the wires, mean error, error of the standard deviation, and scatter of the error, 64x64 array.

    All but the first relative to the standard deviation of the noise, averaged (rms) over the outputs.
    """
    rng = np.random.default_rng(1)
    g, v = rng.uniform(0.1, 1, (1, 64, 64)), np.ones((vectors, 64))
    scale = strength * (g if proportional else 1.0)
    read = np.maximum(g + scale * rng.normal(size=(vectors, *g.shape)), 0.0)
    network = DisturbedNetwork(g, Wires(resistance, resistance))
    exact, first = network.exact(read, v), network.first_order(read, v)
    spread = exact.std(axis=0)
    loss = 1 - (network.first_order(g[np.newaxis], v[:1]).sum() / g.sum())
    mean = np.sqrt(np.mean(((first - exact).mean(axis=0) / spread) ** 2))
    width = np.sqrt(np.mean((first.std(axis=0) / spread - 1) ** 2))
    scatter = np.sqrt(np.mean((first - exact).std(axis=0) ** 2 / spread**2))
    return float(loss), float(mean), float(width), float(scatter)


def cost(outputs: int, inputs: int, vectors: int) -> tuple[float, float, float, float]:
    """Seconds to factorise once; seconds per vector by elimination, exact and to first order; 2 % noise."""
    rng = np.random.default_rng(2)
    g, v = rng.uniform(0.1, 1, (1, outputs, inputs)), rng.uniform(0, 1, (vectors, inputs))
    read, wires = g * (1 + 0.02 * rng.normal(size=(vectors, *g.shape))), Wires(1e-4, 1e-4)
    network = DisturbedNetwork(g, wires)
    times = []
    for work in (
        lambda: network.exact(read[:0], v[:0]),
        lambda: effective_matrix(read[0], wires) @ v[0],
        lambda: network.exact(read, v),
        lambda: network.first_order(read, v),
    ):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times[0], times[1], times[2] / vectors, times[3] / vectors


def main() -> None:
    """Print both tables."""
    print("| Rp / Rmin | loss by wires | noise | mean | standard deviation | scatter |\n|---|---|---|---|---|---|")
    for resistance in (1e-5, 1e-4, 1e-3, 1e-2):
        for strength, proportional in ((0.02, True), (0.1, True), (0.3, True), (0.05, False)):
            loss, *rest = errors(resistance, strength, proportional)
            noise = f"{strength:.0%} of " + ("g" if proportional else "Gmax")
            print(
                f"| {resistance:.0e} | {loss:.1%} | {noise} | " + " | ".join(f"{x:.1e}" for x in rest) + " |",
                flush=True,
            )
    print("\n| array | once | elimination | exact | first order |\n|---|---|---|---|---|")
    for outputs, inputs, vectors in ((16, 16, 1000), (64, 64, 100), (64, 256, 20), (64, 1152, 5), (256, 256, 5)):
        once, *each = cost(outputs, inputs, vectors)
        cells = " | ".join(f"{1e3 * x:.3g} ms" for x in each)
        print(f"| {outputs}x{inputs} | {1e3 * once:.0f} ms | {cells} |", flush=True)


if __name__ == "__main__":
    main()
