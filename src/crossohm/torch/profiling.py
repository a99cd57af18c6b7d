"""Look at the signals of a whole network while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from crossohm.chain import Profile
from crossohm.torch.layers.layer import AnalogLayer


@contextmanager
def profile(model: nn.Module, bins: int = 4096) -> Iterator[dict[str, Profile]]:
    """Record what the arrays' inputs and the ADCs see, in bounded memory, during a ``with`` block.

    Args:
        model: A network with analog layers.
        bins: Resolution of the streaming histograms.

    Yields:
        One `crossohm.chain.Profile` per analog layer, by its name in the model; layers with several matrices have one
        each, with the matrix's own name behind the layer's.

    Example::

        with profile(analog) as seen:
            analog(images)
        seen["layer1.0.conv1"].inputs["mvm"].percentile(99.9)
    """
    with ExitStack() as stack:
        layers = [(name, module) for name, module in model.named_modules() if isinstance(module, AnalogLayer)]
        yield {
            (name + matrix.name.removeprefix(layer.name)).removeprefix("."): stack.enter_context(
                matrix.core.profile(bins)
            )
            for name, layer in layers
            for matrix in layer.matrices
        }
