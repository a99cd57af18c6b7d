"""``crossohm hardware``: what a network occupies on analog hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crossohm.cli import options
from crossohm.cli.progress import progress_bar
from crossohm.cli.single import DEFAULT_PERCENTILE, study_of
from crossohm.cli.study import refuse_options

if TYPE_CHECKING:
    from crossohm.studies import LoadedStudy


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
    percentile: options.Percentile = DEFAULT_PERCENTILE,
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
    options.use_threads(threads, model)
    loaded = study_of(
        dataset=dataset,
        data_dir=data_dir,
        model=model,
        hardware=hardware,
        overrides=overrides,
        plugins=plugins,
        calibrate=calibrate,
        calibration_images=calibration_images,
        objective=objective,
        percentile=percentile,
        keep_adc_range=keep_adc_range,
        images=1,
        batch_size=batch_size,
    )
    _of(loaded, as_json)


def _of_study(study: Path, overrides: list[str] | None, threads: int | None, as_json: bool) -> None:
    from crossohm.studies import load_study

    loaded = load_study(study, overrides or ())
    options.use_threads(threads, loaded.study.model.name)
    _of(loaded.without_sweep(), as_json)


def _of(loaded: LoadedStudy, as_json: bool) -> None:
    from crossohm.studies import prepare_study

    with progress_bar(hidden=as_json) as progress:
        report = prepare_study(loaded, progress).report
    if as_json:
        typer.echo(json.dumps(report.as_dict(), allow_nan=False))
        return
    from crossohm.cli import tables

    tables.hardware_table(report, f"{loaded.name} on hardware {loaded.study.hardware.base}").write()
