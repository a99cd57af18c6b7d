"""``crossohm run``: digital against analog accuracy of a trained network."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from crossohm.cli import options
from crossohm.cli.failures import reasons
from crossohm.cli.progress import progress_bar
from crossohm.cli.single import DEFAULT_PERCENTILE, study_of
from crossohm.cli.study import RESULTS, carry_out, folder_for, refuse_options, show, was_given

if TYPE_CHECKING:
    from crossohm.studies import LoadedStudy, Results


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
    objective: options.Objective = "L2",
    percentile: options.Percentile = DEFAULT_PERCENTILE,
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
    chips. Mean and standard deviation over the chips are shown, and everything is saved in a folder.

    With --model eic_mnist or eic_mnist_1bit and --dataset mnist, a network of fixed-size cores: without noise,
    with it, and on simulated chips (--draws).

    With a study file, the study it describes, without its sweep. In a folder with results (--output) each goes on where
    it stopped.
    """
    if study is not None:
        refuse_options(context, {"study", "overrides", "output", "threads", "quiet", "as_json"})
        _run_study(study, overrides, output, threads, quiet, as_json)
        return
    if _is_of_cores(model):
        from crossohm.cli.run_cores import OPTIONS, run_cores

        refuse_options(context, OPTIONS, f"does not apply to {model}", "Leave it out")
        run_cores(
            model=str(model), dataset=dataset, data_dir=data_dir, overrides=overrides or (), draws=draws, images=images,
            hardware=hardware if was_given(context, "hardware") else None, seed=seed,
            folder=output or _free_name(dataset), quiet=quiet, as_json=as_json,
        )  # fmt: skip
        return
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
        draws=draws,
        images=images,
        top_k=top_k,
        seed=seed,
        batch_size=batch_size,
    )
    options.use_threads(threads, model)
    folder = output or _free_name(dataset)

    carry_out(
        lambda: _computed(loaded, folder, quiet or as_json),
        folder,
        lambda results: _show(results, hardware, quiet, as_json),
        "the same command" if output else f"the same command with --output {folder}",
    )


def _is_of_cores(model: str | None) -> bool:
    """True for a trained network of fixed-size cores, which is judged in its own modes."""
    from crossohm.chip import TRAINED

    return model in TRAINED


def _run_study(
    study: Path, overrides: list[str] | None, output: Path | None, threads: int | None, quiet: bool, as_json: bool
) -> None:
    from crossohm.studies import load_study

    loaded = load_study(study, overrides or ())
    folder = folder_for(loaded, output, "-run" if loaded.axes else "")
    options.use_threads(threads, loaded.study.model.name)
    carry_out(
        lambda: _computed(loaded.without_sweep(), folder, quiet or as_json),
        folder,
        lambda results: show(results, quiet, as_json),
    )


def _computed(loaded: LoadedStudy, folder: Path, hidden: bool) -> Results:
    from crossohm.studies import run_study

    with progress_bar(hidden=hidden) as progress:
        return run_study(loaded, folder, progress=progress)


def _free_name(dataset: str) -> Path:
    """A folder in `RESULTS` that does not exist, named by data and time."""
    path = RESULTS / f"{dataset}-{datetime.now():%Y%m%d-%H%M%S}"
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def _show(results: Results, hardware: str, quiet: bool, as_json: bool) -> None:
    """Print the only point of a run: what its layers occupy, and its accuracy."""
    from crossohm.cli import tables
    from crossohm.studies import HardwareReport

    if as_json or not results.chips:
        show(results, quiet, as_json)
        return
    if quiet:
        typer.echo(f"{tables.measure_line(results)}; results in {results.folder}")
        return
    report = HardwareReport.from_dict(results.hardware_report(results.chips[0]))
    tables.hardware_table(report, f"Hardware {hardware}").write()
    tables.measures_table(results).write()
    for table in tables.parts_tables(results):
        table.write()
    for line in reasons(results):
        typer.echo(line)
    typer.echo(f"Results in {results.folder}")
