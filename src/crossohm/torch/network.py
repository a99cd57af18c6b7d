"""A PyTorch network as calibration and studies see it: NumPy images in, NumPy answers out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from crossohm._random import chip_rng
from crossohm.calibration.network import Progress, silent
from crossohm.chain import AnalogCore
from crossohm.chain.ranges import output_step
from crossohm.torch.batchnorm import _evaluating, fold_batchnorm
from crossohm.torch.convert import analog_modules, convertible_modules, from_torch
from crossohm.torch.first_pass import unwatch, watch
from crossohm.torch.hardware import LayerHardware
from crossohm.torch.held import HeldMatrix
from crossohm.torch.layer import AnalogLayer
from crossohm.torch.obstacles import require_layers
from crossohm.torch.places import analog_places, copy_of, separate, sites
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
        fold_batchnorm: Fold BatchNorm into the layers before it on the way to hardware.
        device: Where torch computes, e.g. ``"cuda:0"``; None: where the module is.

    Raises:
        UnsupportedError: the network has no layers that could be put on hardware, see `from_torch`.
    """

    def __init__(
        self,
        module: Any,
        batch_size: int = 250,
        seed: int = 0,
        grouping: str | Sequence[str] | Mapping[str, str] = "dense",
        *,
        fold_batchnorm: bool = True,
        device: str | None = None,
    ) -> None:
        require_layers(module)
        self.module = module if device is None else module.to(device)
        self.batch_size = batch_size
        self.seed = seed
        self.grouping = grouping
        self.fold_batchnorm = fold_batchnorm
        self._warned = False

    @property
    def convertible(self) -> tuple[str, ...]:
        """Names of the layers that are on hardware; if there are none, of those that can be put on it."""
        return tuple(self.layers) or tuple(name for name, _ in sites(self.module))

    @property
    def hardware(self) -> tuple[LayerHardware, ...]:
        """The description of every layer that is on hardware."""
        return tuple(layer.params for layer in self.layers.values())

    @property
    def kinds(self) -> dict[str, str]:
        """The torch layer each analog layer, or matrix of one, stands for, e.g. ``Conv2d``."""
        return {
            name + suffix: type(layer).__name__.removeprefix("Analog")
            for name, layer in self.layers.items()
            for suffix in _suffixes(layer)
        }

    @property
    def layers(self) -> dict[str, AnalogLayer]:
        """Every analog layer, by its first name."""
        return analog_places(self.module)

    @property
    def cores(self) -> dict[str, AnalogCore]:
        """The cores, by the name of their layer; if it has several, followed by a dot and their own."""
        return {name: matrix.core for name, matrix in self._matrices().items()}

    @property
    def floors(self) -> dict[str, NDArray[np.float64]]:
        """Smallest core outputs that have an effect, of analog layers followed by a ReLU only; see `floors_of`."""
        found = floors_of(self.module)
        return {
            name: found[id(layer)].double().cpu().numpy() for name, layer in self.layers.items() if id(layer) in found
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the architecture as torch prints it and of all parameters and buffers."""
        found = hashlib.sha256(repr(self.module).encode())
        for name, value in self.module.state_dict().items():
            found.update(name.encode())
            if isinstance(value, torch.Tensor):
                found.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy())
        return found.hexdigest()

    def on_hardware(self, hardware: Sequence[Any], seed: int, bias_rows: Mapping[str, int] | int = 0) -> TorchNetwork:
        """A copy whose layers are on the hardware described for them, on another chip.

        BatchNorm is folded into the layers first, unless they are on hardware already.

        Args:
            hardware: One description for each of `convertible`; None: the layer stays digital.
            seed: The chip.
            bias_rows: Array rows that hold biases, one number for all layers or by name. Layers that are on hardware
                already keep theirs.
        """
        if self.layers:
            return self._watched(_moved(self.module, hardware, seed), seed)
        chosen = {name: params for name, params in zip(self.convertible, hardware, strict=True) if params is not None}
        if not chosen:
            return self._with(copy_of(self.module), seed)
        # A model that is one layer takes its own description; a list would have one per array.
        one = list(chosen) == [""]
        analog = from_torch(
            self.module,
            chosen[""] if one else chosen,
            bias_rows if isinstance(bias_rows, int) else bias_rows[""] if one else dict(bias_rows),
            seed=seed,
            fuse_batchnorm=self.fold_batchnorm,
            grouping=self.grouping,
        )
        return self._watched(analog, seed)

    def folded(self) -> TorchNetwork:
        """A copy, digital, with BatchNorm folded as on hardware: its layers put out what analog ones should.

        As on hardware, a layer that is used under two names is two.
        """
        module = copy_of(self.module).eval()
        if self.fold_batchnorm:
            fold_batchnorm(module)
        separate(module)
        return self._with(module, self.seed)

    def with_bias_bits(self, bits: int) -> TorchNetwork:
        """A copy, BatchNorm folded, whose convertible layers have biases of ``2**bits`` levels over their range."""
        coarse = self.folded()
        with torch.no_grad():
            for layer in convertible_modules(coarse.module):
                for name, bias in layer.named_parameters(recurse=False):
                    if name.startswith("bias"):
                        bias.copy_(_rounded(bias, bits))
        return coarse

    def with_biases_in_adc_steps(self) -> TorchNetwork:
        """A copy on the same hardware whose digital biases are multiples of the step of their layer's ADCs.

        Biases of layers without ADCs, and those in arrays, stay as they are.

        Raises:
            ParameterError: conversions of a layer have no common step (sliced weights, inputs digitised by slices).
        """
        twin = self._with(copy_of(self.module), self.seed)
        with torch.no_grad():
            for layer in twin.layers.values():
                if layer.bias_kinds == 1 and layer.bias is not None and not layer.analog_bias:
                    block = layer.core.blocks[0]
                    step = output_step(block.record, block.params)
                    if step is not None:
                        layer.bias.copy_(torch.round(layer.bias / step) * step)
        return twin

    def _watched(self, analog: Any, seed: int) -> TorchNetwork:
        """A copy on hardware; the first one watches its first pass and warns of what stays digital."""
        (unwatch if self._warned else watch)(analog)
        self._warned = True
        return self._with(analog, seed)

    def _with(self, module: Any, seed: int) -> TorchNetwork:
        twin = TorchNetwork(module, self.batch_size, seed, self.grouping, fold_batchnorm=self.fold_batchnorm)
        twin._warned = self._warned
        return twin

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
            for name, layer in self.layers.items()
            for suffix, matrix in zip(_suffixes(layer), layer.matrices, strict=True)
        }


def _rounded(bias: torch.Tensor, bits: int) -> torch.Tensor:
    """The nearest of ``2**bits`` levels from the lowest to the highest entry."""
    low, high = bias.min(), bias.max()
    if low == high:
        return bias
    step = (high - low) / (2**bits - 1)
    return low + torch.round((bias - low) / step) * step


def _moved(module: Any, hardware: Sequence[Any], seed: int) -> Any:
    """A copy whose analog layers are on other hardware and on another chip."""
    twin = copy_of(module)
    for layer, params in zip(analog_modules(twin), hardware, strict=True):
        layer.params = params
        layer.reinitialize(seed)
    return twin


def _suffixes(layer: AnalogLayer) -> list[str]:
    """What follows the layer's name in the names of its matrices."""
    return [matrix.name.removeprefix(layer.name) for matrix in layer.matrices]
