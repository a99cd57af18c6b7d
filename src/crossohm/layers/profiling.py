"""Look at the signals of a whole network while it works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from numpy.typing import NDArray

from crossohm.chain import AnalogCore, Profile


@contextmanager
def profiled(
    cores: Mapping[str, AnalogCore], bins: int = 4096, floors: Mapping[str, NDArray[Any]] | None = None
) -> Iterator[dict[str, Profile]]:
    """What the inputs and ADCs of several cores see in the ``with`` block, by the cores' names.

    Args:
        cores: By name.
        bins: Resolution of the streaming histograms.
        floors: Smallest outputs that have an effect, ``(outputs,)``, of the cores where that is known.
    """
    with ExitStack() as taps:
        yield {name: taps.enter_context(core.profile(bins, (floors or {}).get(name))) for name, core in cores.items()}
