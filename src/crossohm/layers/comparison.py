"""How far the signals of an analog network are from those of the digital one, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, final

from crossohm.backends import Array, backend_of
from crossohm.layers.network import Deviation


@final
class Comparison:
    """Sums up the deviations of analog layers from their digital twins, which put out first.

    Args:
        names: Of the layers.
        rectified: Those of them whose outputs all go to a ReLU: what it makes zero counts as zero.

    Attributes:
        found: Deviations by name.
    """

    def __init__(self, names: Iterable[str], rectified: Collection[str]) -> None:
        self.found = {name: Deviation() for name in names}
        self._rectified = rectified
        self._expected: dict[str, list[Array]] = {name: [] for name in self.found}

    def begin(self) -> None:
        """Forget what twins have put out: a new pass begins, and the last one may have taken other ways."""
        for expected in self._expected.values():
            expected.clear()

    def expects(self, name: str) -> Callable[[Array], None]:
        """What is told the outputs of the digital twin of a layer, call by call."""
        return lambda output: self._expected[name].append(self._effective(name, output))

    def sees(self, name: str) -> Callable[[Array], None]:
        """What is told the outputs of an analog layer, after those of its twin.

        Where data decide which vectors a layer sees, and did so otherwise for its twin, there is nothing to compare.
        """

        def see(output: Array) -> None:
            digital = self._expected[name].pop(0) if self._expected[name] else None
            if digital is None or tuple(digital.shape) != tuple(output.shape):
                return
            analog = self._effective(name, output)
            self.found[name].signal += _squares(digital)
            self.found[name].noise += _squares(analog - digital)

        return see

    def _effective(self, name: str, output: Any) -> Array:
        backend = backend_of(output)
        wide = backend.astype(output, "float64")
        return backend.clip(wide, 0, float("inf")) if name in self._rectified else wide


def _squares(values: Array) -> float:
    return float((values * values).sum())
