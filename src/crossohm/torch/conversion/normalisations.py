"""What a BatchNorm does besides normalising: kinds of other packages put an activation behind it in one module."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from crossohm.torch.conversion.dataflow import evaluating, users_of
from crossohm.torch.conversion.observed import observed

#: Axes of an input that each kind takes.
_AXES: dict[type[nn.Module], int] = {nn.BatchNorm1d: 2, nn.BatchNorm2d: 4, nn.BatchNorm3d: 5}


def kind_of_norm(norm: nn.Module) -> type[nn.Module] | None:
    """The kind of torch's that ``norm`` is, or is derived from; None: none that can be folded."""
    frozen = None if isinstance(norm, _BatchNorm) else nn.BatchNorm2d
    return next((kind for kind in _AXES if isinstance(norm, kind)), frozen)


def steps_behind(norm: Any) -> dict[str, nn.Module] | None:
    """The modules of ``norm`` that its forward lets the normalised values pass, one after the other, by name.

    Returns:
        Nothing for torch's own kinds. None where the forward does anything else.
    """
    kind = kind_of_norm(norm)
    if kind is None or norm.running_var is None:
        return None
    if type(norm).forward is _BatchNorm.forward:
        return {}
    probe = torch.linspace(-2, 2, 2 * len(norm.running_var)).to(norm.running_var)
    probe = probe.reshape(2, -1, *(1,) * (_AXES[kind] - 2))
    if not isinstance(norm, _BatchNorm):
        return _frozen_steps(norm, probe)
    try:
        names = _chain(observed(norm, lambda seen: seen(probe.clone()), lambda part, name: True))
    except Exception:  # the forward is the user's, and may fail in any way
        return None
    if names is None or not set(names) <= norm._modules.keys() or len(set(names)) < len(names):
        return None
    steps = {name: norm.get_submodule(name) for name in names}
    return steps if _are_all(norm, steps, probe) else None


def _chain(graph: fx.Graph) -> list[str] | None:
    """The modules that follow one another behind a normalisation, if there is nothing else."""
    start, *others = [node for node in graph.nodes if node.op == "placeholder"]
    if others:
        return None
    names: list[str] = []
    node = start
    while True:
        users = users_of(node)
        if len(users) != 1:
            return None
        user = users[0]
        if user.op == "output":
            return names
        if node is start:
            if getattr(user.target, "__name__", "") != "batch_norm" or len(user.args) < 3:
                return None
        elif user.op == "call_module" and user.args == (node,):
            names.append(str(user.target))
        else:
            return None
        node = user


def _frozen_steps(norm: Any, probe: torch.Tensor) -> dict[str, nn.Module] | None:
    """None behind a frozen normalisation that has written out what BatchNorm does, as its own answers show."""
    try:
        return {} if not norm._modules and _are_all(norm, {}, probe) else None
    except Exception:  # the forward is the user's, and may fail in any way
        return None


@torch.no_grad()
def _are_all(norm: Any, steps: dict[str, nn.Module], probe: torch.Tensor) -> bool:
    """True if normalising and these steps give what ``norm`` gives."""
    found = nn.functional.batch_norm(probe, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    with evaluating(norm):
        for step in steps.values():
            found = step(found)
        return torch.allclose(found, norm(probe.clone()), rtol=1e-5, atol=1e-5)
