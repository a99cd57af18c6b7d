"""``crossohm run``: digital against analog accuracy of a trained network."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crossohm.cli import options
from crossohm.cli.progress import progress_bar
from crossohm.cli.study import RESULTS, carry_out, folder_for, refuse_options

if TYPE_CHECKING:
    from crossohm.studies import Results, RunResult


def run(
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
    objective: options.Objective = "percentile",
    percentile: options.Percentile = 99.99,
    keep_adc_range: options.KeepAdcRange = False,
    draws: options.Draws = 5,
    images: options.Images = None,
    top_k: options.TopK = 3,
    seed: options.Seed = 1,
    output: options.Output = None,
    batch_size: options.BatchSize = 250,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Compare the digital and the analog accuracy of a trained network.

    Without options: a small CNN on real handwritten digits, on resistive memory with 8-bit weights, over five simulated
    chips. Mean and standard deviation over the chips are shown, and everything is saved in a new folder.

    With a study file, the study it describes, without its sweep; results go on where they stopped.
    """
    if study is not None:
        refuse_options(context, {"study", "overrides", "output", "threads", "quiet", "as_json"})
        _run_study(study, overrides, output, threads, quiet, as_json)
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
        draws=draws,
        images=images,
        batch_size=batch_size,
        top_k=top_k,
        seed=seed,
        calibration_images=calibration_images,
    )
    from crossohm.studies import new_folder, run_inference, write_result

    options.use_threads(threads)
    folder = output or _free_name(dataset)
    with new_folder(folder) as unfinished:
        with progress_bar(hidden=quiet or as_json) as progress:
            result = run_inference(settings, progress)
        write_result(result, unfinished)
    _show(result, hardware, folder, quiet, as_json)


def _run_study(
    study: Path, overrides: list[str] | None, output: Path | None, threads: int | None, quiet: bool, as_json: bool
) -> None:
    from crossohm.studies import load_study, run_study

    loaded = load_study(study, overrides or ())
    folder = folder_for(loaded, output, "-run" if loaded.axes else "")
    options.use_threads(threads)

    def computed() -> Results:
        with progress_bar(hidden=quiet or as_json) as progress:
            return run_study(loaded.without_sweep(), folder, progress=progress)

    carry_out(computed, folder, quiet, as_json)


def _free_name(dataset: str) -> Path:
    from crossohm.studies.folder import unused

    return unused(RESULTS / f"{dataset}-{datetime.now():%Y%m%d-%H%M%S}")


def _show(result: RunResult, hardware: str, folder: Path, quiet: bool, as_json: bool) -> None:
    from crossohm.cli import tables
    from crossohm.studies.files import summary

    if as_json:
        typer.echo(json.dumps({**summary(result), "folder": str(folder)}, allow_nan=False))
        return
    if quiet:
        typer.echo(f"{tables.accuracy_line(result)}; results in {folder}")
        return
    console = tables.stdout()
    console.print(tables.hardware_table(result.report, f"Hardware {hardware}"))
    console.print(tables.accuracy_table(result))
    console.print(f"Results in {folder}", soft_wrap=True, highlight=False, markup=False)
