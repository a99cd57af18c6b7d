"""What an inference run depends on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final, get_args

from crossohm.calibration.ranges import Measure
from crossohm.errors import ParameterError
from crossohm.models.pairing import model_for
from crossohm.params import CrossSimParameters

#: Of the currents that an ADC range holds, where ranges are chosen by percentiles.
DEFAULT_PERCENTILE = 99.99
#: More chips than anyone waits for; a slip of the pen.
MOST_CHIPS = 100_000


@final
@dataclass(frozen=True)
class RunSettings:
    """One inference run: a trained network, its test images, and the hardware it is put on.

    Attributes:
        hardware: Description used for every layer.
        dataset: Name for `crossohm.datasets.load_dataset`.
        data_dir: Folder with the files of the data set, if it needs one.
        model: Name for `crossohm.models.load_model`; None: the shipped network of the data set.
        draws: Number of chips; their seeds are ``seed``, ``seed + 1``, ...
        images: Number of test images, the first ones; None: all.
        batch_size: Images computed at a time; changes memory and speed only.
        top_k: Answers that count in the second accuracy.
        seed: Of the first chip.
        calibrate: Find input and ADC ranges on training images; otherwise those of ``hardware`` are used.
        calibration_images: How many, the first ones of the training split.
        objective: What ranges are chosen by: the least error, ``"L2"`` or ``"L1"``, or ``"percentile"``; see
            `crossohm.calibrate`.
        percentile: Of the currents an ADC range holds, for the objective of that name; None: ADC ranges stay as
            described, whatever the objective.

    Raises:
        ParameterError: a setting is out of range, or no such data set or model.
        UnsupportedError: no shipped network was trained on the data set.
    """

    hardware: CrossSimParameters = field(default_factory=CrossSimParameters)
    dataset: str = "digits"
    data_dir: Path | None = None
    model: str | None = None
    draws: int = 5
    images: int | None = None
    batch_size: int = 250
    top_k: int = 3
    seed: int = 1
    calibrate: bool = True
    calibration_images: int = 200
    objective: Measure = "L2"
    percentile: float | None = DEFAULT_PERCENTILE

    def __post_init__(self) -> None:
        for name in ("draws", "batch_size", "top_k", "calibration_images"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "a positive integer")
        _require("draws", self.draws, self.draws <= MOST_CHIPS, f"at most {MOST_CHIPS}")
        _require("images", self.images, self.images is None or self.images >= 1, "a positive integer, or None for all")
        _require("seed", self.seed, 0 <= self.seed < 2**62, "an integer from 0 to 2**62 - 1")
        _require("objective", self.objective, self.objective in get_args(Measure), ", ".join(get_args(Measure)))
        percent = self.percentile
        _require("percentile", percent, percent is None or 50 < percent <= 100, "above 50, at most 100")
        if self.objective != "percentile" and percent not in (None, DEFAULT_PERCENTILE):
            raise ParameterError(
                "percentile", percent, f"has no effect with objective {self.objective}",
                remedy="Set the objective to percentile, or leave the percentile out",
            )  # fmt: skip
        object.__setattr__(self, "model", model_for(self.model, self.dataset))

    @property
    def seeds(self) -> range:
        """One seed per chip."""
        return range(self.seed, self.seed + self.draws)

    def as_dict(self) -> dict[str, Any]:
        """All settings except the hardware, as plain values."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "hardware"}
        return {**found, "data_dir": None if self.data_dir is None else str(self.data_dir)}


def _require(name: str, value: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise ParameterError(name, value, "out of range", allowed=allowed)
