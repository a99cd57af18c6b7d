"""How far the signals of an analog network are from those of the digital one, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch

from crossohm.torch.network import TorchNetwork


@final
@dataclass
class Deviation:
    """Sums of squares over everything a layer has put out.

    Attributes:
        signal: Of the digital layer's outputs.
        noise: Of the differences of the analog layer's outputs from them, errors of earlier layers included.
    """

    signal: float = 0.0
    noise: float = 0.0

    def add(self, digital: torch.Tensor, analog: torch.Tensor) -> None:
        """Count one batch."""
        self.signal += float(digital.double().square().sum())
        self.noise += float((analog.double() - digital.double()).square().sum())


@contextmanager
def compared(analog: TorchNetwork, digital: TorchNetwork) -> Iterator[dict[str, Deviation]]:
    """Deviations of all analog layers, summed up over everything the analog network answers in the ``with`` block.

    Of layers whose outputs all go to a ReLU, what the ReLU makes zero counts as zero: it has no effect, and calibrated
    ADCs may spend no levels on it.

    Args:
        analog: The network on hardware.
        digital: The network it was made from, with BatchNorm folded in the same way; sees every batch as well.
    """
    found = {name: Deviation() for name in analog.layers}
    expected: dict[str, list[torch.Tensor]] = {name: [] for name in found}
    rectified = set(analog.floors)
    with ExitStack() as hooks:
        for name, layer in analog.layers.items():
            twin = digital.module.get_submodule(name)
            effective = torch.relu if name in rectified else _as_it_is
            hooks.enter_context(twin.register_forward_hook(_keep(expected[name], effective)))
            hooks.enter_context(layer.register_forward_hook(_compare(expected[name], found[name], effective)))
        answer = analog.module.register_forward_pre_hook(lambda _, inputs: _answer(digital, inputs), prepend=True)
        hooks.enter_context(answer)
        yield found


def _answer(digital: TorchNetwork, inputs: tuple[Any, ...]) -> None:
    digital.module(*inputs)


def _as_it_is(output: torch.Tensor) -> torch.Tensor:
    return output


Effective = Callable[[torch.Tensor], torch.Tensor]


def _keep(outputs: list[torch.Tensor], effective: Effective) -> Any:
    """A hook that keeps what a digital layer puts out until its analog twin has worked."""
    return lambda layer, inputs, output: outputs.append(effective(tensor_of(output)))


def _compare(expected: list[torch.Tensor], found: Deviation, effective: Effective) -> Any:
    return lambda layer, inputs, output: found.add(expected.pop(0), effective(tensor_of(output)))


def tensor_of(output: Any) -> torch.Tensor:
    """The main output of a layer; recurrent layers and attention put out several."""
    found: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return found
