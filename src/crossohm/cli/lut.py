"""``crossohm lut``: devices known by tables of their measured pulses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crossohm.cli import options
from crossohm.cli.group import EXIT_CODE
from crossohm.cli.progress import progress_bar

if TYPE_CHECKING:
    from crossohm.training.tables import PulseTable

lut = typer.Typer(name="lut", help="Devices known by tables of their measured pulses.", no_args_is_help=True)

_MAKING = "How the table is made"

Source = Annotated[
    Path,
    typer.Argument(
        metavar="TABLES",
        help="A .npz, a text file of a pair, a folder with pairs, or a folder of such folders.",
        show_default=False,
    ),
]
Target = Annotated[
    Path,
    typer.Argument(
        metavar="TARGET", help="A .npz, or a folder for pairs of text files; files are replaced.", show_default=False
    ),
]
Plots = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Write the diagnostic plots into a folder.", show_default=False),
]
SetRamps = Annotated[
    Path, typer.Argument(metavar="SET", help="CSV of the ramps that raise the conductance.", show_default=False)
]
ResetRamps = Annotated[
    Path, typer.Argument(metavar="RESET", help="CSV of the ramps that lower it.", show_default=False)
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="TARGET",
        help="A .npz, or a folder for the pair of text files; files are replaced.",
        show_default=False,
    ),
]
ReadVoltage = Annotated[float, typer.Option(help="Voltage of the read currents; 1 for conductances.")]
HeaderLines = Annotated[int, typer.Option(min=0, help="Lines before the first pulse.")]
SkipFooter = Annotated[int, typer.Option(min=0, help="Lines after the last pulse.")]
Bins = Annotated[
    int, typer.Option(help="Intervals of conductance that pulses are sorted into.", rich_help_panel=_MAKING)
]
Extrapolate = Annotated[
    bool,
    typer.Option(help="Continue a ramp's steps before its first pulse, or hold the first.", rich_help_panel=_MAKING),
]
CdfPoints = Annotated[int, typer.Option(help="Probabilities of the table.", rich_help_panel=_MAKING)]
CdfEndPoints = Annotated[int, typer.Option(help="Further probabilities close to either end.", rich_help_panel=_MAKING)]
GPoints = Annotated[int, typer.Option(help="Conductances of the table.", rich_help_panel=_MAKING)]
FilterCdf = Annotated[
    float, typer.Option(help="Probability at either end that is cut: rare events.", rich_help_panel=_MAKING)
]
Title = Annotated[str, typer.Option(help="Title of the table.", show_default=False)]


@lut.command()
def make(
    set_ramps: SetRamps,
    reset_ramps: ResetRamps,
    output: Output,
    plots: Plots = None,
    title: Title = "",
    read_voltage: ReadVoltage = 0.1,
    header_lines: HeaderLines = 1,
    skip_footer: SkipFooter = 0,
    bins: Bins = 50,
    extrapolate: Extrapolate = True,
    cdf_points: CdfPoints = 501,
    cdf_end_points: CdfEndPoints = 0,
    g_points: GPoints = 501,
    filter_cdf: FilterCdf = 0.0,
    quiet: options.Quiet = False,
) -> None:
    """Make a table from raw ramps: read currents after identical pulses, one column per ramp.

    For a first try: crossohm lut example FOLDER
    """
    from crossohm.training.tables import TableSettings, read_ramps, table_from_ramps, write_tables

    settings = TableSettings(
        bins=bins,
        extrapolate=extrapolate,
        cdf_points=cdf_points,
        cdf_end_points=cdf_end_points,
        g_points=g_points,
        filter_cdf=filter_cdf,
    )
    up, down = (
        read_ramps(path, read_voltage=read_voltage, header_lines=header_lines, skip_footer=skip_footer)
        for path in (set_ramps, reset_ramps)
    )
    with progress_bar(hidden=quiet) as progress, _named(f"{set_ramps}, {reset_ramps}"):
        table = table_from_ramps(
            up, down, settings, title=title, progress=lambda done, total: progress("ramps", done, total)
        )
    write_tables([table], output)
    if not quiet:
        _present([table])
        typer.echo(f"{len(up)} SET and {len(down)} RESET ramps; table in {output}")
    if plots is not None:
        from crossohm.plot.pulses import ramp_figures

        figures = ramp_figures(up, down) | _figures(table)
        _save(figures, plots, "")


@lut.command()
def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILES...", help="Tables, as for lut show; and .csv files of raw ramps.", show_default=False
        ),
    ],
    header_lines: HeaderLines = 1,
) -> None:
    """Check tables and ramps: files, lines, columns, grids and signs; the exit code is 2 if something is wrong."""
    from crossohm.errors import DataError

    wrong = 0
    for path in paths:
        try:
            typer.echo(f"{path}: fine; {_content(path, header_lines)}")
        except DataError as error:
            wrong += 1
            typer.secho(f"Error: {error}", fg=typer.colors.RED, err=True)
    if wrong:
        raise typer.Exit(EXIT_CODE)


def _content(path: Path, header_lines: int) -> str:
    """What is in a file or folder; `DataError` if something is wrong with it."""
    from crossohm.training.tables import read_ramps, read_tables

    if path.suffix == ".csv":
        ramps = read_ramps(path, header_lines=header_lines)
        return f"{len(ramps)} ramps of {min(map(len, ramps))} to {max(map(len, ramps))} readings"
    return _devices(len(read_tables(path)))


@lut.command()
def show(tables: Source, as_json: options.Json = False) -> None:
    """Show what tables say about their devices: range, mean steps, noise, symmetry point."""
    from crossohm.training.tables import read_tables, table_facts

    found = read_tables(tables)
    if as_json:
        facts = [{"title": table.title, **asdict(table_facts(table))} for table in found]
        typer.echo(json.dumps(facts, allow_nan=False))
        return
    _present(found)


@lut.command()
def convert(tables: Source, target: Target) -> None:
    """Write tables in another form; every number stays as it is."""
    from crossohm.training.tables import read_tables, write_tables

    found = read_tables(tables)
    write_tables(found, target)
    typer.echo(f"{_devices(len(found))} in {target}")


@lut.command()
def plot(
    tables: Source,
    plots: Annotated[Path, typer.Argument(metavar="FOLDER", help="For the figures, .png.", show_default=False)],
) -> None:
    """Draw tables: the change of one pulse over conductance and probability, its mean and its spread."""
    from crossohm.training.tables import read_tables

    found = read_tables(tables)
    for number, table in enumerate(found, start=1):
        _save(_figures(table), plots, f"{number}_" if len(found) > 1 else "")


@lut.command()
def fit(
    tables: Source,
    formula: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Fit this one; repeat for several. Without it: all.", show_default=False),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Fit formulas to tables, with how well they fit; the best first. --json prints devices as studies take them."""
    from crossohm.cli.pulses import fits_table
    from crossohm.training.described import description_of
    from crossohm.training.tables import read_tables
    from crossohm.training.updates.fitting import KINDS, fit_table

    fits = [
        (number, found)
        for number, table in enumerate(read_tables(tables), start=1)
        for found in sorted((fit_table(table, kind) for kind in formula or KINDS), key=lambda fit: fit.error)
    ]
    if as_json:
        shown = [
            {"number": number, "r_squared": fit.r_squared, "error": fit.error, "device": description_of(fit.model)}
            for number, fit in fits
        ]
        typer.echo(json.dumps(shown, allow_nan=False))
        return
    fits_table(fits).write()


@lut.command()
def model(
    device: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE",
            help='A name as in studies of training, or JSON: {"model": "soft_bounds", "step_size": 0.01}',
            show_default=False,
        ),
    ],
    output: Output,
    pulse: Annotated[
        float | None,
        typer.Option(help="Change that one pulse asks for, normalised; by default the device's.", show_default=False),
    ] = None,
    columns: Annotated[int, typer.Option(help="Conductances of the table.")] = 101,
    probabilities: Annotated[int, typer.Option(help="Probabilities of the table.")] = 101,
) -> None:
    """Write a device known by a formula as a table of pulses."""
    from crossohm.training.described import update_model_of
    from crossohm.training.tables import write_tables
    from crossohm.training.updates.converting import table_of

    table = table_of(
        update_model_of(_description(device)), pulse=pulse, columns=columns, probabilities=probabilities, title=device
    )
    write_tables([table], output)
    typer.echo(f"{device} in {output}")


def _description(device: str) -> Any:
    """The name of a device, or its description in JSON."""
    from crossohm.errors import ParameterError

    if not device.lstrip().startswith("{"):
        return device
    try:
        return json.loads(device)
    except ValueError as error:
        raise ParameterError("DEVICE", device, f"no JSON: {error}", allowed="a name, or an object in JSON") from None


@lut.command()
def example(folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False)]) -> None:
    """Write set.csv and reset.csv of an invented device, to try crossohm lut make on."""
    from crossohm.training.tables import example_ramps, write_ramps

    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "set.csv", folder / "reset.csv"
    for ramps, path in zip(example_ramps(), paths, strict=True):
        write_ramps(ramps, path)
    typer.echo(f"Now: crossohm lut make {paths[0]} {paths[1]} -o {folder / 'device.npz'} --plots {folder / 'plots'}")


def _present(found: Sequence[PulseTable]) -> None:
    from crossohm.cli.pulses import facts_table

    facts_table(found).write()


def _figures(table: PulseTable) -> dict[str, Any]:
    from crossohm.plot.pulses import table_figures

    return table_figures(table)


def _save(figures: dict[str, Any], folder: Path, prefix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        path = folder / f"{prefix}{name}.png"
        figure.savefig(path, dpi=120)
        typer.echo(f"figure in {path}")


@contextmanager
def _named(files: str) -> Iterator[None]:
    """Errors about what files hold begin with their names."""
    from crossohm.errors import DataError

    try:
        yield
    except DataError as error:
        raise DataError(f"{files}: {error}") from error


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"
