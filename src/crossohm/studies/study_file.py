"""Study files: read, checked, with settings from the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError

from crossohm.errors import DataError, ParameterError, StudyError
from crossohm.studies.axes import Axis, axes_of
from crossohm.studies.hardware import describe, parse_override
from crossohm.studies.problems import placed, shown, study_error
from crossohm.studies.sections import Study, SweepSection
from crossohm.studies.sources import Source, read_source
from crossohm.studies.tree import assign, written_out


@final
@dataclass(frozen=True)
class LoadedStudy:
    """A study that has been checked, and what is needed to check its points.

    Attributes:
        study: What it asks.
        axes: What it varies.
        tree: The same as plain values, short forms written out.
        source: Where it comes from.
    """

    study: Study
    axes: tuple[Axis, ...]
    tree: dict[str, Any]
    source: Source

    @property
    def name(self) -> str:
        """Of the results folder."""
        return self.study.name or Path(self.source.name).stem

    def without_sweep(self) -> LoadedStudy:
        """The study by itself, nothing varied."""
        tree = {name: section for name, section in self.tree.items() if name != "sweep"}
        return replace(self, study=self.study.model_copy(update={"sweep": SweepSection()}), axes=(), tree=tree)

    def point(self, settings: Mapping[str, Any]) -> Study:
        """The study with some settings changed and nothing varied.

        Raises:
            StudyError: a setting is not possible.
        """
        tree = written_out({name: section for name, section in self.tree.items() if name != "sweep"})
        place = self.source.place(_entry_of(settings, self.source))
        try:
            for path, value in settings.items():
                assign(tree, path, value)
            return _checked(tree, self.source)
        except ParameterError as error:
            how = {"allowed": error.allowed, "remedy": error.remedy}
            found = StudyError(place, error.path, shown(error.value), error.problem, **how)
        except DataError as error:
            found = StudyError(place, *next(iter(settings.items())), str(error))
        if len(settings) > 1:
            found.add_note(f"at the point {settings}")
        raise found


def _entry_of(settings: Mapping[str, Any], source: Source) -> str:
    """The entry of the section sweep that asks for these settings."""
    entries = (f"sweep.{kind}.{path}" for path in settings for kind in ("grid", "zip"))
    return next((entry for entry in entries if entry in source.lines), "sweep.points")


def load_study(
    source: str | os.PathLike[str] | Mapping[str, Any], overrides: Iterable[str] = (), folder: Path | None = None
) -> LoadedStudy:
    """Read and check a study.

    Args:
        source: A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file, or its content as a dict.
        overrides: Texts ``path=value``; see `crossohm.studies.tree.assign` for paths.
        folder: Where relative paths start; by default the folder of the file, or the working directory.

    Raises:
        StudyError: an entry is unknown or wrong; names file, line, what is allowed and the nearest name.
        DataError: the file cannot be read.
    """
    if isinstance(source, Mapping):
        read = Source("study", dict(source), folder=folder or Path.cwd())
    else:
        read = read_source(Path(source))
    tree = written_out(read.tree)
    study = _checked(tree, read)
    changes = tuple(overrides)
    if changes:
        read = replace(read, name=f"{read.name} with --set", lines={})
        for text in changes:
            assign(tree, *parse_override(text))
        tree = written_out(tree)
        study = _checked(tree, read)
    try:
        loaded = LoadedStudy(study, axes_of(study.sweep), tree, read)
    except ParameterError as error:
        raise placed(error, read) from None
    for axis in loaded.axes:
        for settings in axis.positions:
            loaded.point(settings)
    return loaded


def _checked(tree: Mapping[str, Any], source: Source) -> Study:
    """The study, with every hardware description that layers may get built once.

    Raises:
        StudyError: an entry is unknown or wrong.
        DataError: a hardware file cannot be read.
    """
    try:
        study = Study.model_validate(dict(tree))
    except ValidationError as error:
        raise study_error(error, source) from None
    exceptions = {f"hardware.layers.{name}": (layer,) for name, layer in study.hardware.layers.items()}
    for section, layers in ({"hardware": ()} | exceptions).items():
        try:
            describe(study.hardware, source.folder, layers)
        except ParameterError as error:
            raise placed(error, source, f"{section}.set") from None
        except DataError as error:
            raise DataError(f"{source.place(f'{section}.base')}: {error}") from None
    return study
