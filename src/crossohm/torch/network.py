"""A PyTorch network as calibration and studies see it: NumPy images in, NumPy answers out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import Graph

from crossohm._random import chip_rng
from crossohm.layers.array_network import ArrayNetwork, Bias
from crossohm.layers.batches import Call
from crossohm.layers.conversion import HardwareChoice
from crossohm.layers.maps.grouped import USUAL_GROUPING
from crossohm.layers.network import Deviation, Progress, silent
from crossohm.torch.batches import forward_of, only_tensor
from crossohm.torch.comparison import compared, tensor_of
from crossohm.torch.conversion.batchnorm import Seen, fold_batchnorm, see
from crossohm.torch.conversion.convert import analog_modules, put_on_arrays
from crossohm.torch.conversion.dataflow import evaluating
from crossohm.torch.conversion.first_pass import unwatch, watch
from crossohm.torch.conversion.observed import observed_on
from crossohm.torch.conversion.obstacles import require_layers
from crossohm.torch.conversion.places import analog_places, copy_of, separate, sites
from crossohm.torch.conversion.products import observe_products, places_of
from crossohm.torch.conversion.rectified import floors_of
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.products.layer import DigitalProduct
from crossohm.torch.products.routing import unlead


@final
class TorchNetwork(ArrayNetwork):
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
        grouping: str | Sequence[str] | Mapping[str, str] = USUAL_GROUPING,
        *,
        fold_batchnorm: bool = True,
        device: str | None = None,
    ) -> None:
        require_layers(module)
        placed = module if device is None else module.to(device)
        super().__init__(placed, batch_size, seed, grouping, fold_batchnorm=fold_batchnorm)
        self._warned = False
        self._seen: Seen | None = None
        self._flow: Graph | None = None
        self._example: Call | None = None
        self._places: tuple[str, ...] | None = None

    _one_output = "wrap the network in a module that returns it"

    @property
    def layers(self) -> dict[str, AnalogLayer]:
        """Every analog layer, by its first name."""
        return analog_places(self.module)

    def _sites(self) -> Iterator[tuple[str, Any]]:
        if self._places is None:
            return sites(self.module)
        layers = dict(sites(self.module))
        return ((name, layers.get(name, torch.nn.Identity())) for name in self._places)

    @property
    def floors(self) -> dict[str, NDArray[np.float64]]:
        """Smallest core outputs that have an effect, of analog layers followed by a ReLU only; see `floors_of`."""
        found = floors_of(self.module, self._flow)
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
                found.update(value.detach().cpu().flatten().clone().view(torch.uint8).numpy())
        return found.hexdigest()

    def seeing(self, batch: Any, fold_batchnorm: bool | None = None) -> TorchNetwork:
        """The same network, told what its inputs look like.

        BatchNorm1d is folded where an input of so many axes has the channels of the layer before it along axis 1; a
        network that was told nothing decides at every input, see `crossohm.torch.conversion.folded.FoldedNorm`. Where
        tracing fails, the data flow of these inputs says what is folded. Products in modules' own code are put on
        hardware as these inputs show them, and they show what a ReLU follows, see `floors`.

        Args:
            batch: Some inputs, see `take`.
            fold_batchnorm: Fold it at all; None: as this network does.

        Raises:
            InputError: the network does not take them.
        """
        told = self._with(self.module, self.seed)
        told.fold_batchnorm = self.fold_batchnorm if fold_batchnorm is None else fold_batchnorm
        forward = forward_of(self.module)
        example = forward.call_of(batch)
        with self._at_work():  # a network that fails on the example fails as on any batch
            if told.fold_batchnorm:
                told._seen = forward.answer(example, lambda *_, **__: see(self.module, example))
            if told._seen is None:
                told._flow = forward.answer(example, lambda *_, **__: observed_on(self.module, example))
            else:
                told._flow = told._seen.graph
        if not told.layers:
            told._find_products(example)
        return told

    def _find_products(self, example: Call) -> None:
        """Look for products in modules' own code, which are on hardware like layers."""
        module = self._folded()
        separate(module)
        with self._at_work():  # a network that fails on the example fails as on any batch
            places = forward_of(self.module).answer(example, lambda *_, **__: places_of(module, example))
        if places.products:
            self._example, self._places = example, places.names

    def folded(self) -> TorchNetwork:
        """A copy, digital, with BatchNorm folded as on hardware: its layers put out what analog ones should.

        As on hardware, a layer that is used under two names is two.
        """
        module = self._folded().eval()
        separate(module)
        if self._example is not None:
            observe_products(module, places_of(module, self._example).products)
        return self._with(module, self.seed)

    def _folded(self) -> Any:
        module = copy_of(self.module)
        unlead(module, DigitalProduct)
        if self.fold_batchnorm:
            fold_batchnorm(module, self._seen)
        return module

    def _copy(self) -> Any:
        return copy_of(self.module)

    def _put(self, hardware: HardwareChoice, bias_rows: int | dict[str, int], seed: int) -> Any:
        grouping, example = self.grouping, self._example
        analog = put_on_arrays(self._folded(), hardware, bias_rows, False, seed, grouping=grouping, example=example)
        return self._watched(analog)

    def _moved(self, hardware: Sequence[Any], seed: int) -> Any:
        twin = self._copy()
        for layer, params in zip(analog_modules(twin), hardware, strict=True):
            layer.params = params
            layer.reinitialize(seed)
        return self._watched(twin)

    def _watched(self, analog: Any) -> Any:
        """A model on hardware; the first one watches its first pass and warns of what stays digital."""
        (unwatch if self._warned else watch)(analog)
        self._warned = True
        return analog

    def _biases(self, layer: Any) -> Iterator[Bias]:
        return (_bias(value) for name, value in layer.named_parameters(recurse=False) if name.startswith("bias"))

    def _digital_bias(self, layer: Any) -> Bias | None:
        digital = layer.bias_kinds == 1 and layer.bias is not None and not layer.analog_bias
        return _bias(layer.bias) if digital else None

    def _answer(self, batch: Any) -> Any:
        return _answered(self.module, batch)

    def _on_host(self, answer: Any) -> NDArray[Any] | None:
        if not isinstance(answer, torch.Tensor):
            return None
        return _host(answer)

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
        forward = forward_of(self.module)
        call = forward.call_of(batch)
        whole = only_tensor(call)
        with self._at_work():
            if whole is None:
                forward.answer(call, self.module)
                return
            progress(stage, 0, len(whole))
            for start in range(0, len(whole), self.batch_size):
                part = whole[start : start + self.batch_size]
                forward.answer(Call((part,), {}), self.module)
                progress(stage, start + len(part), len(whole))

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Eval mode, without gradients, with noise of the network's own seed; all as it was again afterwards."""
        with torch.no_grad(), evaluating(self.module), torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(chip_rng(self.seed, "noise").integers(2**63)))
            yield

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


def _answered(module: Any, batch: Any) -> Any:
    forward = forward_of(module)
    return forward.answer(forward.call_of(batch), module)


def _keep(kept: list[NDArray[Any]]) -> Any:
    return lambda layer, inputs, output: kept.append(_host(tensor_of(output)))


def _host(tensor: torch.Tensor) -> NDArray[Any]:
    """A tensor as an array; NumPy has no bfloat16."""
    host = tensor.cpu()
    return np.asarray((host.float() if host.dtype is torch.bfloat16 else host).numpy())


def _bias(parameter: torch.Tensor) -> Bias:
    values = parameter.detach()  # writes through it are seen, and have no gradient
    return values, values.copy_
