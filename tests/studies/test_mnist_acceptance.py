"""The shipped MNIST network on real MNIST: what 8 bits cost, and what programming errors cost."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "mnist_programming_error.py"
CHIPS = 8
IMAGES = 2000


@cache
def example() -> Any:
    """The script that prints this experiment's table."""
    spec = importlib.util.spec_from_file_location("mnist_programming_error", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_eight_bits_cost_less_than_0_3_points(shared: Path, tmp_path: Path) -> None:
    result = example().measure(0.0, shared / "data" / "mnist", chips=1, folder=tmp_path)
    (chip,) = result.chips
    assert chip.record["images"] == 10_000
    for layer in result.hardware_report(chip)["layers"]:
        assert (layer["cell_levels"], layer["dac_levels"], layer["adc_levels"]) == (128, 255, 255)
    assert chip.record["facts"]["asked"]["calibration"]["images"] == 200
    assert chip.digital["top1"] > 0.99
    assert 100 * (chip.digital["top1"] - chip.analog["top1"]) < 0.3


@pytest.mark.slow
def test_loss_grows_with_programming_error(shared: Path, tmp_path: Path) -> None:
    """Monotone in every chip for the outputs' error, and in the mean over chips for the accuracy.

    A chip keeps its seed, so its errors at 10 % are twice those at 5 %: differences are taken chip by chip, which
    leaves only the spread of the differences.
    """
    data = shared / "data" / "mnist"
    runs = [example().measure(error, data, CHIPS, IMAGES, tmp_path) for error in example().ERRORS]
    error = np.array([_per_chip([chip.record["output"]["noise"] for chip in run.chips]) for run in runs])
    assert np.all(np.diff(error, axis=0) > 0)

    wrong = 1 - np.array([_per_chip(run.spread(0).values) for run in runs])
    steps = np.diff(wrong, axis=0)
    # Single steps are 1.7, 1.4, 3.1 and 4.1 standard errors here; the whole way must be four, which Student's t with 7
    # degrees of freedom exceeds with a probability of 0.3 %.
    assert np.all(steps.mean(axis=1) > 0)
    way = wrong[-1] - wrong[0]
    assert way.mean() > 4 * way.std(ddof=1) / np.sqrt(CHIPS)
    assert runs[0].chips[0].digital["top1"] >= runs[-1].spread(0).mean


def _per_chip(values: Any) -> np.ndarray:
    """One value per chip; without errors all chips are the one that was simulated."""
    return np.broadcast_to(values, CHIPS)
