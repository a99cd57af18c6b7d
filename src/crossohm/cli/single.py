"""The study that options of a command line describe: one point, nothing varied."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossohm.studies import LoadedStudy

#: Options by the setting of a study that they decide about, where their names differ.
_OPTIONS = {
    "repeats.chips": "draws",
    "repeats.seed": "seed",
    "dataset.images": "images",
    "calibration.images": "calibration_images",
    "calibration.objective": "objective",
    "calibration.percentile": "percentile",
    "run.batch_size": "batch_size",
}
#: Of the currents that an ADC range holds, where ranges are chosen by percentiles.
DEFAULT_PERCENTILE = 99.99


def study_of(
    *,
    dataset: str,
    data_dir: Path | None,
    model: str | None,
    hardware: str,
    overrides: Iterable[str] | None,
    plugins: Iterable[Path] | None,
    calibrate: bool,
    calibration_images: int,
    objective: str,
    percentile: float,
    keep_adc_range: bool,
    batch_size: int,
    draws: int = 1,
    images: int | None = None,
    top_k: int = 1,
    seed: int = 1,
) -> LoadedStudy:
    """The study that a command line asks for; relative paths start in the working directory.

    Raises:
        CrossOhmError: an option is not possible; its name is in the message.
    """
    from crossohm.errors import ParameterError, StudyError
    from crossohm.models.pairing import model_for
    from crossohm.studies import load_study, parse_override

    if top_k < 1:
        raise ParameterError("top_k", top_k, "out of range", allowed="a positive integer")
    if objective != "percentile" and percentile != DEFAULT_PERCENTILE and 50 < percentile <= 100:
        raise ParameterError(
            "percentile", percentile, f"has no effect with objective {objective}",
            remedy="Set the objective to percentile, or leave the percentile out",
        )  # fmt: skip
    network = model_for(model, dataset)
    ranges: dict[str, Any] = {"inputs": calibrate, "adc": calibrate and not keep_adc_range}
    if objective == "percentile" or percentile != DEFAULT_PERCENTILE:
        ranges["percentile"] = percentile
    tree = {
        "name": network,
        "model": {"name": network},
        "dataset": {"name": dataset, "data_dir": None if data_dir is None else str(data_dir), "images": images},
        "hardware": {"base": hardware, "set": dict(map(parse_override, overrides or ()))},
        "calibration": {**ranges, "images": calibration_images, "objective": objective},
        "repeats": {"chips": draws, "seed": seed},
        "metric": {"top_k": sorted({1, top_k})},
        "save": {"outputs": True, "layer_snr": False},
        "run": {"batch_size": batch_size},
        "plugins": [str(path) for path in plugins or ()],
    }
    try:
        return load_study(tree)
    except StudyError as error:
        name = _OPTIONS.get(error.path, error.path.removeprefix("hardware.set."))
        told = ParameterError(name, error.value, error.problem, allowed=error.allowed, remedy=error.remedy)
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        raise told from None
