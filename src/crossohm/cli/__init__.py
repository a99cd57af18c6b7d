"""The command ``crossohm``. Frameworks and NumPy are imported when a command runs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

import crossohm
from crossohm.cli.budget import budget
from crossohm.cli.calibrate import calibrate
from crossohm.cli.chip import chip
from crossohm.cli.device import device
from crossohm.cli.group import ErrorReportingGroup
from crossohm.cli.hardware import hardware
from crossohm.cli.lut import lut
from crossohm.cli.presets import presets
from crossohm.cli.report import report
from crossohm.cli.run import run
from crossohm.cli.study import check, schema
from crossohm.cli.sweep import sweep
from crossohm.cli.train import train

__all__ = ["app"]

app = typer.Typer(
    name="crossohm",
    cls=ErrorReportingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crossohm {crossohm.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """How accurate is a trained network on analog in-memory computing hardware?

    Start with: crossohm run
    """


study = typer.Typer(name="study", help="Study files: check one, or get their schema.", no_args_is_help=True)
study.command()(check)
study.command()(schema)

app.command()(run)
app.command()(sweep)
app.command()(budget)
app.command()(calibrate)
app.command()(hardware)
app.command()(chip)
app.command()(train)
app.command()(report)
app.command()(presets)
app.add_typer(study)
app.add_typer(lut)
app.add_typer(device)
