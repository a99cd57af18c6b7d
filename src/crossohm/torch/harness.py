"""PyTorch as `crossohm.testing.layer.LayerContract` sees a framework: for tests of your own layers."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from crossohm.torch.conversion.convert import from_torch, to_torch


@final
class TorchHarness:
    """How layers of PyTorch are converted, called, changed and copied."""

    def array(self, values: np.ndarray, dtype: str) -> Tensor:
        """Numbers as a tensor."""
        return torch.tensor(values, dtype=getattr(torch, dtype))

    def arrays(self, result: Any) -> list[Tensor]:
        """The tensors of a nested tuple."""
        if isinstance(result, Tensor):
            return [result]
        return [tensor for part in result if part is not None for tensor in self.arrays(part)]

    def analog(self, layer: nn.Module, params: Any, bias_rows: int, *, seed: int, **choices: Any) -> Any:
        """`from_torch`, which leaves ``layer`` alone."""
        return from_torch(layer, params, bias_rows, seed=seed, **choices)

    def digital(self, layer: nn.Module, physical_weights: bool = False) -> Any:
        """`to_torch`."""
        return to_torch(layer, physical_weights)

    def parameters(self, layer: nn.Module) -> dict[str, np.ndarray]:
        """By name."""
        return {name: value.detach().double().cpu().numpy().copy() for name, value in layer.named_parameters()}

    def assign(self, layer: nn.Module, values: Mapping[str, np.ndarray]) -> None:
        """Through ``parameter.data``, which torch's version counter does not see."""
        for name, value in values.items():
            held = layer.get_parameter(name).data
            held.copy_(torch.as_tensor(value, dtype=held.dtype))

    def gradients(
        self, layer: nn.Module, inputs: Sequence[Tensor], call: Callable[..., Any]
    ) -> list[np.ndarray | None]:
        """Of the inputs, then of the parameters."""
        leaves = [x.detach().clone().requires_grad_() for x in inputs]
        layer.zero_grad()
        loss = sum(
            (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum()
            for y in self.arrays(call(layer, leaves))
        )
        torch.autograd.backward(loss)
        return [None if x.grad is None else x.grad.double().numpy() for x in (*leaves, *layer.parameters())]

    def copies(self, layer: nn.Module) -> dict[str, Any]:
        """``copy.deepcopy``, and ``torch.save`` of the whole layer."""
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        return {"deepcopy": copy.deepcopy(layer), "torch.save": torch.load(file, weights_only=False)}

    def hand_over(self, source: nn.Module, target: nn.Module) -> None:
        """``state_dict`` through a file that holds nothing but tensors."""
        file = io.BytesIO()
        torch.save(source.state_dict(), file)
        file.seek(0)
        target.load_state_dict(torch.load(file, weights_only=True))
