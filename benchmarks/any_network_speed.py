"""Networks of ordinary sizes on simulated arrays next to the same networks in plain PyTorch.

Usage: ``python benchmarks/any_network_speed.py [name ...] [--rounds N]``

Random weights, float32, inference, one thread. Each row is the shortest processor time of one pass, plain and analog in
turn, and their ratio; BatchNorm is a layer of its own on both sides. Names are those of `CASES`, by default all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossohm import CrossSimParameters
from crossohm.torch import from_torch


class Shortcut(nn.Module):
    """A sequence of layers and what goes past it."""

    def __init__(self, *body: nn.Module, past: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)
        self.past = past or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.past(x)


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution that keeps positions up to its stride, and its BatchNorm."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(outputs)]


def resnet18() -> nn.Module:
    """He et al., https://arxiv.org/abs/1512.03385, for 1,000 classes."""
    layers = [*convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs in (64, 64, 128, 128, 256, 256, 512, 512):
        stride = 1 if outputs == inputs else 2
        past = None if stride == 1 else nn.Sequential(*convolution(inputs, outputs, 1, stride))
        body = [*convolution(inputs, outputs, 3, stride), nn.ReLU(), *convolution(outputs, outputs, 3)]
        layers += [Shortcut(*body, past=past), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


class Attention(nn.Module):
    """Self-attention of tokens ``(batch, tokens, size)``, its three projections in one layer as in timm."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(size, 3 * size), nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Patches(nn.Module):
    """The patches of images as tokens, with learned positions."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(3, size, 16, 16)
        self.positions = nn.Parameter(torch.zeros(1, 196, size))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x).flatten(2).transpose(1, 2) + self.positions


def vit_tiny() -> nn.Module:
    """Touvron et al., https://arxiv.org/abs/2012.12877: 12 blocks of size 192; classes from the mean token."""
    layers: list[nn.Module] = [Patches(192)]
    for _ in range(12):
        layers.append(Shortcut(nn.LayerNorm(192), Attention(192, 3)))
        layers.append(Shortcut(nn.LayerNorm(192), nn.Linear(192, 768), nn.GELU(), nn.Linear(768, 192)))
    return nn.Sequential(*layers, nn.LayerNorm(192), Mean(), nn.Linear(192, 1000))


class Mean(nn.Module):
    """The mean of the tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=1)


def depthwise() -> nn.Module:
    """The blocks of Tan and Le's EfficientNet-B0, https://arxiv.org/abs/1905.11946, without squeeze and excitation."""
    layers = [*convolution(3, 32, 3, 2), nn.SiLU()]
    inputs = 32
    # Expansion, outputs, blocks, stride, size of the kernel.
    stages = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
              (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)]  # fmt: skip
    for factor, outputs, blocks, first, size in stages:
        for block in range(blocks):
            wide, stride = factor * inputs, 1 if block else first
            body = [*convolution(inputs, wide, 1), nn.SiLU()] if factor > 1 else []
            body += [*convolution(wide, wide, size, stride, groups=wide), nn.SiLU(), *convolution(wide, outputs, 1)]
            layers += [Shortcut(*body)] if stride == 1 and inputs == outputs else body
            inputs = outputs
    layers += [*convolution(inputs, 1280, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(1280, 1000))


#: By name: the network, the inputs of one pass, and the hardware.
CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "resnet18-1": (resnet18, (1, 3, 224, 224), "ideal"),
    "vit-tiny-1": (vit_tiny, (1, 3, 224, 224), "ideal"),
    "lstm": (lambda: nn.LSTM(128, 256), (100, 8, 128), "ideal"),
    "gru": (lambda: nn.GRU(128, 256), (100, 8, 128), "ideal"),
    "lstm-converters": (lambda: nn.LSTM(128, 256), (100, 8, 128), "converters"),
    "gru-converters": (lambda: nn.GRU(128, 256), (100, 8, 128), "converters"),
    "lstm-8bit": (lambda: nn.LSTM(128, 256), (100, 8, 128), "rram-8bit"),
    "depthwise-8bit": (depthwise, (8, 3, 128, 128), "rram-8bit"),
    "resnet18-8bit": (resnet18, (8, 3, 128, 128), "rram-8bit"),
    "vit-tiny-8bit": (vit_tiny, (8, 3, 224, 224), "rram-8bit"),
}


def described(hardware: str) -> CrossSimParameters:
    """A preset; or ideal hardware, without or with 8-bit DACs and ADCs."""
    if hardware not in ("ideal", "converters"):
        return CrossSimParameters.from_json(hardware)
    params = CrossSimParameters()
    if hardware == "converters":
        params.update(
            {
                "xbar.dac.mvm.model": "QuantizerDAC",
                "xbar.dac.mvm.bits": 8,
                "xbar.adc.mvm.model": "QuantizerADC",
                "xbar.adc.mvm.bits": 8,
                "xbar.adc.mvm.adc_range_option": "MAX",
            }
        )
    return params


def shortest(rounds: int, *calls: Callable[[], Any]) -> list[float]:
    """Processor seconds of each call, the shortest of so many taken in turn."""
    found = [float("inf")] * len(calls)
    for call in calls:
        call()
    for _ in range(rounds):
        for index, call in enumerate(calls):
            start = time.process_time()
            call()
            found[index] = min(found[index], time.process_time() - start)
    return found


def main() -> None:
    """Print a row per case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*CASES, []], default=[])
    parser.add_argument("--rounds", type=int, default=10)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name in chosen.names or CASES:
        build, shape, hardware = CASES[name]
        torch.manual_seed(1)
        model = build().eval()
        analog = from_torch(model, described(hardware), fuse_batchnorm=False, seed=1)
        x = torch.randn(shape)
        with torch.no_grad():
            plain, own = shortest(chosen.rounds, lambda: model(x), lambda: analog(x))  # noqa: B023 - called at once
        print(f"| {name} | {1e3 * plain:.1f} ms | {1e3 * own:.1f} ms | {own / plain:.2f} |", flush=True)


if __name__ == "__main__":
    main()
