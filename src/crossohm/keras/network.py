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

from crossohm.keras.batches import answer, inputs_of
from crossohm.keras.conversion.batchnorm import fold_batchnorm
from crossohm.keras.conversion.convert import from_keras
from crossohm.keras.conversion.copies import copy_of
from crossohm.keras.conversion.dataflow import DataFlow
from crossohm.keras.conversion.places import analog_places, is_layer, places, sites
from crossohm.keras.conversion.report import require_layers
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.keras.layers.weighted import WeightedLayer
from crossohm.keras.noise import seeded
from crossohm.keras.taps import compared, outputs_of
from crossohm.layers.array_network import ArrayNetwork, Bias
from crossohm.layers.conversion import HardwareChoice
from crossohm.layers.maps.grouped import USUAL_GROUPING
from crossohm.layers.network import Deviation, Progress, silent

#: What an analog layer keeps on another chip.
_CHOICES = ("core_name", "sync", "gradient", "grouping")


@final
class KerasNetwork(ArrayNetwork):
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
        grouping: str | Sequence[str] | Mapping[str, str] = USUAL_GROUPING,
        *,
        fold_batchnorm: bool = True,
        device: str | None = None,
    ) -> None:
        require_layers(module)
        super().__init__(module, batch_size, seed, grouping, fold_batchnorm=fold_batchnorm)
        self.device = device

    _one_output = "make a model of that output"

    @property
    def layers(self) -> dict[str, AnalogLayer]:
        """Every analog layer, by name."""
        return analog_places(self.module)

    def _sites(self) -> Iterator[tuple[str, Any]]:
        yield from sites(self.module).items()

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

    def _copy(self) -> Any:
        return copy_of(self.module)

    def _put(self, hardware: HardwareChoice, bias_rows: int | dict[str, int], seed: int) -> Any:
        return from_keras(self._folded(), hardware, bias_rows, fuse_batchnorm=False, seed=seed, grouping=self.grouping)

    def _moved(self, hardware: Sequence[Any], seed: int) -> Any:
        chosen = {id(layer): params for layer, params in zip(self.layers.values(), hardware, strict=True)}

        def other(layer: Any) -> Any:
            if id(layer) not in chosen:
                return None
            choices = {name: getattr(layer, name) for name in _CHOICES if hasattr(layer, name)}
            return type(layer).from_keras(layer.to_keras(), chosen[id(layer)], layer.rows, seed=seed, **choices)

        return copy_of(self.module, other)

    def _biases(self, layer: Any) -> Iterator[Bias]:
        return (_bias(weight) for weight in layer.weights if weight.name.startswith("bias"))

    def _digital_bias(self, layer: Any) -> Bias | None:
        digital = isinstance(layer, WeightedLayer) and layer.use_bias and not layer.analog_bias
        return _bias(layer.bias) if digital else None

    def _answer(self, batch: Any) -> Any:
        return answer(self.module, inputs_of(self.module, batch))

    def _on_host(self, answer: Any) -> NDArray[Any] | None:
        if not keras.ops.is_tensor(answer):
            return None
        host = keras.ops.convert_to_numpy(answer)
        return host.astype(np.float32) if host.dtype.kind not in "fiub" else host

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


def _bias(variable: Any) -> Bias:
    return keras.ops.convert_to_numpy(variable), variable.assign


def _without_gradients() -> AbstractContextManager[Any]:
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()
