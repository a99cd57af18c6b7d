"""What calibration and studies need from a front end, and how a model finds its front end."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from crossohm.errors import UnsupportedError
from crossohm.layers.hardware import LayerHardware

if TYPE_CHECKING:
    from crossohm.chain import AnalogCore

#: Told after every batch: what is being done, and how many images of how many are done.
Progress = Callable[[str, int, int], None]

#: Front ends by the package that models they understand come from: module and class, called with the model.
FRONT_ENDS = {"torch": ("crossohm.torch.network", "TorchNetwork")}


def silent(stage: str, done: int, total: int) -> None:
    """The progress callback that shows nothing."""


@runtime_checkable
class Network(Protocol):
    """A network of one front end."""

    @property
    def convertible(self) -> tuple[str, ...]:
        """Names of the layers that can be put on hardware, in the order of their hardware descriptions."""

    @property
    def hardware(self) -> tuple[LayerHardware, ...]:
        """The description of every convertible layer if the network came on hardware; else empty."""

    @property
    def cores(self) -> Mapping[str, AnalogCore]:
        """The cores on hardware, by the name of their layer; if it has several, followed by a dot and their own."""

    @property
    def floors(self) -> Mapping[str, NDArray[np.floating]]:
        """Smallest value of each core output that has an effect, ``(outputs,)``.

        Only for layers on hardware whose results, after addition of a bias, all go to a ReLU and nowhere else: minus
        that bias.
        """

    def on_hardware(self, hardware: Sequence[LayerHardware], seed: int) -> Self:
        """A copy with every convertible layer on the hardware described for it."""

    def outputs(self, images: NDArray[np.float32], stage: str, progress: Progress) -> NDArray[np.floating]:
        """What the network answers, ``(images, outputs)``."""


@runtime_checkable
class FrontEnd(Protocol):
    """What networks of a framework have beyond `Network`."""

    @property
    def folded_layers(self) -> frozenset[str]:
        """Names of the layers on hardware that a BatchNorm was folded into."""

    def take(self, batch: Any, stage: str, progress: Progress) -> None:
        """Work on a batch as loaders give them: several inputs, whole numbers, tables of named inputs.

        Whatever the network answers is of no interest.

        Raises:
            InputError: it does not take the batch.
        """

    def seeing(self, batch: Any, fold_batchnorm: bool | None = None) -> Self:
        """The same network, told what its inputs look like: its way to hardware may depend on that.

        Args:
            batch: Some inputs.
            fold_batchnorm: Fold BatchNorm into the layers before it, or leave it digital; None: as the network does.
        """


def network_of(model: Any) -> Network:
    """The model as a `Network`: itself if it is one, or in the clothes of its front end.

    Raises:
        UnsupportedError: no front end is known for such a model.
    """
    if isinstance(model, Network):
        return model
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in FRONT_ENDS:
            module, name = FRONT_ENDS[package]
            network: Network = getattr(importlib.import_module(module), name)(model)
            return network
    raise UnsupportedError(
        f"model of type {type(model).__module__}.{type(model).__qualname__}: calibration knows models of "
        f"{', '.join(FRONT_ENDS)}, and objects with the members of crossohm.calibration.Network"
    )
