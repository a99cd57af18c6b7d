"""Training studies: read, checked, and taken apart into points."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError

from crossohm._names import unknown
from crossohm.chip import ChipSpec, NetworkShape, check
from crossohm.chip.cores import check_hardware
from crossohm.errors import ParameterError, StudyError
from crossohm.layers.network import chip_training
from crossohm.params import CrossSimParameters
from crossohm.params.text import PROBLEMS
from crossohm.studies.file.hardware import describe, parse_override
from crossohm.studies.file.problems import placed, shown
from crossohm.studies.file.sections import HardwareSection
from crossohm.studies.file.sources import Source, read_source
from crossohm.studies.training.sections import ChipSection, TrainingStudy
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.described import array_settings_of, rule_of, update_model_of
from crossohm.training.recipes import recipe
from crossohm.training.rules.model import Rule
from crossohm.training.semantics import require_fresh


@final
@dataclass(frozen=True)
class TrainingPoint:
    """One thing to train.

    Attributes:
        label: What is special about it, e.g. ``"device TaOx, rule carry"``.
        settings: What is varied, by the names of the sweep.
        study: What to do, nothing varied.
        array: How weights lie on devices.
        rule: The algorithm.
    """

    label: str
    settings: dict[str, str]
    study: TrainingStudy
    array: ArraySettings
    rule: Rule

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds to train."""
        seeds = self.study.seeds
        return tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)


@final
@dataclass(frozen=True)
class LoadedTraining:
    """A training study that has been checked.

    Attributes:
        study: What it asks.
        points: What is trained.
        tree: The study as plain values.
        source: Where it comes from.
    """

    study: TrainingStudy
    points: tuple[TrainingPoint, ...]
    tree: dict[str, Any]
    source: Source

    @property
    def name(self) -> str:
        """Of the results folder."""
        return self.study.name or Path(self.source.name).stem


def load_training(
    source: str | os.PathLike[str] | Mapping[str, Any], overrides: Iterable[str] = (), folder: Path | None = None
) -> LoadedTraining:
    """Read and check a training study; every point is made once, so that nothing fails later for its settings.

    Args:
        source: A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file, or its content as a dict.
        overrides: Texts ``path=value``.
        folder: Where relative paths start; by default the folder of the file, or the working directory.

    Raises:
        StudyError: an entry is unknown or wrong; names file, line, what is allowed and the nearest name.
        DataError: the file, or one with tables of pulses, cannot be read.
    """
    if isinstance(source, Mapping):
        read = Source("study", dict(source), folder=folder or Path.cwd())
    else:
        read = read_source(Path(source))
    tree = dict(read.tree)
    for text in overrides:
        _assign(tree, *parse_override(text))
    study = _checked(tree, read)
    points = tuple(_point(dict(tree), chosen, read) for chosen in _points(study))
    return LoadedTraining(study, points, tree, read)


def _points(study: TrainingStudy) -> Iterator[dict[str, tuple[str, Any]]]:
    """What every point is set to: each combination of the sweep, as it is and with each value of what varies alone."""
    for chosen in _combinations(study.sweep):
        yield chosen
        for setting, choices in study.vary.items():
            yield from (chosen | alone for alone in _combinations({setting: choices}))


def _combinations(sweep: Mapping[str, Any]) -> Iterator[dict[str, tuple[str, Any]]]:
    """Every combination: for each setting, the name of a value and the value."""
    named = [
        [(setting, str(label), value) for label, value in _labelled(choices)] for setting, choices in sweep.items()
    ]
    for chosen in itertools.product(*named):
        yield {setting: (label, value) for setting, label, value in chosen}


def _labelled(choices: Mapping[str, Any] | list[Any]) -> Iterable[tuple[str, Any]]:
    return choices.items() if isinstance(choices, Mapping) else ((str(value), value) for value in choices)


def _point(tree: dict[str, Any], chosen: Mapping[str, tuple[str, Any]], source: Source) -> TrainingPoint:
    """A combination, checked."""
    for varied in ("sweep", "vary"):
        tree.pop(varied, None)
    for setting, (_, value) in chosen.items():
        _assign(tree, setting, value)
    study = _checked(tree, source)
    settings = {setting: label for setting, (label, _) in chosen.items()}
    label = ", ".join(f"{setting} {label}" for setting, label in settings.items()) or "training"
    try:
        if study.chip is not None:
            _require_of_chip(study)
            chip_shape(study.chip)
            chip_hardware(study.chip, source.folder)
            chip_training().recipe_of(study.chip.recipe, study.epochs)
        else:
            _require_complete(study)
        require_fresh(study.semantics, study.batch)
        model = update_model_of(study.device, source.folder)
        return TrainingPoint(label, settings, study, array_settings_of(study.array, model), rule_of(study.rule))
    except ParameterError as error:
        found = placed(error, source)
        if chosen:
            found.add_note(f"at the point {label}")
        raise found from None


def _assign(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path; tables on the way are copied."""
    *sections, name = path.split(".")
    for section in sections:
        inner = tree.get(section, {})
        if not isinstance(inner, Mapping):
            raise ParameterError(path, inner, f"{section} is a single value here and has no parts")
        tree[section] = dict(inner)
        tree = tree[section]
    tree[name] = value


def _checked(tree: Mapping[str, Any], source: Source) -> TrainingStudy:
    """The study that a tree says.

    Raises:
        StudyError: it says something impossible; the first finding, with its place.
    """
    known = TrainingStudy.model_fields
    parts = known.keys() | ChipSection.model_fields.keys()
    for name, value in tree.items():
        if name not in known:
            raise placed(unknown(str(name), value, known, "entry of a training study"), source)
    try:
        return TrainingStudy(**tree)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in detail["loc"] if str(part) in parts or isinstance(part, int))
        problem = PROBLEMS.get(detail["type"], detail["msg"])
        field = known.get(str(detail["loc"][0]))
        allowed = "" if field is None else str(field.description or "").replace("\n", " ")
        raise StudyError(source.place(path), path, shown(detail["input"]), problem, allowed=allowed) from None


#: What a study of a chip leaves to its recipe.
_NOT_OF_CHIP = ("recipe", "network", "semantics", "batch", "learning_rate", "device", "array", "rule")


def chip_shape(section: ChipSection) -> NetworkShape:
    """The network of a study of a chip.

    Raises:
        ParameterError: a number is out of range, or there is no such entry.
        MappingError: the chip cannot hold it.
    """
    known = [field.name for field in fields(ChipSpec) if field.name not in ("input_bits", "timings", "energies")]
    for name, value in section.spec.items():
        if name not in known:
            raise unknown(f"chip.spec.{name}", value, known, "entry of a chip")
    spec: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in section.spec.items()
    }
    chip = ChipSpec(input_bits=section.input_bits, **spec)
    shape = NetworkShape(chip, tuple(section.sizes), classes=section.classes, input_bits=section.input_bits)
    check(shape)
    return shape


def chip_hardware(section: ChipSection, folder: Path) -> CrossSimParameters | None:
    """The hardware of the chips that a network is judged on; None without any.

    Raises:
        ParameterError: a parameter is unknown or has a wrong value, or cores with comparators cannot have it.
        DataError: a file cannot be read.
    """
    if section.hardware is None:
        return None
    params = describe(HardwareSection(base=section.hardware.base, set=section.hardware.set), folder)
    check_hardware(params, chip_shape(section).chip.sign)
    return params


def _require_of_chip(study: TrainingStudy) -> None:
    """Raise `ParameterError` unless all that a study of a chip says means something to it."""
    for name in _NOT_OF_CHIP:
        if name in study.model_fields_set:
            remedy = "Take it out; rates and batches are in chip.recipe"
            raise ParameterError(name, getattr(study, name), "has no meaning for a chip", remedy=remedy)
    if study.dataset is None:
        raise ParameterError("dataset", None, "not given", remedy="A chip needs images, e.g. mnist or digits")


def _require_complete(study: TrainingStudy) -> None:
    """Raise `ParameterError` unless a study of a network of the user's says all that a recipe would."""
    if study.network is None:
        recipe(study.recipe)
        return
    if ":" not in study.network:
        raise ParameterError("network", study.network, "names no function", allowed="module:function, file.py:function")
    for name in ("dataset", "epochs", "learning_rate"):
        if getattr(study, name) is None:
            raise ParameterError(name, None, "not given", remedy="A network of yours needs it; recipes have their own")
