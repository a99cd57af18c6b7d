"""What layers put out, seen while a model answers eagerly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from crossohm.layers.network import Deviation

Call = Callable[..., Any]


@contextmanager
def around(layer: Any, made: Callable[[Call], Call]) -> Iterator[None]:
    """Let ``made(call)`` take the place of the ``call`` of a layer in the ``with`` block."""
    before = vars(layer).get("call")
    object.__setattr__(layer, "call", made(layer.call))
    try:
        yield
    finally:
        object.__delattr__(layer, "call")
        if before is not None:
            object.__setattr__(layer, "call", before)


@contextmanager
def outputs_of(layers: Mapping[str, Any]) -> Iterator[dict[str, list[np.ndarray]]]:
    """Keep what layers put out in the ``with`` block, call by call; of several outputs the first."""
    kept: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    with ExitStack() as stack:
        for name, layer in layers.items():
            stack.enter_context(around(layer, _then(kept[name].append)))
        yield kept


@contextmanager
def compared(
    analog: Any, digital: Any, pairs: Mapping[str, tuple[Any, Any]], floors: Mapping[str, Any]
) -> Iterator[dict[str, Deviation]]:
    """Deviations of analog layers, summed up over everything the analog model answers in the ``with`` block.

    Args:
        analog: The model on hardware.
        digital: The model it was made from, with BatchNorm folded in the same way; sees every batch as well.
        pairs: Each analog layer with its digital twin, by name.
        floors: Names of those whose outputs all go to a ReLU: what it makes zero counts as zero.
    """
    found = {name: Deviation() for name in pairs}
    expected: dict[str, list[np.ndarray]] = {name: [] for name in pairs}
    with ExitStack() as stack:
        for name, (layer, twin) in pairs.items():
            effective = _rectified if name in floors else _as_it_is
            stack.enter_context(around(twin, _then(expected[name].append)))
            stack.enter_context(around(layer, _then(_comparison(expected[name], found[name], effective))))
        stack.enter_context(around(analog, lambda call: _after(digital, call)))
        yield found


def _then(see: Callable[[np.ndarray], None]) -> Callable[[Call], Call]:
    """What makes a call show its result."""

    def made(call: Call) -> Call:
        def seen(*arguments: Any, **options: Any) -> Any:
            result = call(*arguments, **options)
            see(keras.ops.convert_to_numpy(keras.tree.flatten(result)[0]))
            return result

        return seen

    return made


def _after(first: Any, call: Call) -> Call:
    """A call before which another model sees the inputs."""

    def both(inputs: Any, *arguments: Any, **options: Any) -> Any:
        first(inputs, training=False) if _takes_training(first) else first(inputs)
        return call(inputs, *arguments, **options)

    return both


def _takes_training(layer: Any) -> bool:
    return bool(layer._call_has_training_arg)


def _comparison(
    expected: list[np.ndarray], found: Deviation, effective: Callable[[np.ndarray], np.ndarray]
) -> Callable[[np.ndarray], None]:
    def see(output: np.ndarray) -> None:
        digital, analog = (effective(value.astype(np.float64)) for value in (expected.pop(0), output))
        found.signal += float(np.square(digital).sum())
        found.noise += float(np.square(analog - digital).sum())

    return see


def _rectified(output: np.ndarray) -> np.ndarray:
    return np.maximum(output, 0)


def _as_it_is(output: np.ndarray) -> np.ndarray:
    return output
