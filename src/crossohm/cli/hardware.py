"""``crossohm hardware``: what a network occupies on analog hardware."""

from __future__ import annotations

import json

import typer

from crossohm.cli import options
from crossohm.cli.progress import progress_bar


def hardware(
    dataset: options.Dataset = "digits",
    data_dir: options.DataDir = None,
    model: options.Model = None,
    hardware: options.Hardware = options.DEFAULT_HARDWARE,
    overrides: options.Overrides = None,
    plugins: options.Plugins = None,
    calibrate: options.Calibrate = True,
    calibration_images: options.CalibrationImages = 200,
    objective: options.Objective = "percentile",
    percentile: options.Percentile = 99.99,
    keep_adc_range: options.KeepAdcRange = False,
    batch_size: options.BatchSize = 250,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Show the arrays, cells and converters every layer of a network takes, without classifying anything."""
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
    if as_json:
        typer.echo(json.dumps(report.as_dict(), allow_nan=False))
        return
    from crossohm.cli import tables

    tables.stdout().print(tables.hardware_table(report, f"{settings.model} on hardware {hardware}"))
