"""A PyTorch network as calibration and studies see it: NumPy images in, NumPy answers out."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from crossohm._random import chip_rng
from crossohm.calibration.network import Progress, silent
from crossohm.chain import AnalogCore
from crossohm.torch.batchnorm import _evaluating
from crossohm.torch.convert import analog_modules, convertible_modules, from_torch
from crossohm.torch.hardware import LayerHardware
from crossohm.torch.held import HeldMatrix
from crossohm.torch.layer import AnalogLayer
from crossohm.torch.rectified import floors_of


def set_threads(count: int) -> None:
    """Limit PyTorch to a number of CPU threads, in the whole process."""
    torch.set_num_threads(count)


@final
class TorchNetwork:
    """A PyTorch network, digital or on hardware, that answers NumPy images.

    Args:
        module: The network; it answers in eval mode, whatever its own.
        batch_size: Images computed at a time.
        seed: Of the noise drawn while it answers; every call of `outputs` begins with the same.
        grouping: How `on_hardware` stores grouped convolutions, see `from_torch`.
    """

    def __init__(
        self,
        module: Any,
        batch_size: int = 250,
        seed: int = 0,
        grouping: str | Sequence[str] | Mapping[str, str] = "dense",
    ) -> None:
        self.module = module
        self.batch_size = batch_size
        self.seed = seed
        self.grouping = grouping

    @property
    def convertible(self) -> tuple[str, ...]:
        """Names of the layers that are on hardware; if there are none, of those that can be put on it."""
        return tuple(self._analog()) or self._names(convertible_modules(self.module))

    @property
    def hardware(self) -> tuple[LayerHardware, ...]:
        """The description of every layer that is on hardware."""
        return tuple(layer.params for layer in self._analog().values())

    @property
    def kinds(self) -> dict[str, str]:
        """The torch layer each analog layer, or matrix of one, stands for, e.g. ``Conv2d``."""
        return {
            name + suffix: type(layer).__name__.removeprefix("Analog")
            for name, layer in self._analog().items()
            for suffix in _suffixes(layer)
        }

    @property
    def cores(self) -> dict[str, AnalogCore]:
        """The cores, by the name of their layer; if it has several, followed by a dot and their own."""
        return {name: matrix.core for name, matrix in self._matrices().items()}

    @property
    def floors(self) -> dict[str, NDArray[np.float64]]:
        """Smallest core outputs that have an effect, of analog layers followed by a ReLU only; see `floors_of`."""
        found = floors_of(self.module)
        return {
            name: found[id(layer)].double().cpu().numpy()
            for name, layer in self._analog().items()
            if id(layer) in found
        }

    def on_hardware(self, hardware: Sequence[Any], seed: int) -> TorchNetwork:
        """A copy whose layers are on the hardware described for them, on another chip.

        BatchNorm is folded into the layers first, unless they are on hardware already.
        """
        if self._analog():
            return TorchNetwork(_moved(self.module, hardware, seed), self.batch_size, seed)
        # A model that is one layer takes its own description; a list would have one per array.
        params = hardware[0] if self.convertible == ("",) else list(hardware)
        analog = from_torch(self.module, params, seed=seed, fuse_batchnorm=True, grouping=self.grouping)
        return TorchNetwork(analog, self.batch_size, seed)

    def outputs(self, images: NDArray[np.float32], stage: str = "", progress: Progress = silent) -> NDArray[np.float32]:
        """Answers of the network, ``(images, outputs)``."""
        found = []
        progress(stage, 0, len(images))
        like = next((p for p in self.module.parameters() if p.is_floating_point()), torch.zeros(0))
        # The module's modes and torch's own generator are left as they were.
        with torch.no_grad(), _evaluating(self.module), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(chip_rng(self.seed, "noise").integers(2**63)))
            for start in range(0, len(images), self.batch_size):
                batch = torch.from_numpy(images[start : start + self.batch_size]).to(like)
                found.append(self.module(batch).cpu().numpy())
                progress(stage, start + len(batch), len(images))
        return np.concatenate(found)

    def vectors_per_image(self, image: NDArray[np.float32]) -> dict[str, int]:
        """How many input vectors each matrix multiplies for one image ``(channels, height, width)``."""
        matrices = self._matrices()
        for matrix in matrices.values():
            matrix.vectors = 0
        try:
            self.outputs(image[np.newaxis])
            return {name: matrix.vectors or 0 for name, matrix in matrices.items()}
        finally:
            for matrix in matrices.values():
                matrix.vectors = None

    def _matrices(self) -> dict[str, HeldMatrix]:
        return {
            name + suffix: matrix
            for name, layer in self._analog().items()
            for suffix, matrix in zip(_suffixes(layer), layer.matrices, strict=True)
        }

    def _analog(self) -> dict[str, Any]:
        layers = analog_modules(self.module)
        return dict(zip(self._names(layers), layers, strict=True))

    def _names(self, layers: Sequence[Any]) -> tuple[str, ...]:
        """Names of the layers, in their order; a layer used under two names has both."""
        wanted = {id(layer) for layer in layers}
        found = self.module.named_modules(remove_duplicate=False)
        return tuple(name for name, layer in found if id(layer) in wanted)


def _moved(module: Any, hardware: Sequence[Any], seed: int) -> Any:
    """A copy whose analog layers are on other hardware and on another chip."""
    twin = copy.deepcopy(module)
    for layer, params in zip(analog_modules(twin), hardware, strict=True):
        layer.params = params
        layer.reinitialize(seed)
    return twin


def _suffixes(layer: AnalogLayer) -> list[str]:
    """What follows the layer's name in the names of its matrices."""
    return [matrix.name.removeprefix(layer.name) for matrix in layer.matrices]
