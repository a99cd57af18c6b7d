"""A trained ResNet-20 on analog hardware: how often it answers as the digital one. Some minutes on two cores.

    python examples/cifar10_resnet20.py --images cifar10.npz --weights resnet20_cifar10.pth

The weights are a state dict of the CIFAR ResNet-20 (He et al., https://arxiv.org/abs/1512.03385) with 1x1 projections
as shortcuts; the images are an npz file with ``x`` (count, 32, 32, 3) uint8 RGB and ``y`` labels. BatchNorm is folded;
ranges of inputs and ADCs come from the first 200 images, whose labels are not used. Rows with errors are means over
several chips.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _cifar10 import images, on_chips, trained

from crossohm.torch import TorchNetwork

EIGHT_BITS: dict[str, Any] = {
    "xbar.device.Rmax": 1e5,
    "xbar.device.Rmin": 1e3,
    "xbar.device.cell_bits": 7,  # a pair of cells adds the sign bit
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 8,
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 8,
}
SMALL = {**EIGHT_BITS, "core.rows_max": 144}


def error(size: float) -> dict[str, Any]:
    """A Gaussian programming error, proportional to the conductance."""
    section = "xbar.device.programming_error"
    return {f"{section}.enable": True, f"{section}.model": "NormalProportionalDevice", f"{section}.magnitude": size}


SETTINGS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "8-bit weights, inputs and ADCs": EIGHT_BITS,
    "the same, 144-row arrays": SMALL,
    "the same, 5 % programming error": {**SMALL, **error(0.05)},
    "the same, 20 % programming error": {**SMALL, **error(0.20)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="CIFAR-10 accuracy of ResNet-20 on analog hardware.")
    parser.add_argument("--images", type=Path, required=True, help="npz file with x and y")
    parser.add_argument("--weights", type=Path, required=True, help="state dict of the network")
    parser.add_argument("--count", type=int, help="images, the first ones (default: all)")
    parser.add_argument("--chips", type=int, default=3, help="simulated chips per row with errors")
    options = parser.parse_args()
    x, labels = images(options.images, options.count)
    network = TorchNetwork(trained(options.weights))
    digital = network.outputs(x).argmax(1)
    print(f"{'setting':36}accuracy   same class as digital\n{'digital':36}{(digital == labels).mean():8.2%}")
    for name, settings in SETTINGS.items():
        found = on_chips(network, settings, x, options.chips)
        accuracy, same = (np.mean([(classes == other).mean() for classes in found]) for other in (labels, digital))
        print(f"{name:36}{accuracy:8.2%}   {same:8.2%}", flush=True)


if __name__ == "__main__":
    main()
