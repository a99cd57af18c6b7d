"""A PyTorch network as calibration and studies see it: NumPy images in, NumPy answers out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from crossohm._random import chip_rng
from crossohm.chain import AnalogCore
from crossohm.chain.lowering.ranges import output_step
from crossohm.errors import UnsupportedError
from crossohm.layers.array_layer import is_folded
from crossohm.layers.hardware import LayerHardware
from crossohm.layers.network import Deviation, Progress, silent
from crossohm.torch.batches import Call, call_of
from crossohm.torch.comparison import compared, tensor_of
from crossohm.torch.conversion.batchnorm import axes_of_norms, fold_batchnorm
from crossohm.torch.conversion.convert import analog_modules, convertible_modules, from_torch
from crossohm.torch.conversion.dataflow import evaluating
from crossohm.torch.conversion.first_pass import unwatch, watch
from crossohm.torch.conversion.obstacles import require_layers
from crossohm.torch.conversion.places import analog_places, copy_of, matrix_places, separate, sites
from crossohm.torch.conversion.rectified import floors_of
from crossohm.torch.layers.layer import AnalogLayer


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
        self._axes: Mapping[str, int] = {}

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
        return {name: matrix.core for name, matrix in matrix_places(self.module).items()}

    @property
    def folded_layers(self) -> frozenset[str]:
        """Names of the analog layers that a BatchNorm was folded into."""
        return frozenset(name for name, layer in self.layers.items() if is_folded(layer))

    @property
    def floors(self) -> dict[str, NDArray[np.float64]]:
        """Smallest core outputs that have an effect, of analog layers followed by a ReLU only; see `floors_of`."""
        found = floors_of(self.module)
        return {
            name: found[id(layer)].double().cpu().numpy() for name, layer in self.layers.items() if id(layer) in found
        }

    @property
    def recordable(self) -> tuple[str, ...]:
        """Names of all modules."""
        return tuple(name for name, _ in self.module.named_modules())

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
            self._folded(),
            chosen[""] if one else chosen,
            bias_rows if isinstance(bias_rows, int) else bias_rows[""] if one else dict(bias_rows),
            seed=seed,
            fuse_batchnorm=False,
            grouping=self.grouping,
        )
        return self._watched(analog, seed)

    def seeing(self, batch: Any, fold_batchnorm: bool | None = None) -> TorchNetwork:
        """The same network, told what its inputs look like.

        BatchNorm1d is folded where an input of so many axes has the channels of the layer before it along axis 1; a
        network that was told nothing decides at every input, see `crossohm.torch.conversion.folded.FoldedNorm`.

        Args:
            batch: Some inputs, see `take`.
            fold_batchnorm: Fold it at all; None: as this network does.

        Raises:
            InputError: the network does not take them.
        """
        told = self._with(self.module, self.seed)
        told.fold_batchnorm = self.fold_batchnorm if fold_batchnorm is None else fold_batchnorm
        if told.fold_batchnorm:
            with self._at_work():
                told._axes = axes_of_norms(self.module, lambda module: call_of(module, batch).of(module))
        return told

    def folded(self) -> TorchNetwork:
        """A copy, digital, with BatchNorm folded as on hardware: its layers put out what analog ones should.

        As on hardware, a layer that is used under two names is two.
        """
        module = self._folded().eval()
        separate(module)
        return self._with(module, self.seed)

    def _folded(self) -> Any:
        module = copy_of(self.module)
        if self.fold_batchnorm:
            fold_batchnorm(module, self._axes)
        return module

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
        twin._warned, twin._axes = self._warned, self._axes
        return twin

    def outputs(self, images: NDArray[Any], stage: str = "", progress: Progress = silent) -> NDArray[Any]:
        """Answers of the network, ``(images, outputs)``.

        Args:
            images: ``(images, ...)``. Floating numbers and bytes are given the dtype of the network, other integers
                (tokens) stay as they are.
            stage: What `progress` is told.
            progress: Told how far it is.

        Raises:
            InputError: the network does not take such images.
            UnsupportedError: it answers something else than one tensor with an entry for each image.
        """
        found = []
        with self._at_work():
            progress(stage, 0, len(images))
            for start in range(0, len(images), self.batch_size):
                batch = images[start : start + self.batch_size]  # files of images are read here
                found.append(_answers(call_of(self.module, batch).of(self.module), len(batch)))
                progress(stage, start + len(batch), len(images))
        return np.concatenate(found)

    def take(self, batch: Any, stage: str = "", progress: Progress = silent) -> None:
        """Work on a batch, whatever comes out.

        Args:
            batch: An array ``(images, ...)``. Or what a loader gives: a sequence that begins with the inputs that the
                network's forward requires, or a mapping with the names of its arguments.
            stage: What `progress` is told.
            progress: Told how far it is.

        Raises:
            InputError: the network does not take the batch.
        """
        call = call_of(self.module, batch)
        whole = call.only_tensor
        with self._at_work():
            if whole is None:
                call.of(self.module)
                return
            progress(stage, 0, len(whole))
            for start in range(0, len(whole), self.batch_size):
                part = whole[start : start + self.batch_size]
                Call((part,), {}).of(self.module)
                progress(stage, start + len(part), len(whole))

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Eval mode, without gradients, with noise of the network's own seed; all as it was again afterwards."""
        with torch.no_grad(), evaluating(self.module), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(chip_rng(self.seed, "noise").integers(2**63)))
            yield

    def vectors_per_image(self, image: NDArray[np.float32]) -> dict[str, int]:
        """How many input vectors each matrix multiplies for one image ``(channels, height, width)``."""
        matrices = matrix_places(self.module)
        for matrix in matrices.values():
            matrix.vectors = 0
        try:
            self.take(image[np.newaxis])
            return {name: matrix.vectors or 0 for name, matrix in matrices.items()}
        finally:
            for matrix in matrices.values():
                matrix.vectors = None

    @contextmanager
    def record(self, names: Sequence[str]) -> Iterator[dict[str, list[NDArray[Any]]]]:
        """Keep what layers put out in the ``with`` block, batch by batch; of several outputs the main one."""
        kept: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        with ExitStack() as hooks:
            for name, found in kept.items():
                layer = self.module.get_submodule(name)
                hooks.enter_context(layer.register_forward_hook(_keep(found)))
            yield kept

    def compared(self, digital: TorchNetwork) -> AbstractContextManager[dict[str, Deviation]]:
        """Deviations of all analog layers from those of `folded` in the ``with`` block."""
        return compared(self.module, digital.module, self.layers, set(self.floors))


def _keep(kept: list[NDArray[Any]]) -> Any:
    return lambda layer, inputs, output: kept.append(tensor_of(output).cpu().numpy())


def _answers(found: Any, size: int) -> NDArray[Any]:
    """The answer to a batch as an array of a dtype that NumPy has."""
    if not isinstance(found, torch.Tensor) or found.ndim == 0 or len(found) != size:
        form = tuple(found.shape) if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
        raise UnsupportedError(
            f"the network answers {form} to {size} images; runs and studies measure one tensor (images, outputs): wrap "
            "the network in a module that returns it. crossohm.calibrate takes networks with any answers"
        )
    host = found.cpu()
    return np.asarray((host.float() if host.dtype is torch.bfloat16 else host).numpy())


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
