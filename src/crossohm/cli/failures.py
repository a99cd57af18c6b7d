"""Chips of a study that have no result, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossohm.studies import Failure, Results


def failed_points(results: Results) -> dict[int, Failure]:
    """Points without any result, by number, and why the first of their chips has none."""
    return {found.point: found for found in reversed(results.failures) if found.point not in results.points}


def reasons(results: Results) -> Iterator[str]:
    """Why chips have no result, a line for each point and reason."""
    together: dict[tuple[int, str], list[Failure]] = {}
    for found in results.failures:
        together.setdefault((found.point, found.reason), []).append(found)
    for (_, reason), chips in together.items():
        at = ", ".join(f"{path} = {value}" for path, value in chips[0].coordinates.items())
        numbers = ", ".join(str(chip.seed) for chip in chips)
        yield f"failed: {f'{at}, ' if at else ''}chip {numbers}: {reason}"


def failures_as_dicts(results: Results) -> list[dict[str, object]]:
    """The same as plain values."""
    return [
        {"settings": found.coordinates, "seed": found.seed, "reason": found.reason, "details": found.details}
        for found in results.failures
    ]
