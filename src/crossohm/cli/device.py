"""``crossohm device``: cells described by tables of measurements."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from crossohm.devices.tables import RoleTable
    from crossohm.devices.tables.fit import Fit

device = typer.Typer(name="device", help="Cells described by tables of measurements.", no_args_is_help=True)

Table = Annotated[Path, typer.Argument(metavar="TABLE", help="A CSV file.", show_default=False)]
Role = Annotated[
    str,
    typer.Option(
        metavar="ROLE", help="One of programming_error, drift_error, read_noise, nonlinear_IV.", show_default=False
    ),
]


@device.command()
def check(table: Table, role: Role) -> None:
    """Read a table, and say which hardware it is good for, or with line and column what is wrong."""
    from crossohm.devices import read_device_table

    found = read_device_table(table, role)
    typer.echo(f"{table}: fine; {_facts(found)}")
    typer.echo(f"xbar.device: {_hardware(found)}")


@device.command()
def fit(
    table: Table,
    role: Role,
    read_voltage: Annotated[
        float, typer.Option(min=1e-6, help="Voltage of reads, for models that need currents.")
    ] = 0.1,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the table and the closest models.", show_default=False)
    ] = None,
) -> None:
    """Compare a table with all known models: how strong each has to be, and how close it comes."""
    from crossohm.devices import read_device_table
    from crossohm.devices.tables.fit import fits

    read = read_device_table(table, role)
    found = fits(read, read_voltage)
    _sheet(found)
    if plot is not None:
        from crossohm.plot import fit_figure

        fit_figure(read, found).savefig(plot, dpi=120)
        typer.echo(f"figure in {plot}")


def _sheet(found: list[Fit]) -> None:
    from crossohm.cli.sheet import Kind, Sheet

    headings = (("model", Kind.NAME), ("magnitude", Kind.NUMBER), ("residual", Kind.NUMBER), ("remark", Kind.TEXT))
    rows: list[tuple[str, ...]] = [
        (
            one.model,
            "" if one.magnitude is None else f"{one.magnitude:.4g}",
            "" if one.problem else f"{100 * one.residual:.3g} %",
            one.problem,
        )
        for one in found
    ]
    caption = "residual: root mean square of the differences in error and deviation, or in current, of full scale"
    Sheet("", headings, caption, rows).write()


def _facts(table: RoleTable) -> str:
    return f"{table.role}, {len(table.states)} states, {_span(table)}{f' ({table.source})' if table.source else ''}"


def _span(table: RoleTable) -> str:
    return f"{1e6 * table.states[0]:.6g} to {1e6 * table.states[-1]:.6g} uS"


def _hardware(table: RoleTable) -> str:
    """What the table allows."""
    from crossohm.devices.tables import CurrentTable, RetentionTable

    low, high = table.states[0], table.states[-1]
    said = [f"Rmin >= {1 / high:.6g} ohm", f"Rmax <= {1 / low:.6g} ohm" if low else "any Rmax"]
    if isinstance(table, RetentionTable):
        said.append(f"time {table.times[0]:g} to {table.times[-1]:g} {table.unit}")
    if isinstance(table, CurrentTable):
        said.append(f"Vread <= {table.reach:g} V")
    return ", ".join(said)
