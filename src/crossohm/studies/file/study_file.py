"""Study files: read, checked, with settings from the command line."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError

from crossohm.errors import DataError, ParameterError, StudyError
from crossohm.studies.file.axes import Axis, axes_of, whole_spans
from crossohm.studies.file.hardware import describe, parse_override
from crossohm.studies.file.problems import placed, shown, study_error
from crossohm.studies.file.sections import Study, SweepSection
from crossohm.studies.file.sources import Source, read_source
from crossohm.studies.file.tree import assign, written_out


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
        try:
            for path, value in settings.items():
                assign(tree, path, value)
            return _checked(tree, self.source)
        except (ParameterError, DataError) as error:
            raise self.blamed(error, settings) from None

    def blamed(self, error: ParameterError | DataError, settings: Mapping[str, Any]) -> StudyError:
        """An error at a point, with the place in the file of the settings that cause it."""
        if isinstance(error, ParameterError):
            varied = any(name.endswith(error.path) for name in settings)
            place = self.place_of(error.path if varied else "" if settings else f"hardware.set.{error.path}", settings)
            how = {"allowed": error.allowed, "remedy": error.remedy}
            found = StudyError(place, error.path, shown(error.value), error.problem, **how)
        else:
            found = StudyError(self.place_of("", settings), *next(iter(settings.items())), str(error))
        for note in getattr(error, "__notes__", ()):
            found.add_note(note)
        if len(settings) > 1:
            found.add_note(f"at the point {settings}")
        return found

    def place_of(self, path: str, settings: Collection[str]) -> str:
        """Where the file gives a setting: in the sweep if that varies it, or at its path, or at what is varied."""
        nearest = [name for name in settings if path and name.endswith(path)]
        if not settings or (path in self.source.lines and not nearest):
            return self.source.place(path)
        nearest = nearest or list(settings)
        entries = (f"sweep.{kind}.{name}" for name in nearest for kind in ("grid", "zip"))
        return self.source.place(next((entry for entry in entries if entry in self.source.lines), "sweep.points"))


def load_study(
    source: str | os.PathLike[str] | Mapping[str, Any], overrides: Iterable[str] = (), folder: Path | None = None
) -> LoadedStudy:
    """Read and check a study.

    Args:
        source: A ``.yaml``, ``.yml``, ``.json`` or ``.toml`` file, or its content as a dict.
        overrides: Texts ``path=value``; see `crossohm.studies.file.tree.assign` for paths.
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
            _check_position(loaded, settings, axis)
    return loaded


def _check_position(loaded: LoadedStudy, settings: Mapping[str, Any], axis: Axis) -> None:
    """Refuse a position of an axis that is not possible, and say of spans which steps would be.

    Raises:
        StudyError: a setting is not possible.
    """
    try:
        loaded.point(settings)
    except StudyError as error:
        sweep = loaded.study.sweep
        for path, value in settings.items():
            span = sweep.grid.get(path, sweep.zip.get(path))
            if isinstance(span, dict) and _would_do({**settings, path: round(value)}, loaded):
                steps = [position[path] for position in axis.positions]
                broken = next((f"{step:g} is a step" for step in steps if step % 1), "from and to have a decimal point")
                raise StudyError(
                    error.place, path, shown(span), f"has to be an integer, but {broken}", allowed=whole_spans(span)
                ) from None
        raise


def _would_do(settings: Mapping[str, Any], loaded: LoadedStudy) -> bool:
    try:
        loaded.point(settings)
    except StudyError:
        return False
    return True


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
