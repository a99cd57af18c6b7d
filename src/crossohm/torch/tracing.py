"""What arrays do is no graph: `torch.compile` is kept out of it (the graph breaks, results are the same)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, fx

P = ParamSpec("P")
R = TypeVar("R")


class _Leading(threading.local):
    """Whether a thread is in a call of a module whose products are led to arrays."""

    depth = 0


leading = _Leading()


def untraced(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, run as it is inside compiled models.

    Like `torch.compiler.disable`, but without importing the compiler, which takes seconds, before anything else has.
    """
    outside: Callable[P, R] | None = None

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal outside
        if leading.depth:  # what arrays do with their parameters is led nowhere
            with torch._C.DisableTorchFunction():
                return function(*args, **kwargs)
        if outside is None:
            compiler = sys.modules.get("torch._dynamo")
            if compiler is None:
                return function(*args, **kwargs)
            outside = compiler.disable(function)
        return outside(*args, **kwargs)

    return call


def tracing_by(inputs: tuple[Any, ...]) -> str:
    """What records the operations on ``inputs`` as a graph at this moment; empty if nothing does."""
    if torch.jit.is_tracing():
        return "torch.jit.trace"
    if torch.compiler.is_exporting():
        return "torch.export"
    for value in inputs:
        if not isinstance(value, Tensor) and isinstance(value, fx.Proxy):
            return "torch.fx.symbolic_trace (a tracer for which analog layers are leaves works)"
    return ""
