"""The state of arrays in functions that Keras compiles: leaves of a plan as variables, renewed by calls of the host.

A compiled function sees variables only. Those here hold the leaves of a matrix's plan, and a stamp: a digest of the
parameters they belong to. The function compares the stamp with the digest of the parameters it was given, and only
where they differ calls the host, which writes the arrays and returns new leaves. Nothing is compiled again for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, final

import keras
import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.chain import join
from crossohm.chain.running.leaves import Structure
from crossohm.layers.product import DifferentiableContraction


class Renews(Protocol):
    """Arrays on the host."""

    def renew(
        self, structure: Structure, contraction: DifferentiableContraction, values: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, ...]:
        """Leaves for these values of the parameters."""


@final
class CompiledArrays:
    """A plan as Keras variables. They outlive arrays that are replaced by others.

    Args:
        arrays: On the host.
        structure: Of the plan.
        leaves: Of the plan, on the host.
        values: What the arrays hold of the parameters.
    """

    def __init__(
        self, arrays: Renews, structure: Structure, leaves: Sequence[np.ndarray], values: Sequence[Array]
    ) -> None:
        self._leaves: tuple[Any, ...] = ()
        self._stamp: Any = None
        self.load(arrays, structure, leaves, values)

    @property
    def variables(self) -> list[Any]:
        """Leaves and stamp."""
        return [*self._leaves, self._stamp]

    def load(self, arrays: Renews, structure: Structure, leaves: Sequence[np.ndarray], values: Sequence[Array]) -> None:
        """Take over what was written outside of compiled functions.

        Functions compiled for another structure find a stamp that is none of theirs, and ask the host.
        """
        self._arrays, self._structure = arrays, structure
        stamp = _stamp(structure, values)
        if [_key(leaf) for leaf in leaves] != [_key(variable) for variable in self._leaves]:
            if self._stamp is not None:
                self._stamp.assign(keras.ops.zeros(self._stamp.shape, self._stamp.dtype))
            self._leaves = tuple(_variable(leaf, f"leaf_{index}") for index, leaf in enumerate(leaves))
            self._stamp = _variable(stamp, "stamp")
            return
        for variable, leaf in zip(self._leaves, leaves, strict=True):
            variable.assign(np.array(leaf))  # the host keeps its own, which JAX might overwrite
        self._stamp.assign(stamp)

    def joined(
        self,
        structure: Structure,
        contraction: DifferentiableContraction,
        inputs: Sequence[Array],
        stored: Sequence[Array],
        follows: bool,
    ) -> Any:
        """The plan in the function that is being compiled, once its leaves are those of the parameters.

        Args:
            structure: Of the plan that is wanted; it may pad inputs in another way than the one given.
            contraction: How inputs meet the matrix there.
            inputs: Parameters, as the host needs them.
            stored: What the matrix holds of them.
            follows: False: changed parameters are left to the user.
        """
        backend = backend_of(stored[0])
        now = tensor_of(self._stamp)
        wanted = _stamp(self._structure, [backend.detached(value) for value in stored])
        differs = keras.ops.not_equal(now, wanted)
        stale = keras.ops.any(differs) if follows else differs[0]

        def work(*values: np.ndarray) -> tuple[np.ndarray, ...]:
            return self._arrays.renew(structure, contraction, values)

        kept = tuple(tensor_of(variable) for variable in self._leaves)
        leaves = backend.renewed(stale, kept, work, [backend.detached(value) for value in inputs])
        if follows:
            for variable, leaf in zip(self._leaves, leaves, strict=True):
                variable.assign(leaf)
            self._stamp.assign(wanted)
        return join(structure, leaves)


def tensor_of(variable: Any) -> Array:
    """The value of a Keras variable, or of an expression that stands for one, as a tensor of the backend."""
    return keras.ops.convert_to_tensor(getattr(variable, "value", variable))


def _stamp(structure: Structure, values: Sequence[Array]) -> Array:
    """Tells structures and parameters apart, ``(1 + 2 * parameters,)``."""
    digests = [backend_of(value).digest(value) for value in values]
    backend = backend_of(digests[0])
    token = backend.asarray(np.array([hash(structure) % 2**31]), digests[0])
    return backend.xp.concat([token, *digests], axis=0)


def _variable(value: Any, name: str) -> Any:
    tensor = keras.ops.convert_to_tensor(np.array(value) if isinstance(value, np.ndarray) else value)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.Variable(tensor, dtype=dtype, trainable=False, autocast=False, name=name)


def _key(value: Any) -> tuple[Any, ...]:
    tensor = keras.ops.convert_to_tensor(value)
    return tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype)
