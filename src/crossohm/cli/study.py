"""Study files on the command line: ``crossohm study``, and what the commands that take one have in common."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crossohm.cli import options
from crossohm.cli.group import STOPPED

if TYPE_CHECKING:
    from crossohm.studies import LoadedStudy, Results
    from crossohm.studies.work.sweep import Executor

RESULTS = Path("crossohm-results")


def check(study: options.StudyFile, overrides: options.StudySet = None, output: options.Folder = None) -> None:
    """Check a study without computing anything: names and values, files, the machine, and the hardware of every point.

    Plug-ins and functions that make networks are executed. Images are not looked for: they may lie on another machine.
    """
    from crossohm.studies import load_study
    from crossohm.studies.work.slow import warn_of_slow_points

    loaded = load_study(study, overrides or ())
    if find_spec("torch") is None:
        typer.echo("PyTorch is not installed: networks, and hardware on them, are not checked", err=True)
    else:
        from crossohm.studies import check_study
        from crossohm.studies.results.store import require_writable

        require_writable(folder_for(loaded, output))
        check_study(loaded).require_fine()
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
        ParameterError: both workers and scheduler are given, or a resource without scheduler or not as NAME=NUMBER.
    """
    from crossohm.errors import ParameterError

    if workers is None and scheduler is None and not resources:
        return None
    from crossohm.studies.file.hardware import parse_override

    needs = dict(map(parse_override, resources or ()))
    for name, number in needs.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
            raise ParameterError("--resource", f"{name}={number}", "not a positive number", allowed="e.g. GPU=1")
    if workers is not None and scheduler is not None:
        raise ParameterError("--workers", workers, "give either workers or a scheduler")
    if scheduler is not None:
        from crossohm.studies.work.cluster import Dask

        return Dask(scheduler, needs)
    if workers is None or needs:
        raise ParameterError("--resource", " ".join(resources or ()), "is for the workers of a scheduler, --scheduler")
    from crossohm.studies.work.processes import Processes

    return Processes(workers)


def folder_for(study: LoadedStudy, output: Path | None, suffix: str = "") -> Path:
    """Where the results of a study go."""
    return output or RESULTS / f"{study.name}{suffix}"


def refuse_options(
    context: typer.Context, allowed: set[str], problem: str = "belongs into the study file",
    remedy: str = "Use --set PATH=VALUE",
) -> None:  # fmt: skip
    """Raise `ParameterError` if an option was given that something else decides about, by default a study file."""
    from crossohm.errors import ParameterError

    for name, value in context.params.items():
        if name not in allowed and was_given(context, name):
            option = f"--{name.replace('_', '-')}"
            raise ParameterError(option, value, problem, remedy=remedy)


def was_given(context: typer.Context, name: str) -> bool:
    """True if the option was on the command line, also with the value it has by default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def stoppable(folder: Path, again: str = "the same command") -> Iterator[None]:
    """Say what there is of a study when Ctrl-C stops it in the ``with`` block, and what goes on with it."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"Stopped: {_what_is_there(folder)}; {again} goes on", err=True)
        raise typer.Exit(STOPPED) from None


def _what_is_there(folder: Path) -> str:
    from crossohm.errors import DataError
    from crossohm.studies import open_results

    try:
        results = open_results(folder)
    except DataError:  # stopped before there was anything
        return "no chip has been computed yet"
    return f"{len(results.chips)} of {results.planned} chips are in {folder}"


def carry_out(
    study: Callable[[], Results], folder: Path, present: Callable[[Results], None], again: str = "the same command"
) -> None:
    """Compute a study into a folder and present its points, also if some failed.

    Args:
        study: Computes it.
        folder: For the results.
        present: Prints them.
        again: What goes on where Ctrl-C stopped it.

    Raises:
        FailedChipsError: some did; what there is has been presented.
    """
    from crossohm.errors import FailedChipsError

    try:
        with stoppable(folder, again):
            results = study()
    except FailedChipsError as error:
        present(error.results)
        raise
    present(results)


def show(results: Results, quiet: bool, as_json: bool) -> None:
    """Print the points of a study."""
    from crossohm.cli import tables
    from crossohm.cli.failures import reasons

    if as_json:
        typer.echo(json.dumps(tables.points_as_dict(results), allow_nan=False))
        return
    if quiet:
        typer.echo(f"{results.name}: {len(results.chips)} of {results.planned} chips; results in {results.folder}")
        return
    tables.points_table(results).write()
    if len(results.points) == 1:
        for table in tables.parts_tables(results):
            table.write()
    for line in reasons(results):
        typer.echo(line)
    typer.echo(f"Results in {results.folder}")
