"""Which module feeds which: a trace of the model shows it, order of definition would not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

from torch import fx, nn

from crossohm.torch.conversion.folded import FoldedNorm
from crossohm.torch.layers.layer import AnalogLayer


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside the block, every module's own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, AnalogLayer | FoldedNorm) or super().is_leaf_module(m, module_qualified_name)


@final
class DataFlow:
    """The calls of modules in one way of calling a model, in eval mode.

    Tracing runs the user's forward, which may raise anything: then the data flow is not known.

    Args:
        model: The model.
        given: Arguments of its forward that have these values; the others are unknown.
    """

    def __init__(self, model: nn.Module, given: Mapping[str, Any] | None = None) -> None:
        with evaluating(model):
            graph = _Tracer().trace(model, concrete_args=dict(given or {}) or None)
        self._attributes = [str(node.target) for node in graph.nodes if node.op == "get_attr"]
        self._modules: dict[fx.Node, nn.Module] = {}
        self._calls: dict[int, list[fx.Node]] = {}
        for node in graph.nodes:
            if node.op == "call_module":
                module = model.get_submodule(str(node.target))
                self._modules[node] = module
                self._calls.setdefault(id(module), []).append(node)

    def calls(self, module: nn.Module) -> list[fx.Node]:
        """Every call of a module."""
        return self._calls.get(id(module), [])

    def called(self, node: Any) -> nn.Module | None:
        """The module that is called there; None if the node is something else."""
        return self._modules.get(node)

    def reads_inside(self, path: str) -> bool:
        """True if the model's own code takes a parameter or buffer of the module at ``path``."""
        return any(attribute.startswith(path + ".") for attribute in self._attributes)


def data_flows(model: nn.Module) -> list[DataFlow]:
    """The data flow with all arguments of the model, and that without those which it does not need."""
    arguments = inspect.signature(model.forward).parameters.values()
    omitted = {one.name: one.default for one in arguments if one.default is not one.empty}
    flows = [DataFlow(model)]
    return [*flows, DataFlow(model, omitted)] if omitted else flows
