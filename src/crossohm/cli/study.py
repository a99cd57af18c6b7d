"""Study files on the command line: ``crossohm study``, and what the commands that take one have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crossohm.cli import options

if TYPE_CHECKING:
    from crossohm.studies import LoadedStudy, Results
    from crossohm.studies.sweep import Executor

RESULTS = Path("crossohm-results")


def check(study: options.StudyFile, overrides: options.StudySet = None) -> None:
    """Check a study file without computing anything."""
    from crossohm.studies import load_study
    from crossohm.studies.slow import warn_of_slow_points

    loaded = load_study(study, overrides or ())
    points = 1
    for axis in loaded.axes:
        points *= len(axis)
        typer.echo(f"{axis.name}: {len(axis)} values")
    warn_of_slow_points(loaded)
    chips = loaded.study.repeats.chips
    typer.echo(f"{study}: fine; {points} points x {chips} chips")


def schema() -> None:
    """Print the JSON schema of study files, for editors."""
    from crossohm.studies import study_schema

    typer.echo(json.dumps(study_schema(), indent=2))


def executor_for(workers: int | None, scheduler: str | None, resources: list[str] | None) -> Executor | None:
    """Where to compute; None: in this process.

    Raises:
        ParameterError: both workers and scheduler are given, or a resource is not NAME=NUMBER.
    """
    from crossohm.errors import ParameterError

    if workers is None and scheduler is None and not resources:
        return None
    from crossohm.studies.cluster import Dask
    from crossohm.studies.hardware import parse_override

    needs = dict(map(parse_override, resources or ()))
    for name, number in needs.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
            raise ParameterError("--resource", f"{name}={number}", "not a positive number", allowed="e.g. GPU=1")
    return Dask(workers, scheduler, needs)


def folder_for(study: LoadedStudy, output: Path | None, suffix: str = "") -> Path:
    """Where the results of a study go."""
    return output or RESULTS / f"{study.name}{suffix}"


def refuse_options(context: typer.Context, allowed: set[str]) -> None:
    """Raise `ParameterError` if an option was given that a study file decides about."""
    from crossohm.errors import ParameterError

    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise ParameterError(option, value, "belongs into the study file", remedy="Use --set PATH=VALUE")


def show(results: Results, quiet: bool, as_json: bool) -> None:
    """Print the points of a study."""
    from crossohm.cli import tables

    if as_json:
        typer.echo(json.dumps(tables.points_as_dict(results), allow_nan=False))
        return
    if quiet:
        typer.echo(f"{results.name}: {len(results.chips)} of {results.planned} chips; results in {results.folder}")
        return
    console = tables.stdout()
    console.print(tables.points_table(results))
    console.print(f"Results in {results.folder}", soft_wrap=True, highlight=False, markup=False)
