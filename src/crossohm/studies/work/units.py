"""Units of work: one chip at one point of a sweep, named by everything its result depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import crossohm
from crossohm.layers.patterns import patterns_of
from crossohm.params import CrossSimParameters
from crossohm.studies.file.axes import combinations
from crossohm.studies.file.hardware import describe
from crossohm.studies.file.pairing import file_of
from crossohm.studies.file.sections import LayerSection, Study
from crossohm.studies.file.study_file import LoadedStudy
from crossohm.studies.results.sealed import digest, file_digest
from crossohm.studies.work.session import Session

#: Part of every key; raised when the same settings give other numbers for a reason that no version shows.
METHOD = 2

#: Causes of errors taken away: pairs of a layer name (``"*"``: all) and a name in `NONIDEALITIES`.
Cures = tuple[tuple[str, str], ...]


@final
@dataclass(frozen=True, eq=False)
class Unit:
    """One chip at one point, with all that a process needs to compute it; travels between processes.

    Attributes:
        point: Number of the point.
        coordinates: Its settings, ``{path: value}``.
        seed: The chip.
        cures: Causes of errors to take away.
        study: The study at that point, nothing varied.
        folder: Where relative paths start.
        described: The hardware of every layer, as `layer_hardware` packs it.
        facts: What decides about the numbers of the point, beside the chip and the cures.
    """

    point: int
    coordinates: dict[str, Any]
    seed: int
    cures: Cures
    study: Study
    folder: Path
    described: dict[str, Any]
    facts: dict[str, Any]

    @cached_property
    def key(self) -> str:
        """Hash of everything the result depends on."""
        return digest({"facts": self.facts, "seed": self.seed, "cures": self.cures})


def plan(loaded: LoadedStudy, session: Session, points: Sequence[Cures] | None = None) -> list[Unit]:
    """All units of a study, chips of a point together.

    Args:
        loaded: The study.
        session: Has its network and data.
        points: Causes of errors to take away, one point for each entry, instead of the sweep of the study.

    Raises:
        CrossOhmError: a point is not possible; network or data cannot be loaded.
    """
    session.start(loaded.study.plugins)
    settings = list(combinations(loaded.axes)) if points is None else [{}] * len(points)
    cures: Sequence[Cures] = [()] * len(settings) if points is None else points
    return [
        unit
        for number, (changes, cured) in enumerate(zip(settings, cures, strict=True))
        for unit in _chips(number, changes, cured, loaded.point(changes), loaded, session)
    ]


def _chips(
    number: int, changes: dict[str, Any], cures: Cures, study: Study, loaded: LoadedStudy, session: Session
) -> Iterator[Unit]:
    facts, described = _facts(study, loaded, session)
    for seed in range(study.repeats.seed, study.repeats.seed + study.repeats.chips):
        yield Unit(number, changes, seed, cures, study, loaded.source.folder, described, facts)


def _facts(study: Study, loaded: LoadedStudy, session: Session) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that decides about the numbers of a point: what was asked, and fingerprints of what was found."""
    described, bias_rows = layer_hardware(study, loaded, session.network(study).convertible)
    asked = study.model_dump(mode="json", exclude={"sweep", "repeats", "name", "hardware", "plugins"})
    for name in ("data_dir", "inputs", "targets", "test_share"):
        del asked["dataset"][name]  # images and weights count, not where they lie
    del asked["model"]["checkpoint"]
    if not study.metrics:
        del asked["metrics"]  # named as before there were any
    own_metrics = dict.fromkeys(
        one.name.rpartition(":")[0] for one in study.metrics if file_of(one.name, loaded.source.folder)
    )
    saved = study.calibration.file
    calibrates = study.calibration.inputs and saved is None
    del asked["calibration"]["file"]  # its ranges count, not where it lies
    facts = {
        "method": METHOD,
        "crossohm": crossohm.__version__,
        "asked": asked,
        "model": session.model_digest(study),
        "source": session.source_digest(study),
        "test": session.test_images(study).digest,
        "train": session.training_images(study).digest if calibrates else None,
        "ranges": None if saved is None else file_digest(loaded.source.folder / saved),
        "hardware": digest(described),
        "bias_rows": bias_rows,
        "plugins": [file_digest(loaded.source.folder / name) for name in (*study.plugins, *own_metrics)],
    }
    return facts, described


def layer_hardware(study: Study, loaded: LoadedStudy, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, int]]:
    """Described hardware of every layer, and rows for its bias.

    Returns:
        ``{"trees": [...], "layers": {name: number of its tree, or None if digital}}``, and rows by layer name.

    Raises:
        UnknownNameError: an exception is made for layers that do not exist.
    """
    exceptions = study.hardware.layers
    places = {pattern: f"hardware.layers.{pattern}" for pattern in exceptions}
    trees: dict[tuple[str, ...], int] = {}
    layers: dict[str, int | None] = {}
    rows: dict[str, int] = {}
    for name, chosen in patterns_of(places, names, "layer of the network").items():
        given = [exceptions[pattern] for pattern in chosen]
        number = None if _is_digital(given) else trees.setdefault(chosen, len(trees))
        layers[name] = number
        rows[name] = _rows(given, study.hardware.bias_rows)
    built = [
        describe(study.hardware, loaded.source.folder, [exceptions[pattern] for pattern in chosen]).as_dict()
        for chosen in trees
    ]
    return {"trees": built, "layers": layers}, rows


def _is_digital(given: Sequence[LayerSection]) -> bool:
    """True if the last exception that says anything about it says so."""
    said = [layer.digital for layer in given if "digital" in layer.model_fields_set]
    return bool(said) and said[-1]


def _rows(given: Sequence[LayerSection], default: int) -> int:
    return next((layer.bias_rows for layer in reversed(given) if layer.bias_rows is not None), default)


def unpacked(described: dict[str, Any]) -> dict[str, CrossSimParameters | None]:
    """The descriptions that `layer_hardware` packed, by layer name."""
    trees = [CrossSimParameters(**tree) for tree in described["trees"]]
    return {name: None if number is None else trees[number] for name, number in described["layers"].items()}


def stand_ins(described: Mapping[str, CrossSimParameters | None]) -> dict[str, CrossSimParameters]:
    """The descriptions, ideal where a layer stays digital: what calibration takes."""
    return {name: params or CrossSimParameters() for name, params in described.items()}
