"""``crossohm train``: networks trained on devices, for several seeds, devices and rules."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossohm.cli import options

if TYPE_CHECKING:
    from crossohm.studies.training.results import TrainedPoint

TrainingFile = Annotated[
    Path, typer.Argument(metavar="STUDY", help="Training study: a .yaml, .json or .toml file.", show_default=False)
]


def train(
    study: TrainingFile,
    overrides: options.StudySet = None,
    output: options.Folder = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Train the networks of a study on devices: every point of its sweep, with all its seeds at once.

    May be stopped at any moment and started again with the same command: finished epochs stay. The folder of results
    has the records, where each network can go on, and report.html with the learning curves.
    """
    from crossohm.report.training import write_training_report
    from crossohm.studies.training.run import run_training
    from crossohm.studies.training.study import load_training

    loaded = load_training(study, overrides or ())
    folder = output or Path("crossohm-results") / loaded.name
    labels = [point.label for point in loaded.points]

    def show(number: int, epoch: int, found: TrainedPoint) -> None:
        if not (quiet or as_json):
            mean, spread = found.final
            typer.echo(
                f"[{number + 1}/{len(labels)}] {found.label}: epoch {epoch}/{found.epochs}, accuracy {mean:.2%} ± "
                f"{spread:.2%}, {found.seconds[-1]:.2f} s"
            )

    points = run_training(loaded, folder, progress=show)
    write_training_report(loaded.name, points, folder / "report.html")
    if as_json:
        typer.echo(json.dumps([asdict(point) for point in points]))
        return
    width = max(map(len, labels))
    for point in points:
        mean, spread = point.final
        typer.echo(
            f"{point.label:<{width}}  {mean:8.2%} ± {spread:.2%}  ({len(point.seeds)} seeds, worst {point.worst:.2%})"
        )
    typer.echo(f"results and report.html in {folder}")
