"""Sweeps that are killed: what the tests do in small and ``benchmarks/survival.py`` in full."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Says in a file which chips a process begins to measure. A study names it as a plug-in, so every worker has it.
PLUGIN = """
import os
from pathlib import Path
from crossohm.studies.work.evaluate import MeasuredPoint

log, measured = Path(__file__).with_name("started.log"), MeasuredPoint.measured

def noted(point):
    line = f"{os.getpid()} {point.unit.key}\\n".encode()
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, line)
    os.close(handle)
    return measured(point)

if measured.__name__ != "noted":
    MeasuredPoint.measured = noted
"""


def write_study(folder: Path, points: int, counted: bool = True) -> Path:
    """A study of cheap points that differ in the size of programming errors."""
    study = {
        "dataset": {"images": 10},
        "hardware": {"set": {"xbar.device.read_noise.enable": True}},
        "calibration": {"images": 20},
        "repeats": 1,
        "sweep": {
            "grid": {
                "xbar.device.programming_error.magnitude": {"from": 0.01, "to": 0.1, "count": points // 2},
                "core.rows_max": [128, 256],
            }
        },
    }
    if counted:
        (folder / "counting.py").write_text(PLUGIN, encoding="utf-8")
        study["plugins"] = ["counting.py"]
    path = folder / "study.json"
    path.write_text(json.dumps(study), encoding="utf-8")
    return path


def carry_out(study: Path, results: Path) -> None:
    """Compute what is missing; what the killed processes do."""
    import torch

    from crossohm.studies import load_study, run_study

    torch.set_num_threads(1)
    run_study(load_study(study), results)


def started(study: Path) -> list[tuple[int, str]]:
    """Process and key of every measurement that was begun, in order."""
    log = study.with_name("started.log")
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [(int(pid), key) for pid, key in map(str.split, lines)]


def _begun(study: Path) -> int:
    """How many measurements were begun."""
    log = study.with_name("started.log")
    return log.read_bytes().count(b"\n") if log.exists() else 0


def kill_and_resume(study: Path, results: Path, kills: int, points: int, seed: int) -> int:
    """Carry the study out in processes of which all but the last are killed at random moments.

    Returns:
        How many were killed while they worked.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["crossohm.studies.work.sweep"])
    generator, killed = random.Random(seed), 0
    for moment in sorted(generator.uniform(0, points * 0.95) for _ in range(kills)):
        process = context.Process(target=carry_out, args=(study, results))
        process.start()
        while process.is_alive() and _begun(study) <= moment + killed:
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.05))
        killed += process.is_alive()
        process.kill()
        process.join()
    last = context.Process(target=carry_out, args=(study, results))
    last.start()
    last.join()
    assert last.exitcode == 0
    return killed


def kill_a_worker(study: Path, after: int) -> threading.Thread:
    """Kill the process that begins measurement number ``after``, from a thread."""

    def wait_and_kill() -> None:
        while _begun(study) < after:
            time.sleep(0.005)
        os.kill(started(study)[after - 1][0], 9)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return thread


def measured(results: Path, forget: Callable[[dict[str, Any]], None] | None = None) -> dict[tuple[int, int], Any]:
    """Everything in a results folder that does not say when and where it was computed."""
    from crossohm.studies import open_results

    found = {}
    for chip in open_results(results).chips:
        facts = {name: value for name, value in chip.record["facts"].items() if name != "plugins"}
        record = {name: value for name, value in chip.record.items() if name not in ("provenance", "facts", "hardware")}
        hardware = {name: params and params.as_dict() for name, params in open_results(results).hardware(chip).items()}
        found[chip.point, chip.seed] = {**record, "facts": facts, "hardware": hardware, "at": chip.coordinates}
    return found


def check_started(study: Path, points: int, killed: int) -> None:
    """Nothing was begun twice but what was in flight when a process was killed."""
    begun = started(study)
    times = Counter(key for _, key in begun)
    assert len(times) == points, f"{points - len(times)} points were never begun"
    assert len(begun) <= points + killed, f"{len(begun)} measurements of {points} points, {killed} kills"
    last = {pid: key for pid, key in begun}
    again = {key for key, count in times.items() if count > 1}
    assert again <= set(last.values()), "a point was computed again that was not in flight"
