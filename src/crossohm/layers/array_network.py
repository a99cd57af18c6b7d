"""What a network of analog layers offers calibration and studies, in every framework."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from crossohm.backends import Array, backend_of
from crossohm.chain import AnalogCore
from crossohm.chain.lowering.ranges import output_step
from crossohm.layers.answers import output_of
from crossohm.layers.array_layer import is_folded, matrices_of
from crossohm.layers.conversion import HardwareChoice
from crossohm.layers.hardware import LayerHardware
from crossohm.layers.network import Progress, silent
from crossohm.layers.samples import one_batch

#: Values of a bias, and what gives it others.
Bias = tuple[Array, Callable[[Array], object]]


class ArrayNetwork(ABC):
    """Base of the front ends' networks, digital or on hardware; a front end supplies what is abstract here.

    Args:
        module: The framework's model.
        batch_size: Images computed at a time.
        seed: Of the noise drawn while it answers; every call of `outputs` begins with the same.
        grouping: How `on_hardware` stores grouped convolutions.
        fold_batchnorm: Fold BatchNorm into the layers before it on the way to hardware.
    """

    def __init__(
        self,
        module: Any,
        batch_size: int,
        seed: int,
        grouping: str | Sequence[str] | Mapping[str, str],
        *,
        fold_batchnorm: bool,
    ) -> None:
        self.module = module
        self.batch_size = batch_size
        self.seed = seed
        self.grouping = grouping
        self.fold_batchnorm = fold_batchnorm

    # --- what a front end supplies ------------------------------------------------------------------------------------

    #: What a network of several answers should be made into, for messages.
    _one_output: str

    @property
    @abstractmethod
    def layers(self) -> Mapping[str, Any]:
        """Every analog layer, by name."""

    @abstractmethod
    def _sites(self) -> Iterator[tuple[str, Any]]:
        """Name and layer of everything that can be put on hardware."""

    @abstractmethod
    def folded(self) -> Self:
        """A copy, digital, with BatchNorm folded as on hardware: its layers put out what analog ones should."""

    @abstractmethod
    def _copy(self) -> Any:
        """A copy of the model."""

    @abstractmethod
    def _put(self, hardware: HardwareChoice, bias_rows: int | dict[str, int], seed: int) -> Any:
        """A copy of the digital model on hardware, BatchNorm folded if this network folds it."""

    @abstractmethod
    def _moved(self, hardware: Sequence[Any], seed: int) -> Any:
        """A copy of the model whose analog layers are on other hardware and on another chip."""

    @abstractmethod
    def _biases(self, layer: Any) -> Iterator[Bias]:
        """Every bias of a digital layer."""

    @abstractmethod
    def _digital_bias(self, layer: Any) -> Bias | None:
        """The bias that an analog layer adds to the products of its one matrix, if it does."""

    @abstractmethod
    def _at_work(self) -> AbstractContextManager[None]:
        """As at inference, without gradients, with noise of the network's seed; all as it was again afterwards."""

    @abstractmethod
    def _answer(self, batch: Any) -> Any:
        """What the network answers to a batch, in the framework's form."""

    @abstractmethod
    def _on_host(self, answer: Any) -> NDArray[Any] | None:
        """A tensor of the framework as an array of a dtype that NumPy has; None if it is no tensor."""

    @abstractmethod
    def take(self, batch: Any, stage: str = "", progress: Progress = silent) -> None:
        """Work on a batch, whatever comes out."""

    # --- what it consists of ------------------------------------------------------------------------------------------

    @property
    def convertible(self) -> tuple[str, ...]:
        """Names of the layers that are on hardware; if there are none, of those that can be put on it."""
        return tuple(self.layers) or tuple(name for name, _ in self._sites())

    @property
    def hardware(self) -> tuple[LayerHardware, ...]:
        """The description of every layer that is on hardware."""
        return tuple(layer.params for layer in self.layers.values())

    @property
    def kinds(self) -> dict[str, str]:
        """The framework's layer that each analog layer, or matrix of one, stands for, e.g. ``Conv2d``."""
        return {
            name: type(layer).__name__.removeprefix("Analog")
            for place, layer in self.layers.items()
            for name in matrices_of({place: layer})
        }

    @property
    def cores(self) -> dict[str, AnalogCore]:
        """The cores, by the name of their layer; if it has several, followed by a dot and their own."""
        return {name: matrix.core for name, matrix in matrices_of(self.layers).items()}

    @property
    def folded_layers(self) -> frozenset[str]:
        """Names of the analog layers that a BatchNorm was folded into."""
        return frozenset(name for name, layer in self.layers.items() if is_folded(layer))

    # --- changed copies -----------------------------------------------------------------------------------------------

    def on_hardware(self, hardware: Sequence[Any], seed: int, bias_rows: Mapping[str, int] | int = 0) -> Self:
        """A copy whose layers are on the hardware described for them, on another chip.

        BatchNorm is folded into the layers first, unless they are on hardware already.

        Args:
            hardware: One description for each of `convertible`; None: the layer stays digital.
            seed: The chip.
            bias_rows: Array rows that hold biases, one number for all layers or by name. Layers that are on hardware
                already keep theirs.
        """
        if self.layers:
            return self._with(self._moved(hardware, seed), seed)
        chosen = {name: params for name, params in zip(self.convertible, hardware, strict=True) if params is not None}
        if not chosen:
            return self._with(self._copy(), seed)
        # A model that is one layer takes its own description; a list would have one per array.
        one = list(chosen) == [""]
        rows = bias_rows if isinstance(bias_rows, int) else bias_rows[""] if one else dict(bias_rows)
        return self._with(self._put(chosen[""] if one else chosen, rows, seed), seed)

    def with_bias_bits(self, bits: int) -> Self:
        """A copy, BatchNorm folded, whose convertible layers have biases of ``2**bits`` levels over their range."""
        coarse = self.folded()
        for _, layer in coarse._sites():
            for bias, assign in self._biases(layer):
                assign(_rounded(bias, bits))
        return coarse

    def with_biases_in_adc_steps(self) -> Self:
        """A copy on the same hardware whose digital biases are multiples of the step of their layer's ADCs.

        Biases of layers without ADCs, and those in arrays, stay as they are.

        Raises:
            ParameterError: conversions of a layer have no common step (sliced weights, inputs digitised by slices).
        """
        twin = self._with(self._copy(), self.seed)
        for layer in twin.layers.values():
            found = self._digital_bias(layer)
            if found is not None:
                bias, assign = found
                block = layer.core.blocks[0]
                step = output_step(block.record, block.params)
                if step is not None:
                    assign(backend_of(bias).xp.round(bias / step) * step)
        return twin

    def _with(self, module: Any, seed: int) -> Self:
        twin = copy.copy(self)
        twin.module, twin.seed = module, seed
        return twin

    # --- what it answers ----------------------------------------------------------------------------------------------

    def outputs(self, images: Any, stage: str = "", progress: Progress = silent) -> NDArray[Any]:
        """Answers of the network, ``(images, outputs)``; of several outputs the main one.

        Args:
            images: ``(images, ...)``, or what gives a batch when it is sliced. Floating numbers and bytes are given the
                dtype of the network, other integers (tokens) stay as they are.
            stage: What `progress` is told.
            progress: Told how far it is.

        Raises:
            InputError: the network does not take such images.
            UnsupportedError: it answers no tensor with an entry for each image.
        """
        found: list[NDArray[Any]] = []
        self.each_answer(images, lambda batch: found.append(batch[""]), stage, progress)
        return np.concatenate(found)

    def each_answer(
        self,
        images: Any,
        use: Callable[[Mapping[str, NDArray[Any]]], object],
        stage: str = "",
        progress: Progress = silent,
        names: Sequence[str] = ("",),
    ) -> None:
        """The same batch by batch, for answers that are too many to be kept.

        Args:
            images: As of `outputs`.
            use: Told the answers to every batch, ``{name: (images, ...)}``.
            stage: What `progress` is told.
            progress: Told how far it is.
            names: Of the outputs, see `crossohm.layers.answers.output_of`.

        Raises:
            InputError: the network does not take such images.
            UnsupportedError: it has no such output.
        """
        with self._at_work():
            progress(stage, 0, len(images))
            for start in range(0, len(images), self.batch_size):
                end = min(start + self.batch_size, len(images))
                answer = self._answer(images[start:end])  # files of images are read here
                use({name: output_of(answer, name, end - start, self._on_host, self._one_output) for name in names})
                progress(stage, end, len(images))

    def vectors_per_image(self, image: Any) -> dict[str, int]:
        """How many input vectors each matrix multiplies for one image ``(channels, height, width)``."""
        matrices = matrices_of(self.layers)
        for matrix in matrices.values():
            matrix.vectors = 0
        try:
            self.take(one_batch(image))
            return {name: matrix.vectors or 0 for name, matrix in matrices.items()}
        finally:
            for matrix in matrices.values():
                matrix.vectors = None


def _rounded(bias: Array, bits: int) -> Array:
    """The nearest of ``2**bits`` levels from the lowest to the highest entry."""
    low, high = bias.min(), bias.max()
    if low == high:
        return bias
    step = (high - low) / (2**bits - 1)
    return low + backend_of(bias).xp.round((bias - low) / step) * step
