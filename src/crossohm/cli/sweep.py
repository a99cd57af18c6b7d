"""``crossohm sweep``: all points of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossohm.cli import options
from crossohm.cli.progress import progress_bar
from crossohm.cli.study import carry_out, executor_for, folder_for, show

if TYPE_CHECKING:
    from crossohm.studies import Results


def sweep(
    study: options.StudyFile,
    overrides: options.StudySet = None,
    output: options.Folder = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    resources: options.Resources = None,
    threads: options.Threads = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Compute every point of a study's sweep, on as many chips as it asks for.

    May be stopped at any moment and started again with the same command: what was finished stays.
    """
    from crossohm.studies import load_study, run_study

    loaded = load_study(study, overrides or ())
    executor = executor_for(workers, scheduler, resources)
    options.use_threads(threads, loaded.study.model.name)
    folder = folder_for(loaded, output)

    def computed() -> Results:
        with progress_bar(hidden=quiet or as_json) as progress:
            return run_study(loaded, folder, executor=executor, progress=progress)

    carry_out(computed, folder, lambda results: show(results, quiet, as_json))
