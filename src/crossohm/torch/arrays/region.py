"""Where in its matrix a parameter lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from crossohm.torch.transforms import plain


def region_of(layer: nn.Module, form: Callable[[], Tensor], stored: Tensor) -> tuple[slice, slice]:
    """The rows and columns of ``form()`` that hold a parameter, or the parameter that ``stored`` is a part of.

    They are the smallest rectangle around its elements, found by forming the matrix with NaN in its place, so that no
    layer has to say it.
    """
    name = name_of(layer, stored)
    if name is None:
        return slice(None), slice(None)
    nowhere = {f"layer.{name}": torch.full_like(dict(layer.named_parameters())[name], torch.nan)}
    with torch.no_grad():
        marked = functional_call(_Form(layer, form), nowhere, ()).isnan()
    rows, columns = (torch.nonzero(marked.any(dim=axis)).flatten() for axis in (1, 0))
    return _hull(rows), _hull(columns)


def name_of(layer: nn.Module, stored: Tensor) -> str | None:
    """Name of a parameter in ``layer``, or of the parameter that ``stored`` is a part of; None if there is none."""
    place = plain(stored).data_ptr()
    for name, parameter in layer.named_parameters():
        start = plain(parameter).data_ptr()
        if parameter is stored or start <= place < start + parameter.nbytes:
            return name
    return None


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
