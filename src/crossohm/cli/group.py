"""One place where errors become one line and an exit code, and warnings one line."""

from __future__ import annotations

import warnings
from typing import Any, final

import typer
from typer.core import TyperGroup

from crossohm.errors import CrossOhmError

EXIT_CODE = 2


@final
class ErrorReportingGroup(TyperGroup):
    """Commands whose `CrossOhmError` is shown without a traceback, with exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except CrossOhmError as error:
                text = " ".join([str(error), *(f"({note})" for note in getattr(error, "__notes__", []))])
                typer.secho(f"Error: {text}", fg=typer.colors.RED, err=True)
                raise typer.Exit(EXIT_CODE) from None


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.secho(f"Warning: {message}", fg=typer.colors.YELLOW, err=True)
