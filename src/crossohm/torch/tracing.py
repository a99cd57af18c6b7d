"""Keeping `torch.compile` out of what arrays do: the graph breaks around it, results are the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def untraced(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, run as it is inside compiled models.

    Like `torch.compiler.disable`, but without importing the compiler, which takes seconds, before anything else has.
    """
    outside: Callable[P, R] | None = None

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal outside
        if outside is None:
            compiler = sys.modules.get("torch._dynamo")
            if compiler is None:
                return function(*args, **kwargs)
            outside = compiler.disable(function)
        return outside(*args, **kwargs)

    return call
