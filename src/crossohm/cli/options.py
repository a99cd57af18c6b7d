"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_NETWORK, _HARDWARE, _RANGES, _MEASUREMENT, _OUTPUT = "Network and data", "Hardware", "Ranges", "Measurement", "Output"
_MACHINES = "Machines"

DEFAULT_HARDWARE = "rram-8bit"

Dataset = Annotated[
    str, typer.Option(help="digits (8x8, come with scikit-learn) or mnist (28x28).", rich_help_panel=_NETWORK)
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder with MNIST's IDX files, plain or .gz.", show_default=False, rich_help_panel=_NETWORK),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="digits_cnn or mnist_cnn; by default the one trained on the data set.",
        show_default=False,
        rich_help_panel=_NETWORK,
    ),
]
Hardware = Annotated[
    str,
    typer.Option(
        metavar="PRESET|FILE",
        help="A preset (see: crossohm presets), or a .json, .yaml or .yml file.",
        rich_help_panel=_HARDWARE,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change one parameter, e.g. --set xbar.adc.mvm.bits=6. May be repeated.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Python file that registers device or ADC models of your own; it is executed. May be repeated.",
        show_default=False,
        rich_help_panel=_HARDWARE,
    ),
]
Seed = Annotated[int, typer.Option(help="Number of the first chip.", rich_help_panel=_MEASUREMENT)]
Calibrate = Annotated[
    bool,
    typer.Option(
        help="Find input and ADC ranges on training images, or use those of the hardware.", rich_help_panel=_RANGES
    ),
]
CalibrationImages = Annotated[
    int, typer.Option(help="Training images looked at for calibration.", rich_help_panel=_RANGES)
]
Objective = Annotated[
    str,
    typer.Option(
        help="What ADC and input ranges are chosen by: the least error, L2 or L1, or percentile.",
        rich_help_panel=_RANGES,
    ),
]
Percentile = Annotated[
    float,
    typer.Option(
        help="Percentile of the currents that an ADC range holds, with --objective percentile.", rich_help_panel=_RANGES
    ),
]
KeepAdcRange = Annotated[
    bool,
    typer.Option(
        "--keep-adc-range",
        help="Calibrate inputs only; ADC ranges as described (adc_range_option).",
        rich_help_panel=_RANGES,
    ),
]
Draws = Annotated[
    int, typer.Option(help="Chips: simulated copies with errors of their own.", rich_help_panel=_MEASUREMENT)
]
Images = Annotated[
    int | None,
    typer.Option(help="Test images, the first ones; by default all.", show_default=False, rich_help_panel=_MEASUREMENT),
]
TopK = Annotated[int, typer.Option(help="Also count answers among the K largest.", rich_help_panel=_MEASUREMENT)]
Output = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the results; where there are some it goes on. By default crossohm-results/DATASET-TIME.",
        show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]
BatchSize = Annotated[int, typer.Option(help="Images computed at a time: memory and speed.", rich_help_panel=_OUTPUT)]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads of PyTorch; by default its own choice.", show_default=False, rich_help_panel=_OUTPUT
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress bar and no tables, one line.", rich_help_panel=_OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of tables.", rich_help_panel=_OUTPUT)]

StudyFile = Annotated[
    Path, typer.Argument(metavar="STUDY", help="Study file: .yaml, .yml, .json or .toml.", show_default=False)
]
OptionalStudy = Annotated[
    Path | None,
    typer.Argument(
        metavar="[STUDY]",
        help="Study file (.yaml, .yml, .json or .toml) instead of the options below.",
        show_default=False,
    ),
]
StudySet = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change one setting of the study, e.g. repeats.chips=10 or xbar.adc.mvm.bits=6. May be repeated.",
        show_default=False,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        help="Folder for the results; where there are some already it goes on. By default crossohm-results/NAME.",
        show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes of this machine.", show_default=False, rich_help_panel=_MACHINES),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|FILE",
        help="Running Dask cluster: tcp://HOST:PORT, or the scheduler's file. All must see the results folder.",
        show_default=False,
        rich_help_panel=_MACHINES,
    ),
]
Resources = Annotated[
    list[str] | None,
    typer.Option(
        "--resource",
        metavar="NAME=NUMBER",
        help="What a chip needs of its Dask worker, e.g. GPU=1. May be repeated.",
        show_default=False,
        rich_help_panel=_MACHINES,
    ),
]


def use_threads(threads: int | None, model: str | None) -> None:
    """Limit the framework of a network to a number of CPU threads."""
    if threads is not None:
        from crossohm.layers.network import front_end
        from crossohm.models import framework_of

        front_end(framework_of(model or "")).use_threads(threads)
