"""A Keras network as calibration and studies see it: NumPy images in, NumPy answers out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from crossohm.chain import AnalogCore
from crossohm.chain.lowering.ranges import output_step
from crossohm.errors import UnsupportedError
from crossohm.keras.batches import answer, inputs_of
from crossohm.keras.conversion.batchnorm import fold_batchnorm
from crossohm.keras.conversion.convert import from_keras
from crossohm.keras.conversion.copies import copy_of
from crossohm.keras.conversion.dataflow import DataFlow
from crossohm.keras.conversion.places import analog_places, is_layer, matrix_places, places, sites
from crossohm.keras.conversion.report import require_layers
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.keras.layers.weighted import WeightedLayer
from crossohm.keras.noise import seeded
from crossohm.keras.taps import compared, outputs_of
from crossohm.layers.array_layer import is_folded
from crossohm.layers.hardware import LayerHardware
from crossohm.layers.network import Deviation, Progress, silent

#: What an analog layer keeps on another chip.
_CHOICES = ("core_name", "sync", "gradient", "grouping")


@final
class KerasNetwork:
    """A Keras network, digital or on hardware, that answers NumPy images.

    Args:
        module: The network; it answers as at inference.
        batch_size: Images computed at a time.
        seed: Of the noise drawn while it answers; every call of `outputs` begins with the same.
        grouping: How `on_hardware` stores grouped convolutions, see `from_keras`.
        fold_batchnorm: Fold BatchNorm into the layers before it on the way to hardware.
        device: Where Keras computes, e.g. ``"gpu:0"``; None: where it does by default.
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
        self.module = module
        self.batch_size = batch_size
        self.seed = seed
        self.grouping = grouping
        self.fold_batchnorm = fold_batchnorm
        self.device = device

    @property
    def convertible(self) -> tuple[str, ...]:
        """Names of the layers that are on hardware; if there are none, of those that can be put on it."""
        return tuple(self.layers) or tuple(sites(self.module))

    @property
    def hardware(self) -> tuple[LayerHardware, ...]:
        """The description of every layer that is on hardware."""
        return tuple(layer.params for layer in self.layers.values())

    @property
    def kinds(self) -> dict[str, str]:
        """The Keras layer each analog layer, or matrix of one, stands for, e.g. ``Conv2D``."""
        return {
            name + matrix.name.removeprefix(layer.core_name): type(layer).__name__.removeprefix("Analog")
            for name, layer in self.layers.items()
            for matrix in layer.matrices
        }

    @property
    def layers(self) -> dict[str, AnalogLayer]:
        """Every analog layer, by name."""
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
        """Smallest core outputs that have an effect, of analog layers whose outputs all go to a ReLU."""
        flow = DataFlow(self.module)
        return {
            name: _floor(layer)
            for name, layer in self.layers.items()
            if isinstance(layer, WeightedLayer) and flow.is_rectified(layer)
        }

    @property
    def recordable(self) -> tuple[str, ...]:
        """Names of all layers."""
        return tuple(self._all_layers())

    def _all_layers(self) -> dict[str, Any]:
        return dict(places(self.module, is_layer))

    @property
    def digest(self) -> str:
        """SHA-256 of the configurations of all layers and of all weights."""
        found = hashlib.sha256()
        for name, layer in self._all_layers().items():
            found.update(f"{name} {type(layer).__qualname__} {_configuration(layer)}".encode())
        for weight in self.module.weights:
            found.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
        return found.hexdigest()

    def on_hardware(self, hardware: Sequence[Any], seed: int, bias_rows: Mapping[str, int] | int = 0) -> KerasNetwork:
        """A copy whose layers are on the hardware described for them, on another chip.

        Args:
            hardware: One description for each of `convertible`; None: the layer stays digital.
            seed: The chip.
            bias_rows: Array rows that hold biases, one number for all layers or by name. Layers that are on hardware
                already keep theirs.
        """
        if self.layers:
            return self._with(_moved(self.module, self.layers, hardware, seed), seed)
        chosen = {name: params for name, params in zip(self.convertible, hardware, strict=True) if params is not None}
        if not chosen:
            return self._with(copy_of(self.module), seed)
        # A model that is one layer takes its own description; a list would have one per array.
        one = list(chosen) == [""]
        analog = from_keras(
            self._folded(),
            chosen[""] if one else chosen,
            bias_rows if isinstance(bias_rows, int) else bias_rows[""] if one else dict(bias_rows),
            fuse_batchnorm=False,
            seed=seed,
            grouping=self.grouping,
        )
        return self._with(analog, seed)

    def seeing(self, batch: Any, fold_batchnorm: bool | None = None) -> KerasNetwork:
        """The same network, told what its inputs look like; one without weights gets them.

        Args:
            batch: Some inputs, see `take`.
            fold_batchnorm: Fold BatchNorm at all; None: as this network does.

        Raises:
            InputError: the network does not take them.
        """
        told = self._with(self.module, self.seed)
        told.fold_batchnorm = self.fold_batchnorm if fold_batchnorm is None else fold_batchnorm
        if not self.module.built:
            with self._at_work():
                answer(self.module, inputs_of(self.module, batch))
        return told

    def folded(self) -> KerasNetwork:
        """A copy, digital, with BatchNorm folded as on hardware: its layers put out what analog ones should."""
        return self._with(self._folded(), self.seed)

    def _folded(self) -> Any:
        return fold_batchnorm(self.module) if self.fold_batchnorm else copy_of(self.module)

    def with_bias_bits(self, bits: int) -> KerasNetwork:
        """A copy, BatchNorm folded, whose convertible layers have biases of ``2**bits`` levels over their range."""
        coarse = self.folded()
        for layer in sites(coarse.module).values():
            for weight in layer.weights:
                if weight.name.startswith("bias"):
                    weight.assign(_rounded(keras.ops.convert_to_numpy(weight), bits))
        return coarse

    def with_biases_in_adc_steps(self) -> KerasNetwork:
        """A copy on the same hardware whose digital biases are multiples of the step of their layer's ADCs.

        Biases of layers without ADCs, and those in arrays, stay as they are.

        Raises:
            ParameterError: conversions of a layer have no common step (sliced weights, inputs digitised by slices).
        """
        twin = self._with(copy_of(self.module), self.seed)
        for layer in twin.layers.values():
            if isinstance(layer, WeightedLayer) and layer.use_bias and not layer.analog_bias:
                block = layer.core.blocks[0]
                step = output_step(block.record, block.params)
                if step is not None:
                    layer.bias.assign(np.round(keras.ops.convert_to_numpy(layer.bias) / step) * step)
        return twin

    def _with(self, module: Any, seed: int) -> KerasNetwork:
        fold, device = self.fold_batchnorm, self.device
        return KerasNetwork(module, self.batch_size, seed, self.grouping, fold_batchnorm=fold, device=device)

    def outputs(self, images: NDArray[Any], stage: str = "", progress: Progress = silent) -> NDArray[Any]:
        """Answers of the network, ``(images, outputs)``.

        Args:
            images: ``(images, ...)``, channels first or last. Floating numbers and bytes are given the dtype of the
                network, other integers (tokens) stay as they are.
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
                found.append(_answers(answer(self.module, inputs_of(self.module, batch)), len(batch)))
                progress(stage, start + len(batch), len(images))
        return np.concatenate(found)

    def take(self, batch: Any, stage: str = "", progress: Progress = silent) -> None:
        """Work on a batch, whatever comes out.

        Args:
            batch: An array ``(images, ...)``. Or what a loader gives: a sequence that begins with the inputs of the
                network, or a mapping with their names.
            stage: What `progress` is told.
            progress: Told how far it is.

        Raises:
            InputError: the network does not take the batch.
        """
        inputs = inputs_of(self.module, batch)
        count = len(keras.tree.flatten(inputs)[0])
        with self._at_work():
            progress(stage, 0, count)
            for start in range(0, count, self.batch_size):
                places = slice(start, start + self.batch_size)
                answer(self.module, keras.tree.map_structure(lambda part, places=places: part[places], inputs))
                progress(stage, min(start + self.batch_size, count), count)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """On the network's device, without gradients, with noise of its own seed; all as it was again afterwards."""
        device = nullcontext() if self.device is None else keras.device(self.device)
        with device, _without_gradients(), seeded(self.layers.values(), self.seed):
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

    def record(self, names: Sequence[str]) -> AbstractContextManager[dict[str, list[NDArray[Any]]]]:
        """Keep what layers put out in the ``with`` block, batch by batch; of several outputs the first."""
        layers = self._all_layers()
        return outputs_of({name: layers[name] for name in names})

    def compared(self, digital: KerasNetwork) -> AbstractContextManager[dict[str, Deviation]]:
        """Deviations of all analog layers from those of `folded` in the ``with`` block."""
        twins = digital._all_layers()
        pairs = {name: (layer, twins[name]) for name, layer in self.layers.items()}
        return compared(self.module, digital.module, pairs, self.floors)


def _floor(layer: WeightedLayer) -> NDArray[np.float64]:
    outputs = layer.matrices[0].layout.shape[0]
    if not layer.use_bias or layer.analog_bias:
        return np.zeros(outputs)
    return -keras.ops.convert_to_numpy(layer.bias).astype(np.float64).reshape(-1)


def _configuration(layer: Any) -> str:
    """What a layer's configuration says, in the same words in every process."""
    try:
        config = layer.get_config()
    except NotImplementedError:  # a class of a user without one
        return ""
    return json.dumps(
        config, sort_keys=True, default=lambda value: getattr(value, "__qualname__", type(value).__name__)
    )


def _moved(model: Any, layers: Mapping[str, AnalogLayer], hardware: Sequence[Any], seed: int) -> Any:
    """A copy whose analog layers are on other hardware and on another chip."""
    chosen = {id(layer): params for layer, params in zip(layers.values(), hardware, strict=True)}

    def other(layer: Any) -> Any:
        if id(layer) not in chosen:
            return None
        choices = {name: getattr(layer, name) for name in _CHOICES if hasattr(layer, name)}
        return type(layer).from_keras(layer.to_keras(), chosen[id(layer)], layer.rows, seed=seed, **choices)

    return copy_of(model, other)


def _without_gradients() -> AbstractContextManager[Any]:
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


def _answers(found: Any, size: int) -> NDArray[Any]:
    """The answer to a batch as an array of a dtype that NumPy has."""
    if not keras.ops.is_tensor(found) or not found.shape or len(found) != size:
        form = tuple(found.shape) if keras.ops.is_tensor(found) else f"a {type(found).__name__}"
        raise UnsupportedError(
            f"the network answers {form} to {size} images; runs and studies measure one tensor (images, outputs): make "
            "a model of that output. crossohm.calibrate takes networks with any answers"
        )
    host = keras.ops.convert_to_numpy(found)
    return host.astype(np.float32) if host.dtype.kind not in "fiub" else host


def _rounded(bias: NDArray[Any], bits: int) -> NDArray[Any]:
    """The nearest of ``2**bits`` levels from the lowest to the highest entry."""
    low, high = bias.min(), bias.max()
    if low == high:
        return bias
    step = (high - low) / (2**bits - 1)
    return low + np.round((bias - low) / step) * step
