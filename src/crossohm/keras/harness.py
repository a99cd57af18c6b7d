"""Keras as `crossohm.testing.layer.LayerContract` sees a framework, on every backend: for tests of your own layers."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import keras
import numpy as np

from crossohm.keras.conversion.convert import from_keras, to_keras


@final
class KerasHarness:
    """How layers of Keras are converted, called, changed and copied."""

    def array(self, values: np.ndarray, dtype: str) -> Any:
        """Numbers as a tensor of the backend."""
        return keras.ops.convert_to_tensor(values, dtype=dtype)

    def arrays(self, result: Any) -> list[Any]:
        """The tensors of a nested structure."""
        return [tensor for tensor in keras.tree.flatten(result) if tensor is not None]

    def analog(self, layer: Any, params: Any, bias_rows: int, *, seed: int, **choices: Any) -> Any:
        """`from_keras`, which leaves ``layer`` alone."""
        return from_keras(layer, params, bias_rows, seed=seed, **choices)

    def digital(self, layer: Any, physical_weights: bool = False) -> Any:
        """`to_keras`."""
        return to_keras(layer, physical_weights)

    def parameters(self, layer: Any) -> dict[str, np.ndarray]:
        """By name."""
        return {name: _numbers(variable) for name, variable in _variables(layer).items()}

    def assign(self, layer: Any, values: Mapping[str, np.ndarray]) -> None:
        """Through ``variable.assign``, which the layer does not see."""
        variables = _variables(layer)
        for name, value in values.items():
            variables[name].assign(value)

    def gradients(self, layer: Any, inputs: Sequence[Any], call: Callable[..., Any]) -> list[np.ndarray | None]:
        """Of the inputs, then of the weights."""

        def loss(*given: Any) -> Any:
            outputs = self.arrays(call(layer, list(given)))
            return sum(keras.ops.sum(y * keras.ops.cast(_ramp(y), y.dtype)) for y in outputs)

        found = _GRADIENTS[keras.backend.backend()](loss, layer, list(inputs))
        return [None if value is None else _numbers(value) for value in found]

    def copies(self, layer: Any) -> dict[str, Any]:
        """``copy.deepcopy``, and the same chip in a layer made from the configuration."""
        twin = type(layer).from_config(layer.get_config())
        twin.build_from_config(layer.get_build_config())
        self.hand_over(layer, twin)
        return {"deepcopy": copy.deepcopy(layer), "from_config": twin}

    def hand_over(self, source: Any, target: Any) -> None:
        """A file of weights."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "layer.weights.h5"
            keras.saving.save_weights(source, path)
            keras.saving.load_weights(target, path)


def _variables(layer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable in layer.weights:
        name = variable.name
        found[f"{name}_{len(found)}" if name in found else name] = variable
    return found


def _numbers(value: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value), dtype=np.float64)


def _ramp(y: Any) -> np.ndarray:
    return np.linspace(-1, 1, int(np.prod(y.shape))).reshape(y.shape)


def _torch_gradients(loss: Any, layer: Any, inputs: list[Any]) -> list[Any]:
    given = [x.detach().clone().requires_grad_() for x in inputs]
    layer.zero_grad()
    loss(*given).backward()
    return [value.grad for value in (*given, *(variable.value for variable in layer.weights))]


def _tensorflow_gradients(loss: Any, layer: Any, inputs: list[Any]) -> list[Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        found = loss(*inputs)
    return list(tape.gradient(found, [*inputs, *(variable.value for variable in layer.weights)]))


def _jax_gradients(loss: Any, layer: Any, inputs: list[Any]) -> list[Any]:
    import jax

    weights, others = layer.weights, [v for v in layer.variables if not any(v is w for w in layer.weights)]
    state = [variable.value for variable in others]

    def of(values: list[Any], given: list[Any]) -> Any:
        with keras.StatelessScope([*zip(weights, values, strict=True), *zip(others, state, strict=True)]):
            return loss(*given)

    values = [variable.value for variable in weights]
    by_weights, by_inputs = jax.jit(jax.grad(of, argnums=(0, 1)))(values, inputs)
    return [*by_inputs, *by_weights]


_GRADIENTS = {"torch": _torch_gradients, "tensorflow": _tensorflow_gradients, "jax": _jax_gradients}
