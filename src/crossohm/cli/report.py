"""``crossohm report``: the results of a study, complete or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossohm.cli import options
from crossohm.cli.study import show

ResultsFolder = Annotated[Path, typer.Argument(metavar="RESULTS", help="Results folder of a study.")]


def report(results: ResultsFolder, as_json: options.Json = False) -> None:
    """Show the results in a folder, also while a study is running."""
    from crossohm.studies import open_results

    show(open_results(results), quiet=False, as_json=as_json)
