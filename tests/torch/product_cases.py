"""Ways in which a module's own code multiplies with the weight of a layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Reader(nn.Module):
    """Multiplies with a layer's weight in its own code; ``product(x, layer)``."""

    def __init__(self, layer: nn.Module, product: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layer = layer
        self.product = product

    def forward(self, *inputs: Tensor) -> Any:
        return self.product(*inputs, self.layer)


def linear(x: Tensor, layer: Any) -> Tensor:
    return F.linear(x, layer.weight, layer.bias)


#: Ways to multiply 5 vectors of 4 with the weight of a linear layer of 4 to 4.
PRODUCTS: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "linear": linear,
    "linear-keywords": lambda x, layer: F.linear(input=x, weight=layer.weight),
    "matmul": lambda x, layer: torch.matmul(x, layer.weight),
    "operator": lambda x, layer: x @ layer.weight.T,
    "reversed": lambda x, layer: (layer.weight @ x.T).T,
    "mm": lambda x, layer: x.mm(layer.weight),
    "mv": lambda x, layer: layer.weight.mv(x[0]),
    "bmm": lambda x, layer: torch.bmm(x[None], layer.weight[None]),
    "addmm": lambda x, layer: torch.addmm(layer.bias, x, layer.weight),
    "baddbmm": lambda x, layer: torch.baddbmm(x[None], x[None], layer.weight[None]),
    "einsum": lambda x, layer: torch.einsum("bi,oi->bo", x, layer.weight),
    "tensordot": lambda x, layer: torch.tensordot(x, layer.weight, 1),
    "multi-dot": lambda x, layer: torch.linalg.multi_dot([x, layer.weight, layer.weight]),
    "multi-dot-left": lambda x, layer: torch.linalg.multi_dot([layer.weight, layer.weight, x.T, x[:, 0]]),
    "einsum-three": lambda x, layer: torch.einsum("or,ri,bi", layer.weight, layer.weight, x),
    "einsum-three-data": lambda x, layer: torch.einsum("bi, oij, bj -> bo", [x, layer.weight.expand(3, 4, 4), x]),
    "inner": lambda x, layer: torch.inner(x, layer.weight),
    "conv1d": lambda x, layer: F.conv1d(x[..., None], layer.weight[..., None]),
    "conv2d": lambda x, layer: F.conv2d(x[..., None, None], layer.weight[..., None, None]),
    "transposed": lambda x, layer: F.conv_transpose1d(x[..., None], layer.weight[..., None]),
    "bilinear": lambda x, layer: F.bilinear(x, x, layer.weight.expand(4, 4, 4)),
    "written-out": lambda x, layer: (x[:, None] * layer.weight).sum(-1),
    "transposed-weight": lambda x, layer: F.linear(x, layer.weight.mT.contiguous()),
    "cast": lambda x, layer: F.linear(x.double(), layer.weight.double()),
    "detached": lambda x, layer: F.linear(x, layer.weight.detach()),
    "data": lambda x, layer: F.linear(x, layer.weight.data),
    "cloned": lambda x, layer: F.linear(x, layer.weight.clone()),
    "sliced": lambda x, layer: F.linear(x, layer.weight[:2]),
    "chunk": lambda x, layer: F.linear(x, layer.weight.chunk(2)[1]),
    "unbound": lambda x, layer: x @ torch.stack(layer.weight.unbind()),
    "joined": lambda x, layer: F.linear(x, torch.cat([layer.weight, torch.zeros(2, 4)])),
    "scaled": lambda x, layer: F.linear(x, 2 * layer.weight),
    "standardised": lambda x, layer: F.linear(x, (layer.weight - layer.weight.mean()) / layer.weight.std()),
    "masked": lambda x, layer: F.linear(x, layer.weight * torch.tril(torch.ones(4, 4))),
    "low-rank": lambda x, layer: F.linear(x, layer.weight @ layer.weight),
    "normalised": lambda x, layer: F.linear(x, F.normalize(layer.weight)),
    "reshaped": lambda x, layer: torch.matmul(x, layer.weight.view(2, 2, 4).flatten(0, 1)),
    "noise": lambda x, layer: F.linear(torch.randn(5, 4), layer.weight),
    "in-place": lambda x, layer: x.clone().addmm_(x, layer.weight),
    "in-place-scaled": lambda x, layer: x[None].clone().baddbmm_(x[None], layer.weight[None], beta=0.5, alpha=2),
    "in-place-vector": lambda x, layer: x[0].clone().addmv_(layer.weight, x[1], beta=0),
    "in-place-sum": lambda x, layer: x.clone().addbmm_(x[None], batch2=layer.weight[None]),
}

#: Those that no arrays hold: with three operands at once, and of single numbers.
UNHELD = ("bilinear", "written-out")
