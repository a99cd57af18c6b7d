"""The draws of analog layers, from one seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from crossohm._random import chip_rng


@contextmanager
def seeded(layers: Iterable[Any], seed: int) -> Iterator[None]:
    """Let analog layers draw the same noise in every such ``with`` block; afterwards generators are as they were."""
    rng = chip_rng(seed, "noise")
    if keras.backend.backend() == "torch":
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**63)))
            yield
        return
    states = [layer._noise.state for layer in layers]
    before = [keras.ops.convert_to_numpy(state) for state in states]
    for state in states:
        state.assign([int(rng.integers(2**31)), 0])
    try:
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)
