"""The data flow of one pass on real inputs, for models that cannot be traced, as the graph a trace would give.

All torch functions and all calls of leaf modules are watched. Values are followed by the identity of their tensors and
by torch's counters of changes in place, so that a change through a view is not taken for the value before it. What a
compiled operation does past torch's functions is seen where it reaches torch's dispatcher, and counts as a use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from crossohm.torch.conversion.dataflow import evaluating, is_step, name_of_step, tells_form_only
from crossohm.torch.conversion.paths import AGAIN, SHAPE, again, moves_only
from crossohm.torch.conversion.trial import called_with, tensors_in


def observed(
    model: nn.Module, run: Callable[[nn.Module], object], is_leaf: Callable[[nn.Module, str], bool]
) -> fx.Graph:
    """What happens while ``run(model)`` works, in eval mode and without gradients; torch's generator stays as it was.

    Args:
        model: The model.
        run: Calls it.
        is_leaf: Whether a module, of that name, is one step of the graph.
    """
    observer = _Observer(model)
    leaves = {id(part): (name, part) for name, part in model.named_modules() if name and is_leaf(part, name)}
    with ExitStack() as stack:
        for block in (torch.no_grad(), evaluating(model), torch.random.fork_rng(devices=[])):
            stack.enter_context(block)
        if "torch._dynamo" in sys.modules:  # compiled parts would not be seen
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for name, part in leaves.values():
            stack.callback(part.register_forward_pre_hook(observer.enter, prepend=True, with_kwargs=True).remove)
            leave = partial(observer.leave, name)
            stack.callback(part.register_forward_hook(leave, with_kwargs=True, always_call=True).remove)
        stack.callback(model.register_forward_pre_hook(observer.begin, prepend=True, with_kwargs=True).remove)
        stack.callback(model.register_forward_hook(observer.end).remove)
        stack.enter_context(_Unseen(observer))
        stack.enter_context(observer)
        run(model)
    return observer.graph


def observed_on(model: nn.Module, example: Any) -> fx.Graph:
    """The steps that traces know too, while ``model`` answers an example; see `observed` and `try_out`."""
    return observed(model, lambda seen: called_with(seen, example), is_step)


def hidden_use(value: object) -> object:
    """Stands for operations on a value that no torch function shows."""
    return value


def changed_in_place(value: object) -> object:
    """Stands for a value that was changed in place through another tensor."""
    return value


@final
class _Observer(TorchFunctionMode):
    """Writes down the graph of a pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.graph = fx.Graph()
        self.inside = 1  # calls of leaf modules and of torch functions; what calls the model is no part of it
        self._known: Any = WeakIdKeyDictionary()  # node and count of changes, by tensor
        self._given: list[list[fx.Node]] = []
        self._stored: dict[int, list[str]] = {}
        for name, value in (*model.named_parameters(remove_duplicate=False), *model.named_buffers()):
            self._stored.setdefault(id(value), []).append(name)

    def begin(self, model: nn.Module, args: Any, kwargs: Any) -> None:
        with torch._C.DisableTorchFunction():
            for number, tensor in enumerate(tensors_in((args, kwargs))):
                self._bind([tensor], self.graph.create_node("placeholder", f"input_{number}"))
        self.inside -= 1

    def end(self, model: nn.Module, args: Any, outputs: Any) -> None:
        self.inside += 1
        with torch._C.DisableTorchFunction():
            self.graph.create_node("output", "output", (tuple(self.sources(outputs)),))

    def enter(self, leaf: nn.Module, args: Any, kwargs: Any) -> None:
        if not self.inside:
            with torch._C.DisableTorchFunction():
                self._given.append(self.sources((args, kwargs)))
        self.inside += 1

    def leave(self, name: str, leaf: nn.Module, args: Any, kwargs: Any, outputs: Any) -> None:
        self.inside -= 1
        if not self.inside:
            with torch._C.DisableTorchFunction():
                node = self.graph.create_node("call_module", name, tuple(self._given.pop()))
                self._note(node, outputs)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, and write down what was computed from what."""
        kwargs = kwargs or {}
        if self.inside or tells_form_only(func):
            return func(*args, **kwargs)
        given = self.sources((args, kwargs))
        with self.within():
            result = func(*args, **kwargs)
        if given:
            node = self._step(func, given)
            self._note(node, result)
            if moves_only(name_of_step(node)) and args and not list(tensors_in(kwargs)):
                node.meta[AGAIN] = again(func, args, kwargs)
        return result

    @contextmanager
    def within(self) -> Iterator[None]:
        """Inside the block, what is done belongs to a step that is known."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def sources(self, values: Any) -> list[fx.Node]:
        """The nodes that tensors come from; tensors of unknown origin have none."""
        return [node for tensor in tensors_in(values) for node in self._nodes(tensor)]

    def _nodes(self, tensor: Tensor) -> list[fx.Node]:
        if id(tensor) in self._stored:
            return [self.graph.create_node("get_attr", name) for name in self._stored[id(tensor)]]
        if tensor not in self._known:
            return []
        node, changes = self._known[tensor]
        if changes != tensor._version:
            node = self.graph.create_node("call_function", changed_in_place, (node,))
            self._bind([tensor], node)
        return [node]

    def _note(self, node: fx.Node, result: Any) -> None:
        """Note what a step has returned."""
        tensors = list(tensors_in(result))
        if len(tensors) == 1:
            node.meta[SHAPE] = tuple(tensors[0].shape)
        self._bind(tensors, node)

    def _bind(self, tensors: Any, node: fx.Node) -> None:
        for tensor in tensors:
            if id(tensor) not in self._stored and not tensor.is_inference():  # torch counts no changes of those
                self._known[tensor] = (node, tensor._version)

    def _step(self, func: Any, given: list[fx.Node]) -> fx.Node:
        """A function as fx writes it: methods of tensors by their name."""
        name = getattr(func, "__name__", "")
        if getattr(Tensor, name, None) is func:
            return self.graph.create_node("call_method", name, tuple(given))
        return self.graph.create_node("call_function", func, tuple(given))


@final
class _Unseen(TorchDispatchMode):
    """Notes what is done with known values in no step that the observer saw."""

    def __init__(self, observer: _Observer) -> None:
        super().__init__()
        self._observer = observer

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        observer, kwargs = self._observer, kwargs or {}
        if not observer.inside:
            given = observer.sources((args, kwargs))
            if given:
                observer.graph.create_node("call_function", hidden_use, tuple(given))
        return func(*args, **kwargs)
