"""What layers put out, seen while a model answers eagerly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from crossohm.layers.comparison import Comparison
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
    comparison = Comparison(pairs, floors)
    with ExitStack() as stack:
        for name, (layer, twin) in pairs.items():
            stack.enter_context(around(twin, _then(comparison.expects(name))))
            stack.enter_context(around(layer, _then(comparison.sees(name))))
        stack.enter_context(around(analog, lambda call: _after(digital, call)))
        yield comparison.found


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
