"""Converted models watch their own first pass, and warn of products that are digital although nobody would think so."""

from __future__ import annotations

import sys
import threading
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import fx, nn

from crossohm.layers.given import users_level
from crossohm.layers.report import in_percent
from crossohm.torch.conversion.kinds import MULTIPLYING, is_convertible
from crossohm.torch.conversion.places import analog_places, is_twin
from crossohm.torch.conversion.products import digital_products
from crossohm.torch.conversion.trial import Recorder, Trial, is_watched
from crossohm.torch.layers.layer import AnalogLayer

#: How to get such products onto arrays.
_WITH_EXAMPLE = (
    "Give the conversion an example, from_torch(model, example=inputs), and products like these run on arrays, as far "
    "as arrays can hold what they multiply with"
)

#: So many digital products a warning names, the largest ones.
_MOST = 4


def watch(model: nn.Module) -> None:
    """Let ``model`` watch its next pass, and warn once; afterwards nothing of it is left."""
    unwatch(model)
    model.register_forward_pre_hook(_begin, prepend=True, with_kwargs=True)  # around what leads products to arrays
    model.register_forward_hook(_end, always_call=True)


def unwatch(model: nn.Module) -> None:
    """Undo `watch` in ``model`` and all its modules."""
    for module in model.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key in [key for key, hook in hooks.items() if hook in (_begin, _end)]:
                del hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
                module._forward_hooks_always_called.pop(key, None)


def warn_of(model: nn.Module, trial: Trial, *, of_unreached: bool) -> None:
    """One warning of everything in a pass that does not run on arrays as one would expect.

    Args:
        model: A converted model.
        trial: What its pass did.
        of_unreached: Whether the pass was to reach every layer.
    """
    found = [
        *(_digital_share(model, trial) if of_unreached else ()),
        *_read(model, trial),
        *_own(model, trial),
        *_strangers(trial),
        *(_unreached(model, trial) if of_unreached else ()),
    ]
    if found and not of_unreached:
        found.append(_WITH_EXAMPLE)
    if found:
        warnings.warn(". ".join(found), RuntimeWarning, stacklevel=users_level())


def _digital_share(model: nn.Module, trial: Trial) -> list[str]:
    """How much of a model is digital, where an example has been counted, and why what no arrays hold is."""
    share = trial.share
    if share is None or share == 1:
        return []
    found = f"{in_percent(share)} of the multiplications with weights are on arrays, the others are digital"
    unheld = [f"{where}: {reason}" for (where, reason), _ in digital_products(model, trial).most_common() if reason]
    most = unheld[:_MOST]
    more = f"; and {len(unheld) - _MOST} more, see conversion_report(model, example)" if len(unheld) > _MOST else ""
    return [f"{found}: {'; '.join(most)}{more}" if most else found]


def _read(model: nn.Module, trial: Trial) -> list[str]:
    readers = {name: trial.readers_of(name, layer) for name, layer in analog_places(model).items()}
    names = [name for name, products in readers.items() if products]
    if not names:
        return []
    first = min(readers[names[0]])
    return [
        f"Digital products, on which hardware has no effect, with the parameters of {_share(model, names)}: "
        f"{_listed(names)}; the first is {first}; conversion_report(model, example) lists all"
    ]


def _own(model: nn.Module, trial: Trial) -> list[str]:
    """Parameters of modules that are neither analog nor known to multiply: nothing has been said about these yet."""
    owners = dict(model.named_modules(remove_duplicate=False))
    analog = {id(parameter) for layer in analog_places(model).values() for parameter in layer.parameters()}
    names = [
        name
        for name in trial.reads
        if not isinstance(owners[name.rpartition(".")[0]], (AnalogLayer, *MULTIPLYING))
        and not is_convertible(owners[name.rpartition(".")[0]])
        and id(model.get_parameter(name)) not in analog
    ]
    if not names:
        return []
    return [
        f"Digital products with parameters that no layer holds: {_listed(names)}; the first is "
        f"{min(trial.reads[names[0]])}"
    ]


def _strangers(trial: Trial) -> list[str]:
    if not trial.strangers:
        return []
    shapes = ", ".join(str(shape) for shape in trial.strangers)
    first = min(next(iter(trial.strangers.values())))
    return [
        f"Digital products with parameters of no module of the model, of shapes {shapes}; the first is {first}. Keep "
        "layers as attributes or in torch.nn.ModuleList, and call them as self.layer, so that conversion reaches them"
    ]


def _unreached(model: nn.Module, trial: Trial) -> list[str]:
    places = analog_places(model)
    reached = [layer for name, layer in places.items() if name in trial.reached]
    names = [
        name
        for name, layer in places.items()
        if name not in trial.reached
        and not trial.readers_of(name, layer)
        and not any(is_twin(layer, other) for other in reached)  # code uses the module under its other name
    ]
    if not names:
        return []
    return [
        f"Data of the example did not reach {_share(model, names)}: {_listed(names)}. Their hardware has no effect on "
        "such inputs; if it should have, look for code that goes past them"
    ]


def _share(model: nn.Module, names: list[str]) -> str:
    """How many of the analog layers have these names, and how much of the parameters."""
    layers = analog_places(model)
    whole = {id(value): value.numel() for layer in layers.values() for value in layer.parameters()}
    part = {id(value): value.numel() for name in names for value in layers[name].parameters()}
    share = sum(part.values()) / max(1, sum(whole.values()))
    return f"{len(names)} of {len(layers)} analog layers ({share:.0%} of their parameters)"


def _listed(names: list[str], most: int = 8) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# --- the hooks: plain functions, so that models are copied and saved with them ----------------------------------------


@final
@dataclass(frozen=True)
class _Pass:
    """A pass that is being watched; ``raised`` is the exception that was being handled when it began."""

    model: nn.Module
    recorder: Recorder
    blocks: ExitStack
    raised: BaseException | None


#: The watched passes of a thread, each inside the one before.
_passes = threading.local()


def _running() -> list[_Pass]:
    found: list[_Pass] = _passes.__dict__.setdefault("running", [])
    while found and found[-1].recorder.is_over():
        found.pop().blocks.close()
    return found


def _begin(model: nn.Module, args: Any, kwargs: Any) -> None:
    symbolic = any(isinstance(value, fx.Proxy) for value in (*args, *kwargs.values()))
    if symbolic or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return
    running = _running()
    if is_watched(model):
        return
    recorder, blocks = Recorder(model, sys._getframe(1)), ExitStack()
    blocks.enter_context(recorder.running((args, kwargs)))
    running.append(_Pass(model, recorder, blocks, sys.exc_info()[1]))


def _end(model: nn.Module, args: Any, outputs: Any) -> None:
    if torch.compiler.is_compiling():
        return
    running = _running()
    if not running or running[-1].model is not model:
        return
    ended = running.pop()
    ended.blocks.close()
    if sys.exc_info()[1] is ended.raised:  # else the pass failed, and the next one is watched
        unwatch(model)
        warn_of(model, ended.recorder.trial, of_unreached=False)
