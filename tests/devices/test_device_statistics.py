"""Random models obey their stated laws.

All samples come from fixed seeds, so a test either always passes or always fails. Significance: over seeds, each
Kolmogorov-Smirnov test rejects a true law with probability 1e-3; means and standard deviations may deviate by four
standard errors.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from crossohm._random import ChipDraw, Draw, chip_rng
from crossohm.backends import backend_of
from crossohm.devices import DEVICES, Cell, Device

N = 40_000
ALPHA = 1e-3
GENERIC = Cell(r_min=1e4, rho=0.1, v_read=0.1, magnitude=0.05)
PCM = Cell(r_min=4e4, rho=0.01, v_read=0.1)
MILO = Cell(r_min=1e6 / 225, rho=1 / 4.5, v_read=0.5)
WAN = Cell(r_min=1e6 / 39.26, rho=0.02, v_read=0.1)
SONOS = Cell(r_min=1e9 * 0.1 / 1600, rho=1e-7, v_read=0.1, time=5.0)

# model, role, cell, g -> mean and standard deviation
NORMAL = [
    ("NormalIndependentDevice", "programming_error", GENERIC, 0.5, 0.5, 0.05),
    ("NormalIndependentDevice", "read_noise", GENERIC, 0.5, 0.5, 0.05),
    ("NormalProportionalDevice", "programming_error", GENERIC, 0.5, 0.5, 0.025),
    ("NormalProportionalDevice", "read_noise", GENERIC, 0.5, 0.5, 0.025),
    ("NormalInverseProportionalDevice", "programming_error", GENERIC, 0.5, 0.5, 0.10),
    ("NormalInverseProportionalDevice", "read_noise", GENERIC, 0.5, 0.5, 0.10),
    ("PCMJoshi", "programming_error", PCM, 0.4, 0.4, (-0.178767 + 0.7585724 + 0.28638599) / 25),
    ("RRAMMilo", "programming_error", MILO, 100 / 225, 100 / 225, (4.782321 - 0.9107) / 225),
    ("RRAMWan", "programming_error", WAN, 10 / 39.26, 10 / 39.26, (0.1536 - 1.167 + 2.374 + 1.053) / 39.26),
    ("SONOS", "programming_error", SONOS, 0.25, 0.25, 19.88665 * (1 - math.exp(-400 / 176.3115)) / 1600),
    ("SONOS", "drift_error", SONOS, 500 / 1600, 495.645965 / 1600,
     34.57909 * (1 - math.exp(-495.645965 / 207.34309)) / 1600),
    ("SONOS", "read_noise", SONOS, 0.25, 0.25, 12.58037 * (1 - math.exp(-400 / 215.36557)) / 1600),
]  # fmt: skip
UNIFORM = [
    (f"Uniform{dependence}Device", role, GENERIC, 0.5, 0.5, width / math.sqrt(12))
    for dependence, width in (("Independent", 0.05), ("Proportional", 0.025), ("InverseProportional", 0.10))
    for role in ("programming_error", "read_noise")
]


def sample(name: str, role: str, cell: Cell, g: float) -> np.ndarray:
    draw = ChipDraw(chip_rng(20261123, name, role))
    result: np.ndarray = getattr(DEVICES.create(name, ""), role)(np.full(N, g), cell, draw)
    return result


@pytest.mark.parametrize(("name", "role", "cell", "g", "mean", "std"), NORMAL + UNIFORM)
def test_mean_and_standard_deviation(name: str, role: str, cell: Cell, g: float, mean: float, std: float) -> None:
    values = sample(name, role, cell, g)
    assert values.mean() == pytest.approx(mean, abs=4 * std / math.sqrt(N) + 1e-8)
    assert values.std() == pytest.approx(std, rel=4 / math.sqrt(2 * N))


@pytest.mark.parametrize(("name", "role", "cell", "g", "mean", "std"), NORMAL)
def test_gaussian_law(name: str, role: str, cell: Cell, g: float, mean: float, std: float) -> None:
    assert stats.kstest(sample(name, role, cell, g), stats.norm(mean, std).cdf).pvalue > ALPHA


@pytest.mark.parametrize(("name", "role", "cell", "g", "mean", "std"), UNIFORM)
def test_uniform_law(name: str, role: str, cell: Cell, g: float, mean: float, std: float) -> None:
    values, width = sample(name, role, cell, g), std * math.sqrt(12)
    assert values.min() >= mean - width / 2
    assert values.max() <= mean + width / 2
    assert stats.kstest(values, stats.uniform(mean - width / 2, width).cdf).pvalue > ALPHA


@pytest.mark.parametrize("law", ["Normal", "Uniform"])
@pytest.mark.parametrize("role", ["programming_error", "read_noise"])
def test_inverse_proportional_with_an_off_cell_first(law: str, role: str) -> None:
    """The off cell has no error, and leaves the errors of the others as they are (no integer reciprocals)."""
    cell = replace(GENERIC, magnitude=0.02)
    g = np.concatenate([[0.0], np.full(N, 0.8)])
    model = DEVICES.create(f"{law}InverseProportionalDevice", "")
    values = getattr(model, role)(g, cell, ChipDraw(chip_rng(1, law)))
    std = 0.02 / 0.8 * (1 if law == "Normal" else 1 / math.sqrt(12))
    assert values[0] == 0
    assert values[1:].std() == pytest.approx(std, rel=4 / math.sqrt(2 * N))


def test_errors_of_different_cells_are_uncorrelated() -> None:
    values = sample("NormalIndependentDevice", "programming_error", GENERIC, 0.5) - 0.5
    correlation = np.corrcoef(values[:-1], values[1:])[0, 1]
    assert abs(correlation) < 4 / math.sqrt(N)


def _operation_draw(library: str) -> tuple[Any, Draw]:
    if library == "numpy":
        g: Any = np.full(N, 0.5)
        return g, backend_of(g).stream(np.random.default_rng(4))
    if library == "torch":
        torch = pytest.importorskip("torch")
        g = torch.full((N,), 0.5)
        return g, backend_of(g).stream(torch.Generator().manual_seed(4))
    if library == "tensorflow":
        tf = pytest.importorskip("tensorflow")
        g = tf.fill((N,), 0.5)
        return g, backend_of(g).stream(tf.random.Generator.from_seed(4))
    jax = pytest.importorskip("jax")
    g = jax.numpy.full((N,), 0.5)
    return g, backend_of(g).stream(jax.random.key(4))


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "tensorflow"])
@pytest.mark.parametrize(
    ("name", "std"), [("NormalProportionalDevice", 0.025), ("UniformProportionalDevice", 0.0072169)]
)
def test_read_noise_from_the_librarys_own_generator(library: str, name: str, std: float) -> None:
    """Noise is fresh in every read and obeys the same law in every array library."""
    g, draw = _operation_draw(library)
    model: Device = DEVICES.create(name, "")
    first, second = (np.asarray(model.read_noise(g, GENERIC, draw)) - 0.5 for _ in range(2))
    assert first.std() == pytest.approx(std, rel=4 / math.sqrt(2 * N))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(N)
