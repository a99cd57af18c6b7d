"""``crossohm hardware``: what a network occupies on analog hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crossohm.cli import options
from crossohm.cli.progress import progress_bar
from crossohm.cli.study import refuse_options

if TYPE_CHECKING:
    from crossohm.studies import HardwareReport


def hardware(
    context: typer.Context,
    study: options.OptionalStudy = None,
    dataset: options.Dataset = "digits",
    data_dir: options.DataDir = None,
    model: options.Model = None,
    hardware: options.Hardware = options.DEFAULT_HARDWARE,
    overrides: options.Overrides = None,
    plugins: options.Plugins = None,
    calibrate: options.Calibrate = True,
    calibration_images: options.CalibrationImages = 200,
    objective: options.Objective = "L2",
    percentile: options.Percentile = 99.99,
    keep_adc_range: options.KeepAdcRange = False,
    batch_size: options.BatchSize = 250,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Show the arrays, cells and converters every layer of a network takes, without classifying anything."""
    if study is not None:
        refuse_options(context, {"study", "overrides", "threads", "as_json"})
        _of_study(study, overrides, threads, as_json)
        return
    settings = options.settings_from(
        hardware=hardware,
        overrides=overrides,
        plugins=plugins,
        calibrate=calibrate,
        keep_adc_range=keep_adc_range,
        objective=objective,
        percentile=percentile,
        dataset=dataset,
        data_dir=data_dir,
        model=model,
        images=1,
        batch_size=batch_size,
        calibration_images=calibration_images,
    )
    from crossohm.studies import hardware_report, prepare

    options.use_threads(threads)
    with progress_bar(hidden=as_json) as progress:
        ready = prepare(settings, progress)
    report = hardware_report(ready.network.on_hardware(ready.hardware, settings.seed), ready.test.images[0])
    _show(report, f"{settings.model} on hardware {hardware}", as_json)


def _of_study(study: Path, overrides: list[str] | None, threads: int | None, as_json: bool) -> None:
    from crossohm.studies import load_study, prepare_study

    options.use_threads(threads)
    loaded = load_study(study, overrides or ())
    with progress_bar(hidden=as_json) as progress:
        chip = prepare_study(loaded.without_sweep(), progress)
    _show(chip.report, f"{loaded.name} on hardware {loaded.study.hardware.base}", as_json)


def _show(report: HardwareReport, title: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.as_dict(), allow_nan=False))
        return
    from crossohm.cli import tables

    tables.hardware_table(report, title).write()
