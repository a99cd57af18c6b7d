"""Training with the arrays in the loop: when they are written again, and on which chip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from crossohm.errors import ParameterError
from crossohm.torch.conversion.convert import analog_modules, reinitialize, synchronize


@contextmanager
def reprogramming(
    model: nn.Module, optimizer: torch.optim.Optimizer, every: int = 1, other_chips: bool = False
) -> Iterator[None]:
    """Write all arrays of ``model`` after every ``every``-th optimizer step of the ``with`` block, and only then.

    Each write draws new programming errors, which is what makes training robust against them. With ``every = 1`` every
    step sees errors of its own; with more, the arrays keep conductances and errors while the parameters move on, as
    hardware does that is too slow, or wears out too fast, to be written at every step. Parameters changed by hand after
    a step that writes (clipping) are still followed. At the end every layer has its `AnalogLayer.sync` again.

    Args:
        model: A network with analog layers.
        optimizer: Its steps are counted.
        every: Steps per write.
        other_chips: Move to another chip with each write: converters, too, have new errors.

    Raises:
        ParameterError: ``every`` is no number of steps.

    Example::

        with reprogramming(analog, optimizer, every=10):
            for images, labels in batches:
                optimizer.zero_grad()
                cross_entropy(analog(images), labels).backward()
                optimizer.step()
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ParameterError("every", every, "is no number of optimizer steps", allowed="1, 2, ...")
    layers = analog_modules(model)
    policies = [layer.sync for layer in layers]
    steps = 0

    def after_step(*_: Any) -> None:
        nonlocal steps
        steps += 1
        due = steps % every == 0
        if due:
            (reinitialize if other_chips else synchronize)(model)
        for layer in layers:
            layer.sync = "auto" if due else "manual"

    hook = optimizer.register_step_post_hook(after_step)
    try:
        yield
    finally:
        hook.remove()
        for layer, policy in zip(layers, policies, strict=True):
            layer.sync = policy
