"""What the studies of this folder found: a table, and a picture with a panel for each thing that was varied.

Usage: ``python examples/chip_study/picture.py CORES READOUT TABLE.csv PICTURE.svg``, the folders with the results of
``cores.yaml`` and ``readout.yaml``, and the files to write. Points that are not trained yet are left out.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossohm.studies.training.results import TrainedPoint, TrainingFolder

#: What is varied: a heading, and the values in the order of the picture, as the studies call them and as we do.
PANELS = {
    "chip.sizes": ("logical cores", {"13 cores": "13", "": "25", "49 cores": "49", "97 cores": "97"}),
    "chip.spec": ("lines of a core", {"64 lines": "64", "128 lines": "128", "": "256", "512 lines": "512"}),
    "chip.spec.slot": ("lines of a slot", {"2": "2", "": "16", "64": "64", "128": "128"}),
    "chip.recipe.sd": ("noise of comparators", {"0.03": "0.03", "": "0.1", "0.3": "0.3", "1.0": "1"}),
    "chip.spec.readout_bits": ("readout bits (on chips)", {bits: bits for bits in ("1", "2", "3", "4", "8")}),
}
SEED = "chip.recipe.seed"
Row = tuple[str, str, str, int, float, float]


def rows(points: tuple[TrainedPoint, ...], settings: list[str]) -> Iterator[Row]:
    """Setting, value, seed of the training, seed of the noise or chip, accuracy, seconds per epoch."""
    for point in points:
        if not point.complete:
            continue
        varied = [name for name in settings if name in point.settings] or settings
        for name in varied:
            value, training = PANELS[name][1][point.settings.get(name, "")], point.settings.get(SEED, "0")
            pace = sum(point.seconds) / len(point.seconds)
            for seed, accuracy in zip(point.seeds, point.accuracy[-1], strict=True):
                yield name, value, training, seed, accuracy, pace


def draw(axes: Axes, name: str, found: list[Row]) -> None:
    """Wrong answers of each read, a colour for each training, and their mean, against the value."""
    heading, values = PANELS[name]
    order = list(values.values())
    for value in order:
        wrong = [(100 * (1 - row[4]), f"C{row[2]}") for row in found if row[:2] == (name, value)]
        for percent, color in wrong:
            axes.plot(order.index(value), percent, "o", color=color, alpha=0.6, markersize=4)
        if wrong:
            axes.plot(order.index(value), sum(percent for percent, _ in wrong) / len(wrong), "_k", markersize=22)
    axes.set_xticks(range(len(order)), order)
    axes.set_title(heading, fontsize="medium")
    axes.margins(x=0.15)
    axes.grid(alpha=0.3)


def main() -> None:
    """Read both folders, write both files."""
    cores, readout, table, picture = map(Path, sys.argv[1:])
    *varied, converter = PANELS
    found = [*rows(TrainingFolder(cores).points(), varied), *rows(TrainingFolder(readout).points(), [converter])]
    with table.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["setting", "value", "training seed", "seed", "accuracy", "seconds per epoch"])
        writer.writerows([*row[:5], f"{row[5]:.1f}"] for row in found)
    rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, name in zip(panels, PANELS, strict=True):
        draw(axes, name, found)
    panels[0].set_ylabel("wrong answers (%)")
    figure.savefig(picture, metadata={"Date": None})


if __name__ == "__main__":
    main()
