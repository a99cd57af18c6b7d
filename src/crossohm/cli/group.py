"""One place where errors become one line and an exit code, and warnings one line."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from typing import Any, NoReturn, final

import typer
from typer.core import TyperGroup

from crossohm.errors import CrossOhmError

EXIT_CODE = 2
#: Of commands that were stopped with Ctrl-C, as shells have it.
STOPPED = 130


@final
class ErrorReportingGroup(TyperGroup):
    """Commands whose `CrossOhmError`, or error of the operating system, is one line and exit code 2; Ctrl-C is 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except CrossOhmError as error:
                _fail(" ".join([str(error), *(f"({note})" for note in getattr(error, "__notes__", []))]))
            except BrokenPipeError:  # the reader of a pipe has seen enough; typer knows how to end
                raise
            except OSError as error:  # full disks, folders that vanish
                _give_up_output()
                where = "" if error.filename is None else f"{error.filename}: "
                _fail(f"{where}{error.strerror or error}")
            except KeyboardInterrupt:
                typer.echo("Stopped", err=True)
                raise typer.Exit(STOPPED) from None


def _give_up_output() -> None:
    """Send what standard output cannot take nowhere: Python would try again at its end, and end with another code."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):  # no real file in tests
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def _fail(text: str) -> NoReturn:
    typer.secho(f"Error: {text}", fg=typer.colors.RED, err=True)
    raise typer.Exit(EXIT_CODE) from None


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.secho(f"Warning: {message}", fg=typer.colors.YELLOW, err=True)
