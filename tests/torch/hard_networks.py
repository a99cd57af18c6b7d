"""What is hard in networks that others wrote, each in a few lines: products in a module's own code, computed weights,
weights used in several places, data-dependent paths, and answers that are no tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

Network = tuple[nn.Module, Any]


# --- language ---------------------------------------------------------------------------------------------------------


class Conv1D(nn.Module):
    """GPT-2's linear layer, whose weight is ``(inputs, outputs)``."""

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs) / 4), nn.Parameter(torch.randn(outputs) / 4)

    def forward(self, x: Tensor) -> Tensor:
        size = (*x.shape[:-1], self.weight.shape[1])
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(size)


@dataclass
class Written:
    """What a language model answers, with the keys and values of the tokens so far."""

    logits: Tensor
    cache: list[tuple[Tensor, Tensor]]


class GPT2(nn.Module):
    """Causal attention with a cache; the head is the table of the tokens."""

    def __init__(self, size: int = 16, heads: int = 2, tokens: int = 20) -> None:
        super().__init__()
        self.heads = heads
        self.tokens, self.places = nn.Embedding(tokens, size), nn.Embedding(24, size)
        self.attend, self.project = Conv1D(3 * size, size), Conv1D(size, size)
        self.norm, self.wide, self.narrow = nn.LayerNorm(size), Conv1D(4 * size, size), Conv1D(size, 4 * size)
        self.head = nn.Linear(size, tokens, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, numbers: Tensor, cache: list[tuple[Tensor, Tensor]] | None = None) -> Written:
        before = cache[0][0].shape[2] if cache else 0
        x = self.tokens(numbers) + self.places(torch.arange(before, before + numbers.shape[1]))
        parts = self.attend(self.norm(x)).split(x.shape[-1], dim=2)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        if cache:
            k, v = torch.cat([cache[0][0], k], 2), torch.cat([cache[0][1], v], 2)
        mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(before)
        found = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)
        x = x + self.project(found)
        return Written(self.head(x + self.narrow(F.gelu(self.wide(x)))), [(k, v)])


def written(model: nn.Module, numbers: Tensor, steps: int) -> Tensor:
    """The tokens that follow, one at a time, with the cache."""
    answer, found = model(numbers), []
    for _ in range(steps):
        found.append(answer.logits[:, -1].argmax(-1, keepdim=True))
        answer = model(found[-1], answer.cache)
    return torch.cat(found, 1)


class Experts(nn.Module):
    """A mixture of experts in one stack; data choose which of them work on a token."""

    def __init__(self, size: int = 8, experts: int = 3) -> None:
        super().__init__()
        self.gate = nn.Linear(size, experts, bias=False)
        self.wide = nn.Parameter(torch.randn(experts, 2 * size, size) / 4)
        self.narrow = nn.Parameter(torch.randn(experts, size, size) / 4)

    def forward(self, x: Tensor) -> Tensor:
        weights, chosen = self.gate(x).softmax(-1).topk(2, -1)
        found = torch.zeros_like(x)
        for number in range(len(self.wide)):
            rows, order = torch.where(chosen == number)
            if len(rows):
                up, gate = F.linear(x[rows], self.wide[number]).chunk(2, -1)
                y = F.linear(F.silu(gate) * up, self.narrow[number])
                found = found.index_add(0, rows, y * weights[rows, order, None])
        return found


class BatchedExperts(Experts):
    """Every expert works on every token."""

    def forward(self, x: Tensor) -> Tensor:
        up, gate = torch.bmm(x.expand(len(self.wide), -1, -1), self.wide.transpose(1, 2)).chunk(2, -1)
        y = torch.einsum("etd,eod->eto", F.silu(gate) * up, self.narrow)
        return torch.einsum("eto,te->to", y, self.gate(x).softmax(-1))


class GroupedExperts(Experts):
    """Tokens sorted by their expert, and one product of all groups; torch has it in single precision only."""

    def forward(self, x: Tensor) -> Tensor:
        weights, chosen = self.gate(x).softmax(-1).topk(2, -1)
        numbers, order = chosen.flatten().sort()
        ends = torch.histc(numbers.float(), len(self.wide), 0, len(self.wide) - 1).cumsum(0).int()
        up, gate = F.grouped_mm(x[order // 2], self.wide.transpose(1, 2), offs=ends).chunk(2, -1)
        y = F.grouped_mm(F.silu(gate) * up, self.narrow.transpose(1, 2), offs=ends)
        return torch.zeros_like(x).index_add(0, order // 2, y * weights.flatten()[order, None])


class Mamba(nn.Module):
    """A selective state space, Gu and Dao 2023; the step sizes are a product with the weight of a layer."""

    def __init__(self, size: int = 8, states: int = 4) -> None:
        super().__init__()
        self.enter, self.conv = nn.Linear(size, 2 * size, bias=False), nn.Conv1d(size, size, 3, groups=size, padding=2)
        self.select, self.step = nn.Linear(size, 2 + 2 * states, bias=False), nn.Linear(2, size)
        self.rates, self.skip = nn.Parameter(torch.randn(size, states)), nn.Parameter(torch.ones(size))
        self.leave = nn.Linear(size, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.enter(x).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        step, into, out = self.select(x).split([2, self.rates.shape[1], self.rates.shape[1]], -1)
        step = F.softplus(step @ self.step.weight.T + self.step.bias)
        decay = torch.exp(-step[..., None] * self.rates.exp())
        state, found = x.new_zeros(len(x), *self.rates.shape), []
        for t in range(x.shape[1]):
            state = decay[:, t] * state + (step[:, t] * x[:, t])[..., None] * into[:, t, None]
            found.append((state * out[:, t, None]).sum(-1))
        return self.leave((torch.stack(found, 1) + x * self.skip) * F.silu(gate))


class XLNet(nn.Module):
    """Relative attention by Einstein sums with parameters of three axes, as in Transformer-XL."""

    def __init__(self, size: int = 8, heads: int = 2) -> None:
        super().__init__()
        for name in "qkvro":
            setattr(self, name, nn.Parameter(torch.randn(size, heads, size // heads) / 3))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v, r = (torch.einsum("ibh,hnd->ibnd", x, getattr(self, name)) for name in "qkvr")
        scores = torch.einsum("ibnd,jbnd->bnij", q, k + r).softmax(-1)
        return torch.einsum("ibnd,hnd->ibh", torch.einsum("bnij,jbnd->ibnd", scores, v), self.o)


class Deep(nn.Module):
    """A group of layers that is passed twice, as in ALBERT, in keyword arguments and a dictionary of answers."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), nn.LayerNorm(8))
        self.first = self.second = nn.Linear(8, 4)

    def forward(self, *, states: Tensor, mask: Tensor) -> dict[str, Tensor]:
        x = states * mask[..., None]
        for _ in range(2):
            x = x + self.shared(x)
        return {"first": self.first(x), "second": self.second(2 * x)}


# --- vision -----------------------------------------------------------------------------------------------------------


class StdConv2d(nn.Conv2d):
    """Standardised kernels, as in BiT; with a gain they are NFNet's."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: bool) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        self.gain = nn.Parameter(torch.rand(outputs, 1, 1, 1)) if gain else None

    def forward(self, x: Tensor) -> Tensor:
        spread, mean = torch.std_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        kernel = (self.weight - mean) / (spread + 1e-6)
        kernel = kernel if self.gain is None else kernel * self.gain
        return F.conv2d(x, kernel, self.bias, self.stride, self.padding, self.dilation, self.groups)


def standardised(gain: bool) -> nn.Module:
    """A small network of `StdConv2d`."""
    layers = [StdConv2d(3, 8, 3, gain), nn.GroupNorm(2, 8), nn.ReLU(inplace=True), StdConv2d(8, 8, 1, gain)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))


class Swin(nn.Module):
    """Attention in shifted windows, with biases of the relative positions from a table."""

    def __init__(self, size: int = 8, heads: int = 2, window: int = 2) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.patches, self.qkv, self.project = (
            nn.Conv2d(3, size, 2, 2),
            nn.Linear(size, 3 * size),
            nn.Linear(size, size),
        )
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads))
        at = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        apart = at[:, None] - at[None] + window - 1
        self.register_buffer("index", apart[..., 0] * (2 * window - 1) + apart[..., 1])

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).movedim(1, -1)
        batch, side, _, size = x.shape
        n = self.window
        x = torch.roll(x, (-1, -1), (1, 2)).view(batch, side // n, n, side // n, n, size)
        x = x.transpose(2, 3).reshape(-1, n * n, size)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) + self.table[self.index.view(-1)].view(n * n, n * n, -1).movedim(-1, 0)
        return self.project((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)).mean(1)


class EVA(nn.Module):
    """One product for queries, keys and values, whose bias is put together; rotated positions; gated hidden layer."""

    def __init__(self, size: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.qkv = heads, nn.Linear(size, 3 * size, bias=False)
        self.q_bias, self.v_bias = nn.Parameter(torch.randn(size)), nn.Parameter(torch.randn(size))
        self.register_buffer("k_bias", torch.zeros(size), persistent=False)
        self.register_buffer("angles", torch.outer(torch.arange(5.0), torch.tensor([1.0, 0.1])), persistent=False)
        self.wide, self.narrow, self.scale = (
            nn.Linear(size, 4 * size),
            nn.Linear(2 * size, size),
            nn.Parameter(torch.rand(size)),
        )

    def _rotated(self, x: Tensor) -> Tensor:
        even, odd = x[..., ::2], x[..., 1::2]
        sin, cos = self.angles.sin(), self.angles.cos()
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat((self.q_bias, self.k_bias, self.v_bias))
        q, k, v = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(self._rotated(q), self._rotated(k), v).transpose(1, 2).flatten(2)
        gate, value = self.wide(x + self.scale * y).chunk(2, -1)
        return self.narrow(F.silu(gate) * value)


class R3D(nn.Module):
    """A residual block of three-dimensional convolutions, on a video."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv3d(3, 4, 3, padding=1, bias=False), nn.BatchNorm3d(4)
        self.conv2, self.norm2 = nn.Conv3d(4, 4, 3, padding=1, bias=False), nn.BatchNorm3d(4)
        self.shortcut, self.head = nn.Sequential(nn.Conv3d(3, 4, 1, bias=False), nn.BatchNorm3d(4)), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu_()))
        y += self.shortcut(x)
        return self.head(y.relu_().mean((2, 3, 4)))


class TiedAutoencoder(nn.Module):
    """The decoder multiplies with the transposed weight of the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.bias = nn.Linear(12, 6), nn.Parameter(torch.randn(12))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        code = self.encoder(x).tanh()
        return F.linear(code, self.encoder.weight.t(), self.bias), [code]


# --- graphs and signals -----------------------------------------------------------------------------------------------


class GraphAttention(nn.Module):
    """Messages along edges: a layer of GCN and one of GAT, with weights of their own."""

    def __init__(self, inputs: int = 6, size: int = 8) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(size, inputs) / 3), nn.Parameter(torch.randn(size, size) / 3)
        self.source, self.target = nn.Parameter(torch.randn(1, size)), nn.Parameter(torch.randn(1, size))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        start, end = edges
        degree = torch.zeros(len(x), dtype=x.dtype).index_add(0, end, torch.ones(len(end), dtype=x.dtype)).clamp(min=1)
        x = F.linear(x, self.first)
        x = torch.zeros_like(x).index_add(0, end, x[start] / degree[end, None]).relu()
        x = x @ self.second.t()
        scores = F.leaky_relu((x * self.source).sum(-1)[start] + (x * self.target).sum(-1)[end]).exp()
        total = torch.zeros(len(x), dtype=x.dtype).index_add(0, end, scores)
        return torch.zeros_like(x).index_add(0, end, x[start] * (scores / total[end])[:, None])


class Temporal(nn.Module):
    """A block of a temporal convolutional network, with normed weights of the old or the new kind."""

    def __init__(self, old: bool) -> None:
        super().__init__()
        normed: Callable[..., nn.Module] = nn.utils.weight_norm if old else parametrizations.weight_norm
        self.first, self.second = (
            normed(nn.Conv1d(3, 6, 3, padding=2)),
            normed(nn.Conv1d(6, 6, 3, padding=4, dilation=2)),
        )
        self.shortcut = nn.Conv1d(3, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x)[..., :-2].relu())[..., :-4].relu()
        return (y + self.shortcut(x)).relu()


class LoRA(nn.Module):
    """A frozen layer with a small product beside it, and one whose weight is the sum."""

    def __init__(self, size: int = 8, rank: int = 2) -> None:
        super().__init__()
        self.base, self.other = nn.Linear(size, size), nn.Linear(size, size)
        self.base.requires_grad_(False)
        self.down, self.up = nn.Linear(size, rank, bias=False), nn.Linear(rank, size, bias=False)
        self.a, self.b = nn.Parameter(torch.randn(rank, size)), nn.Parameter(torch.randn(size, rank))

    def forward(self, x: Tensor) -> Tensor:
        x = self.base(x) + 0.5 * self.up(self.down(x))
        return F.linear(x.relu(), self.other.weight + 0.5 * (self.b @ self.a), self.other.bias)


def pruned() -> nn.Module:
    """Half of the weights are masked."""
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4))
    for layer in (model[0], model[3]):
        prune.l1_unstructured(layer, "weight", 0.5)
    return model


def discriminator() -> nn.Module:
    """Weights divided by their largest singular value."""
    conv, dense = nn.Conv2d(3, 6, 4, 2, 1), nn.Linear(54, 1)
    normed = (parametrizations.spectral_norm(layer) for layer in (conv, dense))
    first, second = normed
    return nn.Sequential(first, nn.LeakyReLU(0.2), nn.Flatten(), second)


# --- all of them ------------------------------------------------------------------------------------------------------


def _edges() -> Tensor:
    return torch.randint(0, 7, (2, 15), generator=torch.Generator().manual_seed(2))


def _numbers() -> Tensor:
    return torch.randint(0, 20, (2, 5), generator=torch.Generator().manual_seed(2))


#: Networks and examples, as positional inputs in a tuple or keyword inputs in a dictionary.
HARD: dict[str, Callable[[], Network]] = {
    "gpt2": lambda: (GPT2(), (_numbers(),)),
    "experts": lambda: (Experts(), (torch.randn(6, 8),)),
    "batched-experts": lambda: (BatchedExperts(), (torch.randn(6, 8),)),
    "mamba": lambda: (Mamba(), (torch.randn(2, 5, 8),)),
    "xlnet": lambda: (XLNet(), (torch.randn(5, 2, 8),)),
    "shared": lambda: (Deep(), {"states": torch.randn(2, 5, 8), "mask": torch.ones(2, 5)}),
    "bit": lambda: (standardised(gain=False), (torch.randn(2, 3, 6, 6),)),
    "nfnet": lambda: (standardised(gain=True), (torch.randn(2, 3, 6, 6),)),
    "swin": lambda: (Swin(), (torch.randn(2, 3, 8, 8),)),
    "eva": lambda: (EVA(), (torch.randn(2, 5, 8),)),
    "r3d": lambda: (R3D(), (torch.randn(2, 3, 3, 4, 4),)),
    "tied-autoencoder": lambda: (TiedAutoencoder(), (torch.randn(3, 12),)),
    "graph-attention": lambda: (GraphAttention(), (torch.randn(7, 6), _edges())),
    "tcn-weight-norm": lambda: (Temporal(old=False), (torch.randn(2, 3, 9),)),
    "tcn-old-weight-norm": lambda: (Temporal(old=True), (torch.randn(2, 3, 9),)),
    "lora": lambda: (LoRA(), (torch.randn(3, 8),)),
    "pruned": lambda: (pruned(), (torch.randn(2, 3, 6, 6),)),
    "spectral-norm": lambda: (discriminator(), (torch.randn(2, 3, 6, 6),)),
}
