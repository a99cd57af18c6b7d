"""A Flax network as calibration and studies see it: NumPy images in, NumPy answers out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from crossohm._random import chip_rng
from crossohm.errors import UnsupportedError
from crossohm.flax.batches import at_inference, forward_of, turned
from crossohm.flax.conversion.batchnorm import fold_batchnorm
from crossohm.flax.conversion.convert import from_flax
from crossohm.flax.conversion.dataflow import DataFlow
from crossohm.flax.conversion.places import analog_places, places, sites
from crossohm.flax.conversion.report import require_module
from crossohm.flax.layers.conv import AnalogConv
from crossohm.flax.layers.layer import AnalogLayer
from crossohm.flax.layers.linear import AnalogLinear
from crossohm.flax.taps import outputs_of
from crossohm.layers.array_layer import matrices_of
from crossohm.layers.array_network import ArrayNetwork, Bias
from crossohm.layers.batches import Call
from crossohm.layers.comparison import Comparison
from crossohm.layers.conversion import HardwareChoice
from crossohm.layers.maps.grouped import USUAL_GROUPING
from crossohm.layers.network import Deviation, Progress, silent

#: Layers that put out what their one matrix returns, and a bias.
_BIASED = (AnalogLinear, AnalogConv)

#: Told what a module put out, once for each of its calls.
See = Callable[[NDArray[Any]], None]


@final
class FlaxNetwork(ArrayNetwork):
    """A Flax network, digital or on hardware, that answers NumPy images.

    It answers in a compiled function, one per shape of batches; while cores are profiled, operation by operation.

    Args:
        module: The network; it answers as at inference, and nothing changes its state.
        batch_size: Images computed at a time.
        seed: Of the noise drawn while it answers; every call of `outputs` begins with the same.
        grouping: How `on_hardware` stores grouped convolutions, see `from_flax`.
        fold_batchnorm: Fold BatchNorm into the layers before it on the way to hardware.
        device: Where JAX computes, e.g. ``"gpu:0"``; None: where it does by default.

    Raises:
        ParameterError: ``module`` is no module of Flax NNX.
        UnsupportedError: it has no layers that could be put on hardware.
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
        require_module(module)
        super().__init__(module, batch_size, seed, grouping, fold_batchnorm=fold_batchnorm)
        if not self.convertible:
            raise UnsupportedError(
                f"model of type {type(module).__name__}: it has no layers that could be put on hardware; see "
                "crossohm.flax.conversion_report(model), and register analog kinds for what it multiplies with"
            )
        self.device = device
        self._example: Call | None = None
        self._turns: dict[tuple[int, ...], bool] = {}
        self._forget()

    def _forget(self) -> None:
        """Begin without listeners, which are of one model."""
        self._listeners: dict[str, list[See]] = {}
        self._first: list[Callable[[Call], object]] = []

    def _with(self, module: Any, seed: int) -> Self:
        twin = super()._with(module, seed)
        twin._forget()
        return twin

    _one_output = "wrap the model in a module that returns it"

    @property
    def layers(self) -> dict[str, AnalogLayer]:
        """Every analog layer, by name."""
        return analog_places(self.module)

    def _sites(self) -> Iterator[tuple[str, Any]]:
        yield from sites(self.module).items()

    @property
    def floors(self) -> dict[str, NDArray[np.float64]]:
        """Smallest core outputs that have an effect, of analog layers whose outputs all go to a ReLU.

        None before the network was told what its inputs look like, see `seeing`.
        """
        if self._example is None:
            return {}
        flow = DataFlow(self.module, self._example)
        found = {name: layer for name, layer in self.layers.items() if isinstance(layer, _BIASED)}
        return {name: _floor(layer) for name, layer in found.items() if flow.is_rectified(name)}

    @property
    def recordable(self) -> tuple[str, ...]:
        """Names of all modules."""
        return tuple(dict(places(self.module)))

    @property
    def digest(self) -> str:
        """SHA-256 of the architecture and of all variables but the generators'."""
        found = hashlib.sha256()
        for path, value in nnx.iter_graph(self.module):
            if not (isinstance(value, nnx.Variable) or str(path[-1:]).startswith("('_pytree")):
                found.update(f"{path} {_in_words(value)};".encode())
        for path, variable in nnx.to_flat_state(nnx.state(self.module, nnx.Not(nnx.RngState))):
            found.update(f"{path}".encode())
            for leaf in jax.tree.leaves(variable):
                host = np.asarray(leaf)
                found.update(f"{host.dtype} {host.shape}".encode() + np.ascontiguousarray(host).tobytes())
        return found.hexdigest()

    def seeing(self, batch: Any, fold_batchnorm: bool | None = None) -> FlaxNetwork:
        """The same network, told what its inputs look like: the uses of its layers are known then.

        Args:
            batch: Some inputs, see `take`.
            fold_batchnorm: Fold BatchNorm at all; None: as this network does.

        Raises:
            InputError: the network does not take them.
        """
        told = self._with(self.module, self.seed)
        told.fold_batchnorm = self.fold_batchnorm if fold_batchnorm is None else fold_batchnorm
        call = self._call_of(batch)
        forward_of(self.module).answer(call, lambda *inputs, **named: DataFlow(self.module, Call(inputs, named)))
        told._example = call
        return told

    def folded(self) -> FlaxNetwork:
        """A copy, digital, with BatchNorm folded as on hardware: its layers put out what analog ones should."""
        return self._with(self._folded(), self.seed)

    def _folded(self) -> Any:
        return fold_batchnorm(self.module, self._example) if self.fold_batchnorm else self._copy()

    def _copy(self) -> Any:
        return nnx.clone(self.module)

    def _put(self, hardware: HardwareChoice, bias_rows: int | dict[str, int], seed: int) -> Any:
        rngs = nnx.Rngs(noise=seed % 2**63)
        choices = {"seed": seed, "grouping": self.grouping, "rngs": rngs}
        return from_flax(self._folded(), hardware, bias_rows, fuse_batchnorm=False, **choices)

    def _moved(self, hardware: Sequence[Any], seed: int) -> Any:
        twin = self._copy()
        for layer, params in zip(analog_places(twin).values(), hardware, strict=True):
            layer.reinitialize(seed, params)
        return twin

    def _biases(self, layer: Any) -> Iterator[Bias]:
        for path, variable in nnx.to_flat_state(nnx.state(layer, nnx.Param)):
            if str(path[-1]).startswith("bias"):
                yield variable.get_value(), variable.set_value

    def _digital_bias(self, layer: Any) -> Bias | None:
        digital = isinstance(layer, _BIASED) and layer.bias is not None and not layer.bias_rows
        return (layer.bias.get_value(), layer.bias.set_value) if digital else None

    # --- answers ------------------------------------------------------------------------------------------------------

    def take(self, batch: Any, stage: str = "", progress: Progress = silent) -> None:
        """Work on a batch, whatever comes out.

        Args:
            batch: An array ``(images, ...)``. Or what a loader gives: a sequence that begins with the inputs that the
                network's call requires, or a mapping with the names of its arguments.
            stage: What `progress` is told.
            progress: Told how far it is.

        Raises:
            InputError: the network does not take the batch.
        """
        call = self._call_of(batch)
        with self._at_work():
            if len(call.inputs) > 1 or call.named or not jnp.ndim(call.inputs[0]):
                self._run(call)
                return
            (whole,) = call.inputs
            progress(stage, 0, len(whole))
            for start in range(0, len(whole), self.batch_size):
                part = whole[start : start + self.batch_size]
                self._run(Call((part,), {}))
                progress(stage, start + len(part), len(whole))

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """On the network's device, with arrays that hold the present parameters, and noise of the network's seed."""
        with nullcontext() if self.device is None else jax.default_device(device_of(self.device)):
            for matrix in matrices_of(self.layers).values():
                matrix.core  # noqa: B018 # written now
            self._split = nnx.split(_without_host(self.module))
            if self.device is not None:
                self._split = self._split[0], jax.device_put(self._split[1], device_of(self.device))
            self._key = jax.random.key(int(chip_rng(self.seed, "noise").integers(2**63)))
            yield

    def _answer(self, batch: Any) -> Any:
        return self._run(self._call_of(batch))

    def _run(self, call: Call) -> Any:
        """What the network answers; listeners are told what its modules put out."""
        for before in self._first:
            before(call)
        self._key, key = jax.random.split(self._key)
        names, loops = tuple(self._listeners), self._has_loops
        looked_at = any(m.core.is_tapped or m.vectors is not None for m in matrices_of(self.layers).values())
        watched = looked_at or bool(names and loops)
        function, (graph, state) = (_stepwise, nnx.split(self.module)) if watched else (_compiled, self._split)
        answer, outputs = forward_of(self.module).answer(
            call, lambda *inputs, **named: function(graph, names, state, key, inputs, named)
        )
        for name, values in outputs.items():
            for value in values:
                for see in self._listeners[name]:
                    see(_numpy(value))
        return answer

    @property
    def _has_loops(self) -> bool:
        """True if it has cells, which work in loops over time; of these compiled functions show nothing."""
        return any(isinstance(module, nnx.RNNCellBase) for _, module in places(self.module))

    def _call_of(self, batch: Any) -> Call:
        """How a batch is shown to the model; images of data sets, with channels in front, are turned if it takes that.

        Raises:
            InputError: the batch lacks an input.
        """
        call = forward_of(self.module).call_of(batch)
        other = turned(call)
        if other is None:
            return call
        shape = call.inputs[0].shape[1:]
        if shape not in self._turns:
            self._turns[shape] = self._takes(other)
        return other if self._turns[shape] else call

    def _takes(self, call: Call) -> bool:
        graph, state = nnx.split(self.module)
        try:
            jax.eval_shape(partial(_answered, graph, ()), state, jax.random.key(0), call.inputs, call.named)
        except Exception:  # the model is the user's, and may fail in any way
            return False
        return True

    def _on_host(self, answer: Any) -> NDArray[Any] | None:
        return _numpy(answer) if isinstance(answer, jax.Array) else None

    # --- what its modules put out -------------------------------------------------------------------------------------

    @contextmanager
    def record(self, names: Sequence[str]) -> Iterator[dict[str, list[NDArray[Any]]]]:
        """Keep what modules put out in the ``with`` block, call by call; of several outputs the first."""
        kept: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
        with self._told({name: found.append for name, found in kept.items()}):
            yield kept

    @contextmanager
    def compared(self, digital: FlaxNetwork) -> Iterator[dict[str, Deviation]]:
        """Deviations of all analog layers from those of `folded` in the ``with`` block."""
        comparison = Comparison(self.layers, self.floors)
        names = tuple(comparison.found)

        def answer_before(call: Call) -> None:
            with digital._at_work():
                digital._run(call)

        twins, own = ({name: tell(name) for name in names} for tell in (comparison.expects, comparison.sees))
        self._first.append(answer_before)
        try:
            with digital._told(twins), self._told(own):
                yield comparison.found
        finally:
            self._first.remove(answer_before)

    @contextmanager
    def _told(self, listeners: Mapping[str, See]) -> Iterator[None]:
        """Let listeners know what modules put out."""
        for name, see in listeners.items():
            self._listeners.setdefault(name, []).append(see)
        try:
            yield
        finally:
            for name, see in listeners.items():
                self._listeners[name].remove(see)
                if not self._listeners[name]:
                    del self._listeners[name]


def device_of(name: str) -> Any:
    """The device of JAX with a name like ``"gpu:0"`` or ``"cpu"``.

    Raises:
        RuntimeError: there is no such platform.
        ValueError: the number is none.
        IndexError: there are fewer devices.
    """
    platform, _, number = name.partition(":")
    return jax.devices(platform)[int(number or 0)]


def _answered(
    graph: Any, names: Sequence[str], state: Any, key: Any, inputs: Any, named: Any
) -> tuple[Any, dict[str, list[Any]]]:
    """What a copy of a model answers at inference, and what modules of these names put out.

    Generators of random numbers begin with ``key``.
    """
    model = nnx.merge(graph, state, copy=True)
    flags = at_inference(model)
    modules = dict(places(model))
    streams = [part for _, part in nnx.iter_graph(model) if isinstance(part, nnx.RngStream)]
    for number, stream in enumerate(streams):
        stream.key.set_value(jax.random.fold_in(key, number))
        stream.count.set_value(jnp.zeros_like(stream.count.get_value()))
    with outputs_of({name: modules[name] for name in names}) as outputs:
        return model(*inputs, **named, **flags), outputs


_compiled = jax.jit(_answered, static_argnums=(0, 1))


def _stepwise(*arguments: Any) -> tuple[Any, dict[str, list[Any]]]:
    """As `_answered`, operation by operation, also in loops and in what the model itself compiles."""
    with jax.disable_jit():
        return _answered(*arguments)


def _without_host(model: Any) -> Any:
    """A model with the same variables for compiled functions, which are the same on all its chips."""
    twin = nnx.merge(*nnx.split(model))
    for layer in analog_places(twin).values():
        layer.leave_host()
    return twin


def _numpy(value: Any) -> NDArray[Any]:
    host = np.asarray(value)
    return host if host.dtype.kind in "fiub" else host.astype(np.float32)


def _floor(layer: Any) -> NDArray[np.float64]:
    if layer.bias is None or layer.bias_rows:
        return np.zeros(layer.matrices[0].layout.shape[0])
    return -np.asarray(layer.bias.get_value(), np.float64).reshape(-1)


def _in_words(value: Any) -> str:
    """What an attribute says, in the same words in every process."""
    if isinstance(value, str | int | float | bool | tuple | type(None)):
        return repr(value)
    return str(getattr(value, "__qualname__", type(value).__qualname__))
