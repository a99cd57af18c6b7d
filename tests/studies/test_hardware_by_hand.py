"""The hardware of a network of two layers, counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import nn

from crossohm import CrossSimParameters
from crossohm.costs.occupancy import hardware_report
from crossohm.torch import TorchNetwork

IMAGE = np.zeros((2, 6, 6), dtype=np.float32)
SMALL = {"core.rows_max": 32, "core.cols_max": 4}
SLICED = {"core.style": "BITSLICED", "core.weight_bits": 9, "core.bit_sliced.num_slices": 4}
OFFSET = {"core.style": "OFFSET"}

# Conv2d(2, 5, 3) on 6 x 6 pixels: 16 positions, a matrix of 5 x 18. Linear(80, 10): one vector, a matrix of 10 x 80.
# In arrays of 32 rows and 4 columns the first needs 2 x 1 partitions (3 and 2 columns), the second 3 x 3 (4, 3, 3
# columns; 27, 27, 26 rows).
CASES: dict[str, tuple[dict[str, Any], tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    # name: hardware; arrays, devices and products per image of both layers
    "balanced": ({}, (2, 2), (180, 1600), (32, 2)),
    "offset": (OFFSET, (1, 1), (90, 800), (16, 1)),
    "offset, unit column": (OFFSET | {"core.offset.style": "UNIT_COLUMN_SUBTRACTION"}, (1, 1), (108, 880), (16, 1)),
    "small arrays": (SMALL, (4, 18), (180, 1600), (64, 18)),
    "four slices": (SLICED, (8, 8), (720, 6400), (128, 8)),
    "four slices in small arrays": (SLICED | SMALL, (16, 72), (720, 6400), (256, 72)),
}


@pytest.mark.parametrize("case", CASES)
def test_arrays_devices_and_products(case: str) -> None:
    changes, arrays, devices, products = CASES[case]
    params = CrossSimParameters()
    params.update(changes)
    network = TorchNetwork(nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 10)))
    report = hardware_report(network.on_hardware([params, params], seed=1), IMAGE)
    assert [(layer.layer, layer.kind) for layer in report.layers] == [("0", "Conv2d"), ("3", "Linear")]
    assert [(layer.outputs, layer.inputs) for layer in report.layers] == [(5, 18), (10, 80)]
    assert tuple(layer.arrays for layer in report.layers) == arrays
    assert tuple(layer.devices for layer in report.layers) == devices
    assert tuple(layer.mvms for layer in report.layers) == products
    assert report.as_dict()["totals"] == {"arrays": sum(arrays), "devices": sum(devices), "mvms": sum(products)}
    columns = 4 if "small" in case else 11 if "unit" in case else 10
    assert report.largest_array == (27 if "small" in case else 80, columns)
