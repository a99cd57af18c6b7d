"""Resistive memory against SONOS: a trained ResNet-14 on published models of both. Some minutes on two cores.

    python examples/cifar10_resnet14.py --images cifar10.npz --weights resnet14_cifar10.pth

Images and weights as in cifar10_resnet20.py. Arrays have 576 rows and 256 columns, weights are pairs of 7-bit cells,
inputs and ADCs have 8 bits; BatchNorm is folded; ranges come from the first 200 images, whose labels are not used. The
conductances of the resistive cells lie within a factor of 4.5, with errors of 2.7 to 4.3 uS of 225 uS; SONOS cells can
be switched off, and the smaller a current, the smaller its error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from _cifar10 import images, on_chips, trained

from crossohm.torch import TorchNetwork

ARRAYS: dict[str, Any] = {
    "core.rows_max": 576,
    "core.cols_max": 256,
    "xbar.device.cell_bits": 7,  # a pair of cells adds the sign bit
    "xbar.dac.mvm.model": "SignMagnitudeDAC",
    "xbar.dac.mvm.bits": 8,
    "xbar.adc.mvm.model": "QuantizerADC",
    "xbar.adc.mvm.bits": 8,
}


def cells(model: str, r_min: float, r_max: float, *, exact: bool = False) -> dict[str, Any]:
    """Cells with the programming error of a published model, or without any."""
    return {
        **ARRAYS,
        "xbar.device.Rmin": r_min,
        "xbar.device.Rmax": r_max,
        "xbar.device.programming_error.enable": not exact,
        "xbar.device.programming_error.model": model,
    }


SETTINGS = {
    "resistive memory, no errors": cells("RRAMMilo", 4450.0, 20e3, exact=True),
    "resistive memory (Milo)": cells("RRAMMilo", 4450.0, 20e3),
    "SONOS, no errors": cells("SONOS", 37.5e3, 1e12, exact=True),
    "SONOS": cells("SONOS", 37.5e3, 1e12),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="CIFAR-10 accuracy of ResNet-14 on resistive memory and on SONOS.")
    parser.add_argument("--images", type=Path, required=True, help="npz file with x and y")
    parser.add_argument("--weights", type=Path, required=True, help="state dict of the network")
    parser.add_argument("--count", type=int, help="images, the first ones (default: all)")
    parser.add_argument("--chips", type=int, default=5, help="simulated chips per row with errors")
    options = parser.parse_args()
    x, labels = images(options.images, options.count)
    network = TorchNetwork(trained(options.weights))
    digital = network.outputs(x).argmax(1)
    print(f"{'setting':32}accuracy   spread over chips   same class as digital")
    print(f"{'digital':32}{(digital == labels).mean():8.2%}")
    for name, settings in SETTINGS.items():
        found = on_chips(network, settings, x, options.chips)
        accuracy = [(classes == labels).mean() for classes in found]
        spread = f"{np.std(accuracy, ddof=1):.2%}" if len(found) > 1 else ""
        same = np.mean([(classes == digital).mean() for classes in found])
        print(f"{name:32}{np.mean(accuracy):8.2%}   {spread:>17}   {same:8.2%}", flush=True)


if __name__ == "__main__":
    main()
