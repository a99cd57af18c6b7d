"""Time and memory of putting a large network on simulated arrays.

Usage: ``python benchmarks/convert.py [--threads N]``

Converts a ResNet-50 (25.6 million weights, random, float32, BatchNorm digital) with 5 % proportional programming errors
by `from_torch`, and reports the seconds and by how much the resident set of the process rises above what it was with
the plain network in memory, in copies of the weights: the kernel's high-water mark, reset before the conversion. A
small network is converted first, so that libraries are loaded. Memory is reported on Linux only.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from crossohm import CrossSimParameters
from crossohm.torch import from_torch


class Bottleneck(nn.Module):
    """Three convolutions and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet50() -> nn.Module:
    """He et al., https://arxiv.org/abs/1512.03385, for 1,000 classes."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
    ]
    inputs = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**stage
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, 2 if stage and not block else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def hardware() -> CrossSimParameters:
    """Cells with 5 % programming error."""
    params = CrossSimParameters()
    params.update(
        {
            "xbar.device.programming_error.enable": True,
            "xbar.device.programming_error.model": "NormalProportionalDevice",
            "xbar.device.programming_error.magnitude": 0.05,
        }
    )
    return params


def memory(field: str) -> int:
    """Bytes the kernel reports for this process; 0 where it does not."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)


def main() -> None:
    """Print seconds and copies of the weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    torch.manual_seed(1)
    model = resnet50().eval()
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    from_torch(nn.Linear(8, 8), hardware(), seed=1)
    before = memory("VmRSS")
    if before:
        Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    analog = from_torch(model, hardware(), seed=1)
    seconds = time.perf_counter() - start
    copies = f", peak {(memory('VmHWM') - before) / size:.1f} copies" if before else ""
    held = f", {(memory('VmRSS') - before) / size:.1f} copies kept" if before else ""
    print(f"{sum(p.numel() for p in analog.parameters()) / 1e6:.1f} M weights: {seconds:.1f} s{copies}{held}")


if __name__ == "__main__":
    main()
