"""``crossohm budget``: what costs accuracy."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from crossohm.cli import options
from crossohm.cli.progress import progress_bar
from crossohm.cli.study import executor_for, folder_for, stoppable

PerLayer = Annotated[bool, typer.Option("--per-layer", help="Also switch every cause of errors layer by layer.")]


def budget(
    study: options.StudyFile,
    overrides: options.StudySet = None,
    per_layer: PerLayer = False,
    output: options.Folder = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    resources: options.Resources = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Switch each cause of errors on alone and off alone, to see which of them costs accuracy.

    Causes: programming error, drift, read noise, nonlinear cells, weight quantisation and clipping, finite on/off
    ratio, wires, current limit, DAC, ADC; those that the hardware has. May be stopped and started again.
    """
    from crossohm.studies import error_budget, load_study

    loaded = load_study(study, overrides or ())
    executor = executor_for(workers, scheduler, resources)
    options.use_threads(threads, loaded.study.model.name)
    folder = folder_for(loaded, output, "-budget")
    with stoppable(folder), progress_bar(hidden=quiet or as_json) as progress:
        found = error_budget(loaded, folder, per_layer=per_layer, executor=executor, progress=progress)
    if as_json:
        typer.echo(json.dumps({**found.as_dict(), "folder": str(folder)}, allow_nan=False))
        return
    from crossohm.cli import tables

    if quiet:
        worst = max(found.contributions, key=lambda one: one.share)
        typer.echo(f"{loaded.name}: most noise from {worst.label}, {100 * worst.share:.0f} %; results in {folder}")
        return
    tables.budget_table(found).write()
    typer.echo(f"Results in {folder}")
