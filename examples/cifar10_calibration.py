"""ADC resolution against accuracy of a trained ResNet-20, for calibrated ranges and others. Some minutes on two cores.

    python examples/cifar10_calibration.py --images cifar10.npz --weights resnet20_cifar10.pth

Weights and inputs have 8 bits, arrays 1152 rows; the files are those of ``cifar10_resnet20.py``. The last 500 images
choose the ranges, whose labels are not used; the others are classified. The table has one column for each way to choose
ADC ranges; input ranges are always calibrated. "max" is the range that no current of the array can exceed.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _cifar10 import images, trained

import crossohm
from crossohm import CrossSimParameters
from crossohm.torch import TorchNetwork

CALIBRATION = 500
#: Ways to choose ADC ranges, as arguments of `crossohm.calibrate`.
WAYS: dict[str, dict[str, Any]] = {
    "L2": {"objective": "L2"},
    "L2, blind to ReLUs": {"objective": "L2", "relu_aware": False},
    "L1": {"objective": "L1"},
    "99.99 %": {"objective": "percentile", "percentile": 99.99},
    "max": {"keep_adc_ranges": True},
}


def hardware(adc_bits: int, layers: int) -> list[CrossSimParameters]:
    """One description per layer; the inputs of the first are images and have signs, the others come from ReLUs."""
    described = []
    for layer in range(layers):
        params = CrossSimParameters()
        params.update(
            {
                "core.rows_max": 1152,
                "xbar.device.cell_bits": 7,  # a pair of cells adds the sign bit
                "xbar.device.infinite_on_off_ratio": True,
                "xbar.dac.mvm.model": "QuantizerDAC" if layer else "SignMagnitudeDAC",
                "xbar.dac.mvm.signed": layer == 0,
                "xbar.dac.mvm.bits": 8,
                "xbar.adc.mvm.model": "QuantizerADC",
                "xbar.adc.mvm.bits": adc_bits,
                "xbar.adc.mvm.adc_range_option": "MAX",
            }
        )
        described.append(params)
    return described


def accuracy(network: TorchNetwork, layers: Sequence[Any], x: np.ndarray, labels: np.ndarray) -> float:
    """Share of right answers on one chip, 0..1."""
    classes = network.on_hardware(layers, seed=1).outputs(x).argmax(axis=1)
    return float(np.mean(classes == labels))


def cost(network: TorchNetwork, x: np.ndarray) -> str:
    """Time of a calibration over that of a pass through the network on hardware; peak memory of the process."""
    layers = hardware(6, len(network.convertible))
    start = time.perf_counter()
    found = crossohm.calibrate(network, x, layers)
    calibrated = time.perf_counter() - start
    analog = network.on_hardware(list(found.hardware.values()), seed=1)
    passes = []
    for one in (analog, analog, network, network):
        start = time.perf_counter()
        one.outputs(x)
        passes.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ratios = [calibrated / min(passes[:2]), calibrated / min(passes[2:])]
    return (
        f"calibration on {len(x)} images: {calibrated:.1f} s, {ratios[0]:.1f} passes on hardware ({ratios[1]:.1f} "
        f"digital ones); peak memory of the process {peak:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Accuracy of ResNet-20 against ADC resolution.")
    parser.add_argument("--images", type=Path, required=True, help="npz file with x and y")
    parser.add_argument("--weights", type=Path, required=True, help="state dict of the network")
    parser.add_argument("--count", type=int, help="images classified, the first ones (default: all but the last 500)")
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 5, 6, 7, 8], help="ADC resolutions")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help="columns of the table")
    options = parser.parse_args()
    x, labels = images(options.images)
    held_apart, count = x[-CALIBRATION:], options.count or len(x) - CALIBRATION
    x, labels = x[:-CALIBRATION][:count], labels[:-CALIBRATION][:count]
    network = TorchNetwork(trained(options.weights), batch_size=100)
    print(cost(network, held_apart))
    digital = network.outputs(x).argmax(axis=1)
    print(f"digital: {np.mean(digital == labels):.2%} of {len(labels)} images\n")
    print("bits" + "".join(f"{way:>20}" for way in options.ways))
    for bits in options.bits:
        described, row = hardware(bits, len(network.convertible)), f"{bits:4}"
        for way in options.ways:
            found = crossohm.calibrate(network, held_apart, described, **WAYS[way])
            row += f"{accuracy(network, list(found.hardware.values()), x, labels):20.2%}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
