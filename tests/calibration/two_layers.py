"""A network made of NumPy and cores alone, ``second(relu(first(x)))``: no framework is needed to calibrate it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from crossohm import AnalogCore, CrossSimParameters

RNG = np.random.default_rng(5)
FIRST, SECOND = RNG.normal(size=(12, 20)), RNG.normal(size=(6, 12))
IMAGES = RNG.normal(size=(150, 20)).astype(np.float32)
HIDDEN = np.maximum(IMAGES @ FIRST.T, 0)


@dataclasses.dataclass(frozen=True)
class TwoLayers:
    cores: dict[str, Any]
    batch: int = 64
    bias: float = 0.0
    convertible = ("first", "second")
    hardware: tuple[CrossSimParameters, ...] = ()

    @property
    def floors(self) -> dict[str, np.ndarray]:
        return {"first": np.full(12, -self.bias)}

    def on_hardware(self, hardware: Sequence[CrossSimParameters], seed: int) -> TwoLayers:
        matrices = zip(self.convertible, (FIRST, SECOND), hardware, strict=True)
        cores = {name: AnalogCore(w, p, seed=seed, name=name) for name, w, p in matrices}
        return dataclasses.replace(self, cores=cores)

    def outputs(self, images: np.ndarray, stage: str, progress: Any) -> np.ndarray:
        found = []
        for start in range(0, len(images), self.batch):
            hidden = np.maximum(self.cores["first"] @ images[start : start + self.batch].T + self.bias, 0)
            found.append((self.cores["second"] @ hidden).T)
            progress(stage, start + found[-1].shape[0], len(images))
        return np.concatenate(found)


def hardware(**changes: Any) -> CrossSimParameters:
    params = CrossSimParameters()
    params.update(
        {
            "xbar.device.infinite_on_off_ratio": True,
            "xbar.dac.mvm.model": "SignMagnitudeDAC",
            "xbar.dac.mvm.bits": 12,
            "xbar.adc.mvm.model": "QuantizerADC",
            "xbar.adc.mvm.bits": 8,
        }
    )
    params.update({path.replace("__", "."): value for path, value in changes.items()})
    return params
