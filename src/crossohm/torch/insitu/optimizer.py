"""The optimizer whose steps are writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
import torch
from torch import nn

from crossohm.errors import UnsupportedError
from crossohm.torch.insitu.layer import InSituLayer
from crossohm.training.checks import require_number, require_one_of
from crossohm.training.semantics import SEMANTICS, learn, require_fresh


@final
class AnalogSGD(torch.optim.Optimizer):
    """Stochastic gradient descent whose steps on layers with devices are physical writes.

    It stands where ``torch.optim.SGD`` stands in a training loop. Layers with devices are written with the operands of
    the backward passes since `zero_grad`; other parameters are changed as by ``torch.optim.SGD``. A loss that is a mean
    over the batch asks each sample for its share of the change.

    Args:
        model: The network; its own layers and parameters are those that learn.
        lr: Learning rate; per write, it stretches the drive.
        semantics: How a batch is written, see `crossohm.training.semantics`: ``"minibatch_sequential"``: one write per
            sample (of convolutions, per output position), in order, for errors at the weights before the batch;
            ``"per_sample"``: the same, and batches of more than one sample are refused; ``"burst"``: one write of the
            sum.

    Raises:
        ParameterError: a parameter is out of its range.
        UnsupportedError: ``model`` is no network, or has no layer with devices.
    """

    def __init__(self, model: nn.Module, lr: float, *, semantics: str = "minibatch_sequential") -> None:
        require_number("lr", lr, at_least=0)
        require_one_of("semantics", semantics, SEMANTICS, "way to write a batch")
        if not isinstance(model, nn.Module):
            raise UnsupportedError("AnalogSGD takes the network itself, not its parameters: AnalogSGD(model, lr)")
        self.layers = [module for module in model.modules() if isinstance(module, InSituLayer)]
        if not self.layers:
            raise UnsupportedError(
                "AnalogSGD: the network has no layer with devices; convert it with crossohm.torch.to_in_situ, or use "
                "torch.optim.SGD"
            )
        self.semantics = semantics
        super().__init__([*model.parameters(), *(layer.handle for layer in self.layers)], {"lr": lr})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the backward passes so far."""
        super().zero_grad(set_to_none)
        for layer in self.layers:
            layer.pending.clear()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Write what the backward passes since `zero_grad` ask for; returns the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        (group,) = self.param_groups
        handles = {id(layer.handle) for layer in self.layers}
        for parameter in group["params"]:
            if parameter.grad is not None and id(parameter) not in handles:
                parameter.add_(parameter.grad, alpha=-group["lr"])
        for layer in self.layers:
            self._write(layer, group["lr"])
        return loss

    def _write(self, layer: InSituLayer, lr: float) -> None:
        """Write a layer's passes, the first first."""
        if not layer.pending:
            return
        require_fresh(self.semantics, sum(queued.samples for queued in layer.pending))
        rows = np.concatenate([queued.rows for queued in layer.pending])[None]
        columns = np.concatenate([queued.columns for queued in layer.pending])[None]
        layer.pending.clear()
        learn(layer.matrix, rows, columns, lr, self.semantics)
