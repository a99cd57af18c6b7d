"""Who uses what in the functional models inside of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import keras
from keras.src.models.functional import Functional

from crossohm.keras.conversion.places import is_layer, places

#: Layers that pass on what they get, at inference.
_TRANSPARENT = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "Identity")


@final
class DataFlow:
    """The calls of layers in all functional and sequential models inside of a model.

    Args:
        model: The model. What other classes do inside of them is not seen.
    """

    def __init__(self, model: Any) -> None:
        self._nodes: list[Any] = []
        self._users: dict[int, list[Any]] = {}
        self._outputs: set[int] = set()
        for _, layer in places(model, is_layer):
            graph = layer._functional if isinstance(layer, keras.Sequential) else layer
            if isinstance(graph, Functional):
                self._add(graph)

    def _add(self, graph: Any) -> None:
        self._outputs.update(id(tensor) for tensor in keras.tree.flatten(graph.outputs))
        for nodes in graph._nodes_by_depth.values():
            for node in nodes:
                self._nodes.append(node)
                for tensor in node.input_tensors:
                    self._users.setdefault(id(tensor), []).append(node)

    def calls(self, layer: Any) -> list[Any]:
        """The nodes at which a layer or operation is called."""
        return [node for node in self._nodes if node.operation is layer]

    def users(self, node: Any) -> list[Any] | None:
        """The nodes that use what a call returns; None if it is, in part, an output of a model."""
        if any(id(tensor) in self._outputs for tensor in node.outputs):
            return None
        return [user for tensor in node.outputs for user in self._users.get(id(tensor), [])]

    def is_rectified(self, layer: Any) -> bool:
        """True if everything a layer puts out goes to a ReLU, its own activation included."""
        if layer.activation is keras.activations.relu:
            return True
        calls = self.calls(layer)
        is_linear = layer.activation in (None, keras.activations.linear)
        return is_linear and bool(calls) and all(all(self._ends_in_relu(node)) for node in calls)

    def _ends_in_relu(self, node: Any) -> Iterator[bool]:
        """For every use of a value, behind layers that pass it on, whether it is a ReLU."""
        users = self.users(node)
        if not users:
            yield False
            return
        for user in users:
            if type(user.operation).__name__ in _TRANSPARENT:
                yield from self._ends_in_relu(user)
            else:
                yield _is_relu(user.operation)


def _is_relu(operation: Any) -> bool:
    if isinstance(operation, keras.layers.ReLU):
        return not operation.negative_slope and not operation.threshold
    if isinstance(operation, keras.layers.Activation):
        return operation.activation in (keras.activations.relu, keras.activations.relu6)
    return type(operation).__module__.startswith("keras.") and type(operation).__name__ in ("Relu", "Relu6")
