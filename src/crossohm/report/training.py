"""The report of a training study: learning curves with their spread, and tables, in one HTML file."""

from __future__ import annotations

import html
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import crossohm
from crossohm._files import write_whole
from crossohm.errors import MissingDependencyError
from crossohm.studies.training.results import TrainedPoint

_STYLE = """
body{font-family:system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;margin:1rem 0}td,th{border-bottom:1px solid #d0d7de;padding:.3rem .8rem;text-align:right}
td:first-child,th:first-child{text-align:left}pre{background:#f6f8fa;padding:.8rem;overflow:auto}svg{max-width:100%;height:auto}
"""
_BY_WEIGHT = (
    "Realised over requested changes by the weight before the write: solid lines for requests that raise it, dashed "
    "ones for requests that lower it. Random updates drive a weight to where the two cross, and a device to its "
    "symmetry point (0 to 1 of the used range)."
)


def write_training_report(title: str, points: Sequence[TrainedPoint], path: str | os.PathLike[str]) -> None:
    """Write the report of a training study; an existing file is replaced when the new one is complete.

    Args:
        title: Of the page.
        points: What was trained.
        path: The HTML file.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        DataError: the file cannot be written.
    """
    write_whole(Path(path), training_report(title, points).encode("utf-8"))


def training_report(title: str, points: Sequence[TrainedPoint]) -> str:
    """The report as the text of one HTML file that asks nothing of any other place."""
    started = [point for point in points if point.accuracy]
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        "<h2>Learning curves</h2>",
        "<p>Mean of the seeds on the test samples; the band is one standard deviation.</p>",
        learning_curves(started),
        "<h2>Accuracy</h2>",
        _accuracies(started),
    ]
    if any(point.updates for point in started):
        parts += ["<h2>Writes of the first layer, last epoch</h2>", _updates(started)]
    if compared := [point for point in started if point.gains]:
        parts += [f"<p>{_BY_WEIGHT}</p>", _gains(compared)]
    if said := [point for point in started if point.at_limits]:
        parts += ["<h2>Devices at a limit of their window</h2>", _at_limits(said)]
    parts += ["<h2>Arrays</h2>"]
    parts += [f"<h3>{html.escape(point.label)}</h3><pre>{html.escape(point.notes)}</pre>" for point in started]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}"
        f"<footer><p>crossohm {html.escape(crossohm.__version__)}</p></footer></body></html>\n"
    )


def learning_curves(points: Sequence[TrainedPoint]) -> str:
    """Accuracy against epoch, a line and a band for each point, as SVG.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """

    def draw(axes: Any) -> None:
        for point in points:
            found = 100 * np.array(point.accuracy)
            mean, spread = found.mean(axis=1), found.std(axis=1, ddof=1) if found.shape[1] > 1 else 0 * found[:, 0]
            epochs = np.arange(len(mean))
            (line,) = axes.plot(epochs, mean, marker="o", markersize=3, label=point.label)
            axes.fill_between(epochs, mean - spread, mean + spread, alpha=0.2, color=line.get_color(), linewidth=0)

    return _figure(draw, "epoch", "test accuracy (%)", whole=True)


def _gains(points: Sequence[TrainedPoint]) -> str:
    """Realised per requested changes against the weight, solid for requests that raise it and dashed for the others."""

    def draw(axes: Any) -> None:
        for point in points:
            color = None
            for name, style in (("gain_up", "-"), ("gain_down", "--")):
                pairs = zip(point.gains["weight"], point.gains[name], strict=True)
                known = [(weight, gain) for weight, gain in pairs if gain is not None]
                places, label = np.array(known).reshape(-1, 2).T, point.label if color is None else None
                (line,) = axes.plot(*places, style, marker="o", markersize=3, color=color, label=label)
                color = line.get_color()

    return _figure(draw, "weight / limit", "realised / requested")


def _at_limits(points: Sequence[TrainedPoint]) -> str:
    """Share of the devices at a limit against epoch."""

    def draw(axes: Any) -> None:
        for point in points:
            axes.plot(100 * np.array(point.at_limits), marker="o", markersize=3, label=point.label)

    return _figure(draw, "epoch", "devices at a limit (%)", whole=True)


def _figure(draw: Callable[[Any], None], x: str, y: str, *, whole: bool = False) -> str:
    """What ``draw`` puts on axes with these labels, as SVG; ``whole``: only whole numbers on the horizontal axis."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ModuleNotFoundError:
        raise MissingDependencyError("matplotlib", "plot", "A report of training") from None
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    file = io.StringIO()
    figure.savefig(file, format="svg")
    text = file.getvalue()
    return text[text.index("<svg") :]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _accuracies(points: Sequence[TrainedPoint]) -> str:
    heads = ["point", "epochs", "seeds", "last accuracy", "worst seed", "best mean", "s per epoch, all seeds"]
    rows = []
    for point in points:
        (mean, spread), best = point.final, float(np.array(point.accuracy).mean(axis=1).max())
        pace = f"{np.mean(point.seconds):.2f}" if point.seconds else ""
        done = f"{len(point.loss)} of {point.epochs}"
        last = [f"{mean:.2%} ± {spread:.2%}", f"{point.worst:.2%}"]
        rows.append([point.label, done, str(len(point.seeds)), *last, f"{best:.2%}", pace])
    return _table(heads, rows)


def _updates(points: Sequence[TrainedPoint]) -> str:
    names = list(dict.fromkeys(name for point in points for name in point.updates))
    rows = []
    for point in points:
        found = (point.updates.get(name) for name in names)
        rows.append([point.label, *("" if value is None else f"{value:.3g}" for value in found)])
    return _table(["point", *names], rows)
