"""Flax as `crossohm.testing.layer.LayerContract` sees a framework: for tests of your own layers.

Laws in double precision need ``jax.enable_x64(True)`` around each test.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx

from crossohm.flax.layers.layer import AnalogLayer


@final
class FlaxHarness:
    """How layers of Flax NNX are converted, called, changed and copied.

    Args:
        kind: The analog layer under test.
    """

    def __init__(self, kind: type[AnalogLayer]) -> None:
        self._kind = kind

    def array(self, values: np.ndarray, dtype: str) -> jax.Array:
        """Numbers as an array of JAX."""
        return jnp.asarray(values, dtype)

    def arrays(self, result: Any) -> list[jax.Array]:
        """The leaves of a tree."""
        return jax.tree.leaves(result)

    def analog(self, layer: Any, params: Any, bias_rows: int, *, seed: int, **choices: Any) -> Any:
        """`AnalogLayer.from_flax`, which leaves ``layer`` alone."""
        return self._kind.from_flax(layer, params, bias_rows, seed=seed, rngs=nnx.Rngs(0), **choices)

    def digital(self, layer: Any, physical_weights: bool = False) -> Any:
        """`AnalogLayer.to_flax`."""
        return layer.to_flax(physical_weights)

    def parameters(self, layer: Any) -> dict[str, np.ndarray]:
        """By path."""
        return {name: np.array(found.get_value(), np.float64) for name, found in _variables(layer).items()}

    def assign(self, layer: Any, values: Mapping[str, np.ndarray]) -> None:
        """Through ``variable.set_value``, which the layer does not see."""
        variables = _variables(layer)
        for name, value in values.items():
            variables[name].set_value(jnp.array(value, variables[name].get_value().dtype))

    def gradients(self, layer: Any, inputs: Sequence[Any], call: Callable[..., Any]) -> list[np.ndarray | None]:
        """Of the inputs, then of the parameters, in a compiled function."""

        def loss(module: Any, given: list[Any]) -> Any:
            ramps = ((y, jnp.linspace(-1, 1, y.size, dtype=y.dtype)) for y in self.arrays(call(module, given)))
            return sum(jnp.sum(y * ramp.reshape(y.shape)) for y, ramp in ramps)

        by_weights, by_inputs = nnx.jit(nnx.grad(loss, argnums=(0, 1)))(layer, list(inputs))
        found = dict(nnx.to_flat_state(by_weights))
        weights = [found[tuple(name.split("."))].get_value() for name in _variables(layer)]
        return [np.array(value, np.float64) for value in (*by_inputs, *weights)]

    def copies(self, layer: Any) -> dict[str, Any]:
        """`nnx.clone` and ``copy.deepcopy``."""
        return {"clone": nnx.clone(layer), "deepcopy": copy.deepcopy(layer)}

    def hand_over(self, source: Any, target: Any) -> None:
        """A checkpoint of Orbax."""
        state = nnx.state(source, nnx.Not(nnx.RngState))
        with tempfile.TemporaryDirectory() as folder, ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(Path(folder) / "state", state)
            checkpointer.wait_until_finished()
            nnx.update(target, checkpointer.restore(Path(folder) / "state", state))


def _variables(layer: Any) -> dict[str, Any]:
    return {".".join(map(str, path)): found for path, found in nnx.to_flat_state(nnx.state(layer, nnx.Param))}
