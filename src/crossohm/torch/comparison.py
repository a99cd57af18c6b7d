"""How far the signals of an analog network are from those of the digital one, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from crossohm.layers.comparison import Comparison
from crossohm.layers.network import Deviation


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
    comparison = Comparison(layers, rectified)
    with ExitStack() as hooks:
        for name, layer in layers.items():
            twin = digital.get_submodule(name)
            hooks.enter_context(twin.register_forward_hook(_telling(comparison.expects(name))))
            hooks.enter_context(layer.register_forward_hook(_telling(comparison.sees(name))))
        answer = analog.register_forward_pre_hook(
            lambda _, inputs, named: _answer(comparison, digital, inputs, named), prepend=True, with_kwargs=True
        )
        hooks.enter_context(answer)
        yield comparison.found


def _answer(comparison: Comparison, digital: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
    comparison.begin()
    digital(*inputs, **named)


def _telling(see: Callable[[torch.Tensor], None]) -> Any:
    """A hook that shows what a layer puts out."""
    return lambda layer, inputs, output: see(tensor_of(output))


def tensor_of(output: Any) -> torch.Tensor:
    """The main output of a layer; recurrent layers and attention put out several."""
    found: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return found
