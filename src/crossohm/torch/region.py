"""Where in its matrix a parameter lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call


def region_of(layer: nn.Module, form: Callable[[], Tensor], parameter: Tensor) -> tuple[slice, slice]:
    """The rows and columns of ``form()`` that hold ``parameter``: the smallest rectangle around its elements.

    If it is a part of a parameter, all elements of that count; those of other parts are in other matrices.
    Found by forming the matrix with NaN in its place, so that no layer has to say it.
    """
    whole = parameter if parameter._base is None else parameter._base
    name = next((name for name, value in layer.named_parameters() if value is whole), None)
    if name is None:  # not a parameter of the layer itself: anything may have changed
        return slice(None), slice(None)
    with torch.no_grad():
        marked = functional_call(_Form(layer, form), {f"layer.{name}": torch.full_like(whole, torch.nan)}, ()).isnan()
    rows, columns = (torch.nonzero(marked.any(dim=axis)).flatten() for axis in (1, 0))
    return _hull(rows), _hull(columns)


def _hull(indices: Tensor) -> slice:
    return slice(int(indices.min()), int(indices.max()) + 1) if len(indices) else slice(0, 0)


@final
class _Form(nn.Module):
    """The expression of a matrix as a module's forward."""

    def __init__(self, layer: nn.Module, form: Callable[[], Tensor]) -> None:
        super().__init__()
        self.layer = layer
        self._form = form

    def forward(self) -> Tensor:
        return self._form()
