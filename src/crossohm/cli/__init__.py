"""The command ``crossohm``. Frameworks and NumPy are imported when a command runs, so that help comes at once."""

from __future__ import annotations

from typing import Annotated

import typer

import crossohm
from crossohm.cli.group import ErrorReportingGroup
from crossohm.cli.hardware import hardware
from crossohm.cli.presets import presets
from crossohm.cli.run import run

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


app.command()(run)
app.command()(hardware)
app.command()(presets)
