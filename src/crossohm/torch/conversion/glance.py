"""One look at the parameters of a whole model per pass, where to look means to wait for an accelerator.

Layers that follow their parameters compare fingerprints of these before each product, which stops an accelerator once
per parameter. A model that is converted there takes all fingerprints together as its pass begins; its layers use these
unless a parameter has been changed or exchanged since, as torch's version counter tells.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from crossohm.backends import backend_of
from crossohm.backends.torch_fingerprint import fingerprints
from crossohm.torch.conversion.places import analog_places
from crossohm.torch.conversion.trial import is_watched


def look_together(model: nn.Module) -> None:
    """Let ``model`` look at all its parameters at once when a pass begins, if these are on an accelerator."""
    look_apart(model)
    parameters = (parameter for layer in analog_places(model).values() for parameter in layer.parameters())
    if any(backend_of(parameter).on_accelerator(parameter) for parameter in parameters):
        model.register_forward_pre_hook(_look)
        model.register_forward_hook(_forget, always_call=True)


def look_apart(model: nn.Module) -> None:
    """Undo `look_together` in ``model`` and all its modules."""
    for module in model.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key in [key for key, hook in hooks.items() if hook in (_look, _forget)]:
                del hooks[key]
                module._forward_hooks_always_called.pop(key, None)


# --- the hooks: plain functions, so that models are copied and saved with them ----------------------------------------


def _look(model: nn.Module, _: Any) -> None:
    if is_watched(model):
        return  # layers look at theirs, which is not taken for the model's own business
    followed = [layer for layer in analog_places(model).values() if layer.sync != "manual"]
    matrices = [matrix for layer in followed for matrix in layer.matrices]
    seen: list[list[Tensor]] = [matrix.looked_at() for matrix in matrices]
    found = iter(fingerprints([value for values in seen for value in values]))
    for matrix, values in zip(matrices, seen, strict=True):
        matrix.glance = [(value, value._version, next(found)) for value in values]


def _forget(model: nn.Module, *_: Any) -> None:
    for layer in analog_places(model).values():
        for matrix in layer.matrices:
            matrix.glance = None
