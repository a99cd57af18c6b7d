"""Which module feeds which: a trace of the model shows it, order of definition would not."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

from torch import Tensor, fx, nn

from crossohm.torch.conversion.folded import FoldedNorm, ShiftingNorm, is_norm
from crossohm.torch.conversion.kinds import is_convertible
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.products.routing import not_led


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
        known = isinstance(m, AnalogLayer | FoldedNorm | ShiftingNorm) or is_norm(m) or is_convertible(m)
        return known or super().is_leaf_module(m, module_qualified_name)


def is_step(module: nn.Module, name: str) -> bool:
    """True if a module, of that name, is one step of a data flow, and not looked into."""
    return _Tracer().is_leaf_module(module, name)


def trace(model: nn.Module, given: Mapping[str, Any] | None = None) -> fx.Graph:
    """The graph of one way of calling a model, in eval mode.

    Tracing runs the user's forward, which may raise anything: then the data flow is not known.

    Args:
        model: The model.
        given: Arguments of its forward that have these values; the others are unknown.
    """
    own = set(vars(model))
    try:
        with evaluating(model), not_led():
            return _Tracer().trace(model, concrete_args=dict(given or {}) or None)
    finally:
        for name in vars(model).keys() - own:  # constants that the tracer has met
            delattr(model, name)


def tells_form_only(function: Any, of: Any = None) -> bool:
    """True for what tells size, shape and kind of a tensor, and nothing of its values.

    Args:
        function: A torch function, the name of a method, or `getattr`.
        of: The name of the attribute that `getattr` takes.
    """
    if function is getattr:
        return of in _FORM
    if getattr(function, "__name__", "") == "__get__":  # torch reads attributes by descriptors
        function = function.__self__
    name = function if isinstance(function, str) else getattr(function, "__name__", "")
    return name in _FORM


#: Attributes and methods of tensors that are the same whatever the values are.
_FORM = {
    *("shape", "ndim", "dtype", "device", "layout", "requires_grad", "is_leaf", "is_cuda", "is_sparse", "is_nested"),
    *("dim", "ndimension", "size", "stride", "numel", "nelement", "element_size", "storage_offset", "__len__"),
    *("is_contiguous", "is_floating_point", "is_complex", "get_device"),
}


@final
class DataFlow:
    """The calls of modules in one way of calling a model.

    Args:
        graph: What `trace` or `observed` found out about the model, or about another with the same names.
        model: The model.
    """

    def __init__(self, graph: fx.Graph, model: nn.Module) -> None:
        self._model = model
        self._attributes = {node: str(node.target) for node in graph.nodes if node.op == "get_attr"}
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
        return any(attribute.startswith(path + ".") for attribute in self._attributes.values())

    def reads(self) -> dict[fx.Node, Tensor]:
        """Where the model's own code takes parameters and buffers."""
        stored = dict(self._model.named_parameters(remove_duplicate=False))
        stored |= self._model.named_buffers(remove_duplicate=False)
        return {node: stored[name] for node, name in self._attributes.items() if name in stored}


def users_of(node: fx.Node) -> list[fx.Node]:
    """What uses a value, and not only its size, shape or kind."""
    return [user for user in node.users if not _uses_form_only(user, node)]


def _uses_form_only(user: fx.Node, node: fx.Node) -> bool:
    if user.op not in ("call_function", "call_method"):
        return False
    if name_of_step(user) in _FORMED_LIKE:
        return user.args[0] is not node
    return tells_form_only(user.target, *user.args[1:2])


def name_of_step(node: fx.Node) -> str:
    """Name of the function or method that is called there."""
    return node.target if isinstance(node.target, str) else str(getattr(node.target, "__name__", node.target))


#: Methods that give a tensor the form of another.
_FORMED_LIKE = ("reshape_as", "view_as", "expand_as", "type_as")


def traced_flows(model: nn.Module) -> list[DataFlow]:
    """The data flow with all arguments of the model, and that without those which it does not need.

    Tracing runs the user's forward, which may raise anything: then the data flow is not known.
    """
    arguments = inspect.signature(model.forward).parameters.values()
    omitted = {one.name: one.default for one in arguments if one.default is not one.empty}
    ways = [None, omitted] if omitted else [None]
    return [DataFlow(trace(model, way), model) for way in ways]
