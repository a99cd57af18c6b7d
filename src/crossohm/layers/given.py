"""The hardware descriptions layers were made from. Layers keep copies: later edits have no effect on them."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Mapping
from typing import Any, Self, final

from crossohm.layers.hardware import descriptions


@final
class Given:
    """What a user gave, without keeping it alive, and what it was then.

    Args:
        params: A description, nested lists of them, or None.
    """

    def __init__(self, params: Any) -> None:
        self._seen = [(weakref.ref(one), one.copy()) for one in descriptions(params)]

    def edits(self) -> dict[str, tuple[Any, Any]]:
        """Paths that were edited since this was last asked, with the values before and now."""
        found: dict[str, tuple[Any, Any]] = {}
        for index, (given, before) in enumerate(self._seen):
            now = given()
            if now is not None and now != before:
                found |= before.diff(now)
                self._seen[index] = (given, now.copy())
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = type(self)(None)
        twin._seen = list(self._seen)
        return twin

    def __reduce__(self) -> Any:
        return type(self), (None,)  # elsewhere nobody has what was given


def warn_of_edits(given: Mapping[str, Given]) -> None:
    """One warning of all edits that have no effect.

    Args:
        given: What layers were made from, by their names.
    """
    edits = {name: own.edits() for name, own in given.items()}
    names = [name or "the layer" for name, own in edits.items() if own]
    if not names:
        return
    paths = {path: values for own in edits.values() for path, values in own.items()}
    what = ", ".join(f"{path} from {before!r} to {now!r}" for path, (before, now) in paths.items())
    who = ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")
    warnings.warn(
        f"The description given for {who} was edited since ({what}), which has no effect: layers keep copies. Use "
        "reinitialize(model, params=...), or edit layer.params before reinitialize",
        UserWarning,
        stacklevel=users_level(),
    )


def users_level() -> int:
    """Stack level of the user's line, counted from the caller: the first outside this package and frameworks."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("crossohm", "torch", "keras"):
        frame, level = frame.f_back, level + 1
    return level
