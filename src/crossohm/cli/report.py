"""``crossohm report``: the results of a study, complete or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crossohm.cli import options
from crossohm.cli.study import show

ResultsFolder = Annotated[Path, typer.Argument(metavar="RESULTS", help="Results folder of a study or a run.")]
Html = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write one HTML file with interactive plots; replaces the file.")
]
Figures = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write the plots as figures into a folder.")]
Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help="Format of the figures: png, svg or pdf.")]


def report(
    results: ResultsFolder,
    html: Html = None,
    figures: Figures = None,
    figure_format: Format = "png",
    as_json: options.Json = False,
) -> None:
    """Show the results in a folder, also while a study is running; or write them as a page or as figures."""
    if html is None and figures is None:
        from crossohm.studies import open_results

        show(open_results(results), quiet=False, as_json=as_json)
        return
    from crossohm.report import report_of, write_figures, write_report

    data = report_of(results)
    if html is not None:
        write_report(data, html)
        typer.echo(f"report in {html}")
    if figures is not None:
        for path in write_figures(data, figures, figure_format):
            typer.echo(f"figure in {path}")
