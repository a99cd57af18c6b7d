"""Look at the signals of a whole network while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from crossohm.chain import Profile
from crossohm.layers.array_layer import matrices_of
from crossohm.layers.profiling import profiled
from crossohm.torch.conversion.places import analog_places


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
    cores = {name.removeprefix("."): matrix.core for name, matrix in matrices_of(analog_places(model)).items()}
    with profiled(cores, bins) as seen:
        yield seen
