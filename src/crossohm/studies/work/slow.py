"""What will take long at which points of a study, told before it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from crossohm.chain.inspection.slow import slow_path
from crossohm.errors import warn_user
from crossohm.params import CrossSimParameters
from crossohm.studies.file.axes import combinations
from crossohm.studies.file.hardware import describe
from crossohm.studies.file.study_file import LoadedStudy
from crossohm.studies.results.sealed import digest

Change = Callable[[CrossSimParameters], CrossSimParameters]


def warn_of_slow_points(loaded: LoadedStudy, change: Change = CrossSimParameters.copy) -> None:
    """Say once for every reason what will take long, at how many points, and which setting makes it fast.

    Args:
        loaded: The study.
        change: What is computed on instead of the hardware described.
    """
    points = list(combinations(loaded.axes))
    known: dict[str, str | None] = {}
    slow: dict[str, int] = {}
    for settings in points:
        for message in {_message(*found, change, known, loaded): None for found in _described(loaded, settings)}:
            if message is not None:
                slow[message] = slow.get(message, 0) + 1
    for message, count in slow.items():
        where = "" if len(points) == 1 else f" ({count} of {len(points)} points)"
        warn_user(f"{message}{where}")


def _described(loaded: LoadedStudy, settings: dict[str, object]) -> Iterator[tuple[str, CrossSimParameters]]:
    """The hardware of a point, and of the layers it makes exceptions for, by the section that describes it."""
    section, folder = loaded.point(settings).hardware, loaded.source.folder
    yield "hardware", describe(section, folder)
    for pattern, layer in section.layers.items():
        if not layer.digital:
            yield f"hardware.layers.{pattern}", describe(section, folder, [layer])


def _message(
    name: str, params: CrossSimParameters, change: Change, known: dict[str, str | None], loaded: LoadedStudy
) -> str | None:
    """What takes long on this hardware; ``known`` keeps the answers. Impossible hardware is for others to report."""
    key = digest(params.as_dict())
    if key not in known:
        try:
            known[key] = slow_path(change(params))
        except Exception:  # device models are the user's and may raise anything
            known[key] = None
    found = known[key]
    return None if found is None else f"{loaded.source.place(name)}: {name} takes long: {found}"
