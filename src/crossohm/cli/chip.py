"""``crossohm chip``: does a network fit a chip of fixed-size cores, and what does it take there?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from crossohm.cli import options
from crossohm.errors import ParameterError

#: Of a network that does not fit, after its report.
DOES_NOT_FIT = 1

_NETWORK, _CHIP, _OUTPUT = "Network", "Chip", "Output"


def chip(
    sizes: Annotated[
        str,
        typer.Option(metavar="N,N,...", help="Inputs, and outputs of each layer.", rich_help_panel=_NETWORK),
    ] = "1024,2048,256",
    classes: Annotated[int, typer.Option(help="Class scores.", rich_help_panel=_NETWORK)] = 10,
    readout: Annotated[str, typer.Option(help="population or first.", rich_help_panel=_NETWORK)] = "population",
    permute: Annotated[
        str, typer.Option(help="How slots are wired to cores: cycle, random or none.", rich_help_panel=_NETWORK)
    ] = "cycle",
    grey_bits: Annotated[
        int, typer.Option(help="Bits of the network's inputs, 1: binary.", rich_help_panel=_NETWORK)
    ] = 1,
    grid: Annotated[
        str, typer.Option(metavar="ROWS,COLUMNS", help="Cores of the chip.", rich_help_panel=_CHIP)
    ] = "16,16",
    core: Annotated[
        str, typer.Option(metavar="LINES,COLUMNS", help="Size of a core.", rich_help_panel=_CHIP)
    ] = "256,256",
    slot: Annotated[int, typer.Option(help="Lines that are routed together.", rich_help_panel=_CHIP)] = 16,
    sign: Annotated[
        str, typer.Option(help="pair: signed weights, two cores each; or nonnegative.", rich_help_panel=_CHIP)
    ] = "pair",
    interface_bits: Annotated[
        int, typer.Option(help="Bits that the interface takes of an input.", rich_help_panel=_CHIP)
    ] = 1,
    input_lines: Annotated[int, typer.Option(help="Inputs that the interface takes.", rich_help_panel=_CHIP)] = 1024,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw what sits where, .svg or .png.", show_default=False, rich_help_panel=_OUTPUT
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say whether a network fits a chip of fixed-size cores, and what it takes there; it ends with 1 if it does not."""
    from crossohm.chip import ChipSpec, NetworkShape, check

    lines, columns = _pair("--core", core)
    found = ChipSpec(
        grid=_pair("--grid", grid), core_in=lines, core_out=columns, slot=slot, input_bits=interface_bits,
        sign=cast(Any, sign), input_lines=input_lines,
    )  # fmt: skip
    shape = NetworkShape(found, _numbers("--sizes", sizes), classes, cast(Any, readout), permute, input_bits=grey_bits)
    report = check(shape, strict=False)
    if picture is not None:
        from crossohm.plot import chip_figure

        chip_figure(report).savefig(picture)
    typer.echo(json.dumps(report.as_dict(), allow_nan=False) if as_json else str(report))
    if not report.fits:
        raise typer.Exit(DOES_NOT_FIT)


def _pair(option: str, text: str) -> tuple[int, int]:
    numbers = _numbers(option, text)
    if len(numbers) != 2:
        raise ParameterError(option, text, "is no pair", allowed="two numbers, e.g. 16,16")
    return numbers[0], numbers[1]


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(map(int, text.split(",")))
    except ValueError:
        raise ParameterError(option, text, "are no numbers", allowed="whole numbers, e.g. 1024,2048,256") from None
