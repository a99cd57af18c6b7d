"""Data of reports, made up: results of two axes, with noise that is easy to tell apart."""

from __future__ import annotations

import itertools

import numpy as np

from crossohm.report import Axis, Histogram, LayerHardware, Measure, Point, ReportData

BITS, ERRORS = (4, 6, 8), (0.0, 0.05)
LAYERS = ("conv1", "block.conv2", "fc")


def layer(name: str, index: int, reach: float) -> dict[str, object]:
    return {
        "layer": name, "kind": "Conv2d", "outputs": 8, "inputs": 20 - 7 * index, "arrays": 1 + index, "array_rows": 16,
        "array_columns": 8, "devices": 1000 * (index + 1), "mvms": 64, "cell_levels": 128, "input_range": (-1.0, 1.0),
        "dac_levels": 255, "adc_levels": 2**index, "adc_ranges": ((-reach, reach),),
    }  # fmt: skip


def hardware(bits: int, layers: tuple[str, ...] = LAYERS) -> LayerHardware:
    return LayerHardware(
        layers=tuple(layer(name, index, bits / 2) for index, name in enumerate(layers)),
        settings={"xbar.adc.mvm.bits": bits, "core.style": "BALANCED", "xbar.adc.mvm.model": "QuantizerADC"},
        exceptions={name: {"core.mapping.inputs.mvm.max": index + 1} for index, name in enumerate(layers)},
    )


def point(number: int, at: tuple[int, ...], label: str, layers: tuple[str, ...] = LAYERS) -> Point:
    rng = np.random.default_rng(number)
    chips = 3
    counts = tuple(int(count) for count in rng.integers(0, 1000, 12))
    return Point(
        label=label,
        positions=at,
        seeds=(1, 2, 3),
        analog={
            "top1": tuple(0.5 + 0.1 * at[0] - 0.2 * at[1] + rng.uniform(-0.02, 0.02, chips)),
            "output_snr": tuple(rng.uniform(10, 20, chips)),
        },
        digital={"top1": 0.875},
        layer_snr={name: tuple(rng.uniform(10, 30, chips)) for name in layers},
        histograms={name: (Histogram(-3.0, 2.5, tuple(np.linspace(-3, 3, 13)), counts),) for name in layers},
        hardware=at[0],
    )


def sweep() -> ReportData:
    """Six points: three ADC resolutions times two programming errors, three chips each."""
    points = [
        point(number, (i, j), f"bits = {BITS[i]}, error = {ERRORS[j]}")
        for number, (i, j) in enumerate(itertools.product(range(3), range(2)))
    ]
    return ReportData(
        title="bits and errors",
        facts=(("Network", "digits_cnn"), ("Data", "digits, 596 test images")),
        measures=(Measure("top1", "Top-1 accuracy", "%", counted=True), Measure("output_snr", "Output SNR", "dB")),
        axes=(
            Axis("bits", tuple(map(str, BITS)), tuple(map(float, BITS))),
            Axis("error", tuple(map(str, ERRORS)), ERRORS),
        ),
        points=tuple(points),
        hardware=tuple(hardware(bits) for bits in BITS),
        study="sweep:\n  grid: {bits: [4, 6, 8]}\n",
    )
