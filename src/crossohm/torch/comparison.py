"""How far the signals of an analog network are from those of the digital one, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from crossohm.layers.network import Deviation

Effective = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def compared(
    analog: nn.Module, digital: nn.Module, layers: Mapping[str, nn.Module], rectified: Collection[str]
) -> Iterator[dict[str, Deviation]]:
    """Deviations of analog layers, summed up over everything the analog network answers in the ``with`` block.

    Args:
        analog: The network on hardware.
        digital: The network it was made from, with BatchNorm folded in the same way; sees every batch as well.
        layers: The analog layers by name.
        rectified: Names of those whose outputs all go to a ReLU: what it makes zero counts as zero.
    """
    found = {name: Deviation() for name in layers}
    expected: dict[str, list[torch.Tensor]] = {name: [] for name in found}
    with ExitStack() as hooks:
        for name, layer in layers.items():
            twin = digital.get_submodule(name)
            effective = torch.relu if name in rectified else _as_it_is
            hooks.enter_context(twin.register_forward_hook(_keep(expected[name], effective)))
            hooks.enter_context(layer.register_forward_hook(_compare(expected[name], found[name], effective)))
        answer = analog.register_forward_pre_hook(
            lambda _, inputs, named: _answer(digital, inputs, named), prepend=True, with_kwargs=True
        )
        hooks.enter_context(answer)
        yield found


def _answer(digital: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    digital(*inputs, **named)


def _as_it_is(output: torch.Tensor) -> torch.Tensor:
    return output


def _keep(outputs: list[torch.Tensor], effective: Effective) -> Any:
    """A hook that keeps what a digital layer puts out until its analog twin has worked."""
    return lambda layer, inputs, output: outputs.append(effective(tensor_of(output)))


def _compare(expected: list[torch.Tensor], found: Deviation, effective: Effective) -> Any:
    return lambda layer, inputs, output: _add(found, expected.pop(0), effective(tensor_of(output)))


def _add(found: Deviation, digital: torch.Tensor, analog: torch.Tensor) -> None:
    """Count one batch."""
    found.signal += float(digital.double().square().sum())
    found.noise += float((analog.double() - digital.double()).square().sum())


def tensor_of(output: Any) -> torch.Tensor:
    """The main output of a layer; recurrent layers and attention put out several."""
    found: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return found
