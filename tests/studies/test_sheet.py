"""Tables on consoles of any width: no text is cut, no number broken, and names stand whole wherever they can."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from crossohm.cli.sheet import Kind, Sheet

WORDS = st.text("abcdefg_.", min_size=1, max_size=60)


def printed(sheet: Sheet, width: int | None) -> str:
    """What a terminal of a width shows; None: what a file gets."""
    out = io.StringIO()
    sheet.write(Console(file=out, width=width, force_terminal=width is not None, color_system=None))
    return out.getvalue()


def sheet_of(names: list[str], numbers: list[int], texts: list[str]) -> Sheet:
    headings = (("layer", Kind.NAME), ("words", Kind.TEXT), *((f"n{index}", Kind.NUMBER) for index in range(6)))
    rows = [
        (name, text, *(f"{number + index:,}" for index in range(6)))
        for name, number, text in zip(names, numbers, texts, strict=True)
    ]
    return Sheet("", headings, rows=rows)


rows = st.integers(1, 4).flatmap(
    lambda count: st.tuples(
        st.lists(WORDS, min_size=count, max_size=count, unique=True),
        st.lists(st.integers(0, 10**9), min_size=count, max_size=count),
        st.lists(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), min_size=count, max_size=count),
    )
)


@given(rows=rows, width=st.integers(40, 200) | st.none())
def test_nothing_is_cut(rows: tuple[list[str], list[int], list[str]], width: int | None) -> None:
    sheet = sheet_of(*rows)
    lines = printed(sheet, width).splitlines()
    assert width is None or max(map(len, lines)) <= width
    for name, _, *numbers in sheet.rows:
        assert all(any(number in line.split() for line in lines) for number in numbers)
        assert width is not None or any(line.split()[:1] == [name] for line in lines)


@given(name=WORDS, words=st.lists(WORDS, min_size=1, max_size=4), width=st.integers(30, 120))
def test_what_is_folded_goes_on_below(name: str, words: list[str], width: int) -> None:
    sheet = Sheet("", (("A", Kind.NAME), ("B", Kind.TEXT)), rows=[(name, " ".join(words))])
    lines = printed(sheet, width).splitlines()
    start = next(line for line in lines if line.split() == ["A", "B"]).index("B")
    body = [line for line in lines if set(line) & set("abcdefg_.")]
    assert "".join(line[:start] for line in body).replace(" ", "") == name
    assert "".join(line[start:] for line in body).replace(" ", "") == "".join(words)


@pytest.mark.parametrize("width", [70, 80, 120, None])
def test_names_stay_whole_where_a_column_fits_beside_them(width: int | None) -> None:
    name = "encoder_of_tokens.layers.0.self_attn.out_proj"
    shown = printed(sheet_of([name, "fc"], [123, 4567], ["Linear", "Linear"]), width)
    assert name in shown.split() and {f"n{index}" for index in range(6)} <= set(shown.split())


def test_a_total_stands_below_a_gap() -> None:
    sheet = sheet_of(["fc"], [1], ["Linear"])
    sheet.total = ("total", "", *("7",) * 6)
    lines = [line.split() for line in printed(sheet, None).splitlines()]
    assert lines.index(["total", *("7",) * 6]) == lines.index(["fc", "Linear", *"123456"]) + 2


def test_a_short_row_leaves_cells_empty() -> None:
    sheet = sheet_of(["fc"], [1], ["Linear"])
    sheet.rows.append(("conv", "failed"))
    assert ["conv", "failed"] in [line.split() for line in printed(sheet, None).splitlines()]
