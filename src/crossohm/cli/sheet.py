"""Tables on a console of any width: nothing is cut; columns that do not fit beside the names follow below them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import final

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 2
#: A text column is wrapped down to this width before it moves below, and beyond the other one in a pipe or a file.
_NARROW, _WIDE = 16, 60
#: Width of a pipe or a file, where it is unknown.
_LOG_WIDTH = 100


class Kind(Enum):
    """What a column holds.

    Attributes:
        NAME: What a row is: comes first, and is repeated where the table continues below.
        TEXT: May be wrapped between words.
        NUMBER: Is never wrapped.
    """

    NAME = "name"
    TEXT = "text"
    NUMBER = "number"


@final
@dataclass(frozen=True)
class Column:
    """One column: its heading and its cells."""

    heading: str
    kind: Kind
    cells: tuple[str, ...]

    @property
    def natural(self) -> int:
        """Characters of the longest cell."""
        return max(map(cell_len, (self.heading, *self.cells)))

    @property
    def least(self) -> int:
        """Characters that it needs."""
        if self.kind is not Kind.TEXT:
            return self.natural
        word = max(cell_len(word) for text in (self.heading, *self.cells) for word in (text.split() or [""]))
        return min(self.natural, max(word, _NARROW))


@final
@dataclass
class Sheet:
    """A table of texts.

    Attributes:
        title: Above it; may be empty.
        headings: Of the columns, with their kinds; names first.
        caption: Below it.
        rows: One text per column; where the last ones are missing, cells stay empty.
        total: A last row, under a line.
    """

    title: str
    headings: Sequence[tuple[str, Kind]]
    caption: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)
    total: tuple[str, ...] | None = None

    def write(self, console: Console | None = None) -> None:
        """Print it, by default on standard output; in a pipe or a file a row is as long as it must be."""
        target = console or Console()
        columns = self._columns()
        if not target.is_terminal:
            taken = _taken(min(column.natural, max(column.least, _WIDE)) for column in columns)
            target.width = max(taken, _LOG_WIDTH)
        tables = list(self._tables(columns, target.width))
        if self.title:
            target.print(Text(self.title, style="italic"))
        for table in tables:
            target.print(table)
        if self.caption:
            target.print(Text(self.caption, style="dim"))

    def _columns(self) -> list[Column]:
        rows = [*self.rows, self.total] if self.total else self.rows
        count = len(self.headings)
        cells = [[*row, *[""] * (count - len(row))] for row in rows]
        return [Column(*heading, tuple(row[index] for row in cells)) for index, heading in enumerate(self.headings)]

    def _tables(self, columns: Sequence[Column], width: int) -> Iterator[Table]:
        """The table in parts that are as wide as the console at most."""
        names = [column for column in columns if column.kind is Kind.NAME]
        widest = max((column.least for column in columns if column.kind is not Kind.NAME), default=0)
        fixed = [name.natural for name in names]
        if _taken((*fixed, widest)) > width:
            room = (width - min(widest, width // 2)) // max(len(names), 1) - 2 * _GAP
            fixed = [min(own, max(room, 1)) for own in fixed]
        groups: list[list[Column]] = [[]]
        for column in columns[len(names) :]:
            if groups[-1] and _taken((*fixed, *(other.least for other in groups[-1]), column.least)) > width:
                groups.append([])
            groups[-1].append(column)
        for group in groups:
            free = width - _taken((*fixed, *(column.least for column in group)))
            yield self._table([*names, *group], [*fixed, *_stretched(group, free)])

    def _table(self, columns: Sequence[Column], widths: Sequence[int]) -> Table:
        table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        for column, width in zip(columns, widths, strict=True):
            side = "right" if column.kind is Kind.NUMBER else "left"
            table.add_column(Text(column.heading), justify=side, overflow="fold", width=width)  # type: ignore[arg-type]
        count = len(self.rows) + (self.total is not None)
        for number in range(count):
            last = self.total is not None and number == count - 2
            table.add_row(*(Text(column.cells[number]) for column in columns), end_section=last)
        return table


def _taken(widths: Iterable[int]) -> int:
    """Characters of columns side by side."""
    return sum(own + _GAP for own in widths)


def _stretched(columns: Sequence[Column], free: int) -> Iterator[int]:
    """Widths of columns that share what is free; never below what they need where there is room for that."""
    for column in columns:
        more = max(0, min(column.natural - column.least, free))
        free -= more
        yield column.least + more
