"""What everything above needs from a front end, and how a model finds its front end.

Calibration, studies, reports and the command line see the protocols of this module only.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Protocol, Self, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from crossohm._names import announced, unknown
from crossohm.chain import AnalogCore
from crossohm.errors import UnsupportedError
from crossohm.layers.hardware import LayerHardware

#: Told after every batch: what is being done, and how many images of how many are done.
Progress = Callable[[str, int, int], None]

#: Entry points that announce front ends: the package that their models come from, and a module that is a `FrontEnd`.
GROUP = "crossohm.frontends"
#: Those of ours, as ``pyproject.toml`` announces them: also found where crossohm is used without being installed.
_OURS = {"torch": "crossohm.torch.front_end", "keras": "crossohm.keras.front_end", "flax": "crossohm.flax.front_end"}


def silent(stage: str, done: int, total: int) -> None:
    """The progress callback that shows nothing."""


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


@runtime_checkable
class Calibratable(Protocol):
    """A network as far as calibration needs it."""

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
class TakesBatches(Protocol):
    """What calibration uses of a network beyond `Calibratable` where it is there."""

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


class Network(Calibratable, TakesBatches, Protocol):
    """A network of one front end, digital or on hardware: NumPy images in, NumPy answers out.

    What changes it answers a changed copy; see `crossohm.testing.network.NetworkContract` for the laws.
    """

    @property
    def kinds(self) -> Mapping[str, str]:
        """The digital layer that each of `cores` stands for, e.g. ``Conv2d``."""

    @property
    def recordable(self) -> tuple[str, ...]:
        """Names of everything whose outputs `record` can keep."""

    @property
    def digest(self) -> str:
        """Hash of architecture and parameters: networks of one digest give the same answers."""

    def folded(self) -> Self:
        """A digital copy with BatchNorm folded as on hardware: its layers put out what analog ones should."""

    def with_bias_bits(self, bits: int) -> Self:
        """`folded`, with biases of ``2**bits`` levels over the range of each layer's."""

    def on_hardware(
        self, hardware: Sequence[LayerHardware | None], seed: int, bias_rows: Mapping[str, int] | int = 0
    ) -> Self:
        """A copy on the chip number ``seed``.

        Args:
            hardware: One description for each of `convertible`; None: the layer stays digital.
            seed: The chip.
            bias_rows: Array rows that hold biases, one number for all layers or by name.
        """

    def with_biases_in_adc_steps(self) -> Self:
        """A copy on the same chip whose digital biases are multiples of the step of their layer's ADCs."""

    def outputs(self, images: Any, stage: str, progress: Progress) -> NDArray[Any]:
        """What the network answers, ``(images, outputs)``; ``progress`` is told how far ``stage`` is.

        Raises:
            InputError: the network does not take such images.
            UnsupportedError: it answers no array with an entry for each image.
        """

    def each_answer(
        self,
        images: Any,
        use: Callable[[Mapping[str, NDArray[Any]]], object],
        stage: str,
        progress: Progress,
        names: Sequence[str] = ("",),
    ) -> None:
        """The same batch by batch: ``use`` is told ``{name: answers}``; names are those of outputs, "" the main one.

        Raises:
            InputError: the network does not take such images.
            UnsupportedError: it has no such output.
        """

    def vectors_per_image(self, image: Any) -> Mapping[str, int]:
        """How many input vectors each of `cores` multiplies for one image ``(channels, height, width)``.

        An input of several arrays is a table or tuple of them.
        """

    def record(self, names: Sequence[str]) -> AbstractContextManager[Mapping[str, list[NDArray[Any]]]]:
        """Keep what layers put out in the ``with`` block, batch by batch; names as of `recordable`."""

    def compared(self, digital: Self) -> AbstractContextManager[Mapping[str, Deviation]]:
        """Deviations of all layers on hardware from the `folded` network they come from, in the ``with`` block.

        Of layers whose outputs all go to a ReLU, what the ReLU makes zero counts as zero: it has no effect, and
        calibrated ADCs may spend no levels on it.
        """


class FrontEnd(Protocol):
    """A framework, as a module with these functions."""

    def network(
        self, model: Any, batch_size: int = 250, *, fold_batchnorm: bool = True, device: str | None = None
    ) -> Network:
        """A model of the framework as a `Network`.

        Args:
            model: The model, digital or on hardware.
            batch_size: Images computed at a time.
            fold_batchnorm: Fold BatchNorm into the layers before it on the way to hardware.
            device: Where to compute; None: where the model is.

        Raises:
            UnsupportedError: the model has no layers that could be put on hardware.
        """

    def require_device(self, name: str, path: str, *, here: bool = True) -> None:
        """Refuse a device that is not there before anything is moved to it.

        Args:
            name: As the framework names devices.
            path: Setting that holds the name, for messages.
            here: False: the device is on another machine; only its name is looked at.

        Raises:
            ParameterError: there is no such device, or no numbers come back from it; lists those that there are.
        """

    def use_threads(self, count: int) -> None:
        """Limit the framework to a number of CPU threads, in the whole process."""


def network_of(model: Any) -> Calibratable:
    """The model as a network: itself if it is one, or in the clothes of its front end.

    Raises:
        UnsupportedError: no front end is known for such a model.
    """
    return model if isinstance(model, Calibratable) else front_end_of(model).network(model)


def front_end_of(model: Any) -> FrontEnd:
    """The front end for a model.

    Raises:
        UnsupportedError: no front end is known for such a model.
    """
    known = _front_ends()
    for kind in type(model).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in known:
            return front_end(package)
    raise UnsupportedError(
        f"model of type {type(model).__module__}.{type(model).__qualname__}: there are front ends for models of "
        f"{', '.join(known)}, and for objects with the members of crossohm.layers.network.Calibratable"
    )


def front_end(name: str) -> FrontEnd:
    """The front end for models of a package, imported when it is asked for.

    Raises:
        UnknownNameError: there is none for it.
        MissingDependencyError: its framework is not installed.
    """
    known = _front_ends()
    if name not in known:
        raise unknown("front end", name, known, "front end")
    found: FrontEnd = known[name]()
    return found


def networks_of_cores() -> Any:
    """The package with networks of cores of a fixed size, `crossohm.flax`.

    Raises:
        MissingDependencyError: its framework is not installed.
    """
    return importlib.import_module("crossohm.flax")


def chip_training() -> Any:
    """The module that trains networks of cores of a fixed size, `crossohm.flax.eic.learner`.

    Raises:
        MissingDependencyError: its framework is not installed.
    """
    return importlib.import_module("crossohm.flax.eic.learner")


@cache
def _front_ends() -> Mapping[str, Callable[[], Any]]:
    """What imports each front end."""
    return {**announced(GROUP, ()), **{name: partial(importlib.import_module, place) for name, place in _OURS.items()}}
