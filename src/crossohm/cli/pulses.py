"""What pulse tables say about their devices, as a table on the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossohm.cli.sheet import Kind, Sheet

if TYPE_CHECKING:
    from crossohm.training.tables import PulseTable, TableFacts


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
