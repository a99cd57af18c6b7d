"""Empty figures with room for what is written on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from crossohm.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Height of a line of text in a row of names, and widths of a character in texts and in titles, inch.
ROW, LETTER, TITLE = 0.24, 0.085, 0.115
_LINE = 40


def new_figure(width: float = 6.4, height: float = 4.0) -> Figure:
    """An empty figure of a size in inch.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as NewFigure
    except ModuleNotFoundError:
        raise MissingDependencyError("matplotlib", "plot", "A figure") from None
    return NewFigure(figsize=(width, height), layout="constrained")


def rows_figure(names: Sequence[str], title: str) -> tuple[Figure, Any]:
    """A figure with a row for each name, the first one on top."""
    texts = list(map(folded, names))
    lines = [text.split("\n") for text in texts]
    widest = max((len(line) for own in lines for line in own), default=0)
    figure = new_figure(4.6 + LETTER * widest, max(2.5, 1.3 + ROW * sum(map(len, lines))))
    ax = figure.add_subplot()
    ax.set_yticks(range(len(texts)), texts)
    ax.set_ylim(max(len(texts), 1) - 0.5, -0.5)
    head(figure, title, figure.get_figwidth())
    return figure, ax


def head(figure: Figure, title: str, width: float) -> None:
    """Write a title above everything, from the left and no wider than so many inch."""
    figure.suptitle(folded(title, int(width / TITLE)), x=0.01, ha="left")


def folded(text: str, width: int = _LINE) -> str:
    """A text in lines of at most so many characters, broken behind blanks and marks, or within longer words."""
    lines, rest = [], text
    while len(rest) > width:
        at = max((rest.rfind(mark, 0, width) for mark in " .,_/="), default=-1) + 1
        lines.append(rest[: at or width].rstrip())
        rest = rest[at or width :].lstrip()
    return "\n".join([*lines, rest])
