"""``crossohm calibrate``: converter ranges, to be used again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossohm.cli import options
from crossohm.cli.progress import progress_bar

RangesFile = Annotated[Path, typer.Option("--output", help="File for the ranges; studies take it as calibration.file.")]


def calibrate(
    study: options.StudyFile,
    overrides: options.StudySet = None,
    output: RangesFile = Path("calibration.json"),
    threads: options.Threads = None,
    quiet: options.Quiet = False,
) -> None:
    """Find the converter ranges of a study's network on its hardware, and save them.

    Other studies of the same network use them with calibration: {file: calibration.json}, on hardware that may differ
    in cell errors and ADC imperfections, but not in what the ranges depend on.
    """
    from crossohm.studies import calibrate_study, load_study
    from crossohm.studies.results.sealed import require_writable_file

    loaded = load_study(study, overrides or ())
    require_writable_file(output)  # must not wait for the ranges
    options.use_threads(threads, loaded.study.model.name)
    with progress_bar(hidden=quiet) as progress:
        found = calibrate_study(loaded.without_sweep(), progress)
    found.save(output)
    if not quiet:
        from crossohm.cli import tables

        tables.ranges_table(found).write()
    typer.echo(f"Ranges in {output}")
