"""How much programming error does a network on 8-bit analog hardware survive? About a minute on one core.

    python examples/mnist_programming_error.py --data-dir FOLDER

FOLDER holds MNIST's IDX files. Weights are pairs of 7-bit cells, inputs and ADCs have 8 bits; the ADC ranges come from
a percentile profile of the currents on 200 training images. The programming error is Gaussian, proportional to the
conductance a cell was asked to hold; each row of the table is the mean over several chips. Results are kept in
crossohm-results/mnist_programming_error, where the script goes on when it is started again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from crossohm.studies import Results, load_study, run_study

ERRORS = (0.0, 0.05, 0.10, 0.20, 0.30)
RESULTS = Path("crossohm-results") / "mnist_programming_error"


def hardware(error: float, bits: int = 8) -> dict[str, Any]:
    """Balanced pairs of continuous-on/off cells with 8-bit weights, inputs and ADCs."""
    settings = {
        "core": {"rows_max": 256, "cols_max": 256},
        "xbar.device.cell_bits": bits - 1,  # a pair adds the sign bit
        "xbar.device.infinite_on_off_ratio": True,
        "xbar.dac.mvm": {"model": "SignMagnitudeDAC", "bits": bits},
        "xbar.adc.mvm": {"model": "SignMagnitudeADC", "bits": bits},
    }
    if error:
        settings["xbar.device.programming_error"] = {
            "enable": True, "model": "NormalProportionalDevice", "magnitude": error,
        }  # fmt: skip
    return {"base": "default", "set": settings}


def measure(
    error: float, data_dir: Path, chips: int, images: int | None = None, folder: Path = RESULTS, seed: int = 1
) -> Results:
    """Accuracy with one size of programming error; without any, all chips are alike and one is enough."""
    study = {
        "dataset": {"name": "mnist", "data_dir": str(data_dir.resolve()), "images": images},
        "hardware": hardware(error),
        "calibration": {"objective": "percentile"},
        "repeats": {"chips": chips if error else 1, "seed": seed},
        "save": {"outputs": True, "layer_snr": False},
        "run": {"batch_size": 500},
    }
    return run_study(load_study(study), folder / f"error-{error:g}")


def main() -> None:
    parser = argparse.ArgumentParser(description="MNIST accuracy against programming error, on 8-bit analog hardware.")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with MNIST's IDX files")
    parser.add_argument("--chips", type=int, default=5, help="simulated chips per row")
    parser.add_argument("--images", type=int, help="test images, the first ones (default: all 10,000)")
    options = parser.parse_args()
    print("error   accuracy   spread over chips   loss")
    for error in ERRORS:
        result = measure(error, options.data_dir, options.chips, options.images)
        analog, digital = result.spread(0), result.chips[0].digital["top1"]
        spread = "" if analog.std is None else f"{analog.std:.2%}"
        loss = 100 * (digital - analog.mean)
        print(f"{error:5.0%}   {analog.mean:8.2%}   {spread:>17}   {loss:4.2f} points", flush=True)
    print(f"digital: {digital:.2%} of {result.chips[0].record['images']:,} test images")


if __name__ == "__main__":
    main()
