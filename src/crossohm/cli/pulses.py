"""What pulse tables say about their devices, as a table on the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossohm.cli.sheet import Kind, Sheet

if TYPE_CHECKING:
    from crossohm.training.tables import PulseTable, TableFacts
    from crossohm.training.updates.fitting import Fit


def facts_table(tables: Sequence[PulseTable]) -> Sheet:
    """The facts of devices, a row each."""
    from crossohm.training.tables import table_facts

    facts = list(map(table_facts, tables))
    siemens = all(table.siemens for table in tables)
    unit, factor = ("µS", 1e6) if siemens else ("", 1.0)
    numbers = (
        "points", "low", "high", "mean SET", "mean RESET", "pulses up, down", "noise up, down", "wrong sign up, down",
        "symmetry",
    )  # fmt: skip
    return Sheet(
        f"Conductances in {unit}" if unit else "Conductances in the unit of the files",
        (("device", Kind.NAME), *((name, Kind.NUMBER) for name in numbers)),
        "mean, pulses, noise, wrong sign: over 10 to 90 % of the range; noise: standard deviation of a step over the "
        "mean step; symmetry: where one SET and one RESET pulse cancel, 0 to 1 of the used range",
        rows=[(str(number), *_row(fact, factor)) for number, fact in enumerate(facts, start=1)],
    )


def _row(fact: TableFacts, factor: float) -> tuple[str, ...]:
    columns, probabilities = fact.points
    symmetry = "none" if fact.symmetry is None else f"{fact.symmetry:.2f}"
    return (
        f"{columns} x {probabilities}{'' if fact.regular else ', uneven'}",
        f"{fact.lowest * factor:.4g}",
        f"{fact.highest * factor:.4g}",
        f"{fact.up.step * factor:.3g}",
        f"{fact.down.step * factor:.3g}",
        f"{fact.up.steps:.3g}, {fact.down.steps:.3g}",
        f"{fact.up.noise:.2f}, {fact.down.noise:.2f}",
        f"{fact.up.wrong:.1%}, {fact.down.wrong:.1%}",
        symmetry,
    )


def fits_table(fits: Sequence[tuple[int, Fit]]) -> Sheet:
    """Formulas fitted to devices, each with the number of its device, a row each."""
    from crossohm.training.described import NAME, description_of

    rows: list[tuple[str, ...]] = []
    for number, fit in fits:
        values = description_of(fit.model)
        name = values.pop(NAME)
        shown = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
        rows.append((str(number), name, f"{fit.r_squared:.3f}", f"{fit.error:.1%}", shown))
    return Sheet(
        "Formulas fitted to the mean steps",
        (
            ("device", Kind.NAME), ("formula", Kind.NAME), ("R²", Kind.NUMBER), ("error", Kind.NUMBER),
            ("parameters", Kind.TEXT),
        ),
        "R²: share of the variance of the mean steps that is explained; error: root mean square over the mean step; "
        "parameters: those that are not the defaults; all digits by --json",
        rows=rows,
    )  # fmt: skip


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"({len(value)} values)"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
