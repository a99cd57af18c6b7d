"""Products of a module's own code are led to the arrays that hold their kernels.

While a module runs that has such products, or whose modules have, torch's functions are watched: what is computed from
the parameters in question is followed by a few words (`Origin`), and products with kernels that have arrays go there.
"""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, NamedTuple, final
from weakref import ref

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from crossohm.errors import UnsupportedError
from crossohm.layers.given import users_level
from crossohm.torch.arrays.witness import token
from crossohm.torch.layers.layer import refuse_recording
from crossohm.torch.products.calls import PRODUCTS, STEPWISE, call_of, in_steps, tensors_among
from crossohm.torch.products.derivation import (
    Key,
    Leaf,
    Origin,
    Step,
    apart,
    key_of,
    name_of,
    origin_after,
    results_of,
    step,
)
from crossohm.torch.products.known import READS, Unknown, is_repeatable, words_of
from crossohm.torch.products.layer import AnalogProduct, DigitalProduct
from crossohm.torch.tracing import leading, tracing_by, untraced

#: Attribute of modules: the products that are led to arrays while they run, of each conversion, the latest first.
_ROUTES = "_crossohm_products"
#: Calls of functions whose results are known at a time.
_MOST_CALLS = 1000


@final
@dataclass
class Routes:
    """The products that are led to arrays while a module runs.

    Attributes:
        leaves: The parameters and buffers the kernels are computed from, by their rank.
        steps: Functions, by name, that make a tensor of another shape of one with this origin and constants.
        table: By rank and part of a parameter, and form of the kernel: the arrays, or what stands in their place.
        told: Parts that have no arrays though others of their parameter have, and of which nothing is to be said: they
            were not asked for, or a warning has told of them.
        leaf_marks: What is known of the parameters, by their rank.
        marks: What is known of results, by the call that computes them from parameters alone.
    """

    leaves: dict[int, Leaf]
    steps: set[Step]
    table: dict[Key, AnalogProduct | DigitalProduct]
    told: set[Key] = field(default_factory=set)
    leaf_marks: dict[int, _Mark] = field(default_factory=dict)
    marks: dict[Hashable, tuple[tuple[tuple[int, ...], _Mark], ...]] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "leaf_marks": {}, "marks": {}}

    def leaf_mark(self, rank: int) -> _Mark:
        """What is known of a parameter; the same object in every pass."""
        mark = self.leaf_marks.get(rank)
        if mark is None:
            mark = self.leaf_marks[rank] = _Mark(Origin(rank), True, frozenset([rank]))
        return mark

    def remember(self, call: Hashable, results: tuple[tuple[tuple[int, ...], _Mark], ...]) -> None:
        """Keep what is known of the results of a call; if constants of calls change all the time, not for ever."""
        if len(self.marks) >= _MOST_CALLS:
            self.marks.clear()
        self.marks[call] = results

    def tell(self, key: Key, origin: Origin, function: str) -> None:
        """Warn once of a digital product with a part of a parameter other parts of which are on arrays.

        Args:
            key: What arrays would be found by.
            origin: Of the kernel.
            function: What computes the product.
        """
        others = [there for (rank, *_), there in self.table.items() if rank == key[0]]
        if not self.told.isdisjoint((key, apart(key, origin))) or not any(
            isinstance(there, AnalogProduct) for there in others
        ):
            return
        self.told.add(key)
        message = (
            f"a product ({function}) with {self.leaves[key[0]].key!r}, shape {key[2].shape}, is digital: its kernel "
            "was not in the example of the conversion. Convert with an example that shows it"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())


def lead(host: nn.Module, routes: Routes, methods: Iterable[str] = ()) -> None:
    """Lead products to arrays while ``host`` runs, and these methods of it, however they are called."""
    for name in methods:
        own = name == "forward" or not hasattr(nn.Module, name)
        if own and inspect.isfunction(getattr(type(host), name, None)) and name not in vars(host):
            vars(host)[name] = LedMethod(host, name)
    if _ROUTES not in vars(host):
        vars(host)[_ROUTES] = []
        host.register_forward_pre_hook(_begin, prepend=True)
        host.register_forward_hook(_end, always_call=True)
    vars(host)[_ROUTES].insert(0, routes)  # outside of the earlier ones, which knew more kernels apart


def unlead(model: nn.Module, kind: type[AnalogProduct | DigitalProduct]) -> None:
    """Undo `lead` in ``model`` and all its modules, and remove what products are led to, where it is of a kind."""
    for module in list(model.modules()):
        for key in [key for key, child in module._modules.items() if isinstance(child, kind)]:
            del module._modules[key]
        routes: list[Routes] = vars(module).get(_ROUTES, [])
        routes[:] = [one for one in routes if not all(isinstance(there, kind) for there in one.table.values())]
        if routes or _ROUTES not in vars(module):
            continue
        del vars(module)[_ROUTES]
        for name in [name for name, value in vars(module).items() if isinstance(value, LedMethod)]:
            del vars(module)[name]
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key in [key for key, hook in hooks.items() if hook in (_begin, _end)]:
                del hooks[key]
                module._forward_hooks_always_called.pop(key, None)


@final
@dataclass(frozen=True, eq=False)  # by identity: a mark that is found again stands for the same computation
class _Mark:
    """What is known of a tensor.

    Attributes:
        origin: Where it comes from.
        alone: It is computed from parameters alone for certain.
        sources: Ranks of these parameters, if the mark stands for numbers that nothing else has a part in; None: not.
    """

    origin: Origin
    alone: bool
    sources: frozenset[int] | None = None


class _Known(NamedTuple):
    """A tensor with a mark.

    Attributes:
        tensor: Whether it lives, and is the one that is asked for.
        mark: What is known of it.
        version: As torch counted its changes when it was marked; -1: it does not.
    """

    tensor: ref[Tensor]
    mark: _Mark
    version: int

    @classmethod
    def of(cls, tensor: Tensor, mark: _Mark) -> _Known:
        """A tensor that is marked now."""
        return cls(ref(tensor), mark, _version(tensor))


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


@final
class _Routing(TorchFunctionMode):
    """Leads the products of one pass of a module to arrays.

    Args:
        routes: The products.
        outside: What leads others of the same pass, around this one.
    """

    def __init__(self, routes: Routes, outside: Sequence[_Routing] = ()) -> None:
        super().__init__()
        self._routes = routes
        self._outside = outside
        self._values = {rank: leaf.value() for rank, leaf in routes.leaves.items()}
        #: By the identity of tensors.
        self._marks = {id(value): _Known.of(value, routes.leaf_mark(rank)) for rank, value in self._values.items()}
        self._leaves = frozenset(self._marks)
        self._tokens: dict[int, int] | None = {}
        self._gradient = torch.is_grad_enabled()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, on arrays if they hold the kernel; and follow the parameters through what was computed."""
        marks = self._marks_among((*args, *kwargs.values()) if kwargs else args)
        kwargs = kwargs or {}
        if not marks:
            return func(*args, **kwargs)
        name = name_of(func)
        if name in READS:
            return func(*args, **kwargs)
        if name in PRODUCTS:
            for tensor, mark in marks:
                found = self._through_arrays(func, args, kwargs, tensor, mark)
                if found is not None:
                    return found
        if name in STEPWISE:
            with self:
                found = in_steps(name, args, kwargs, self._is_kernel)
            if found is not None:
                return found
        return self._followed(func, name, args, kwargs, marks)

    def _mark(self, value: Any) -> _Mark | None:
        known = self._marks.get(id(value))
        return known.mark if known is not None and known.tensor() is value else None

    def _marks_among(self, values: Sequence[Any]) -> list[tuple[Tensor, _Mark]]:
        """What is known of the tensors among arguments, and in lists and tuples among them."""
        found = []
        for value in values:
            known = self._marks.get(id(value))
            if known is not None and known.tensor() is value:
                found.append((value, known.mark))
            elif isinstance(value, (list, tuple)):
                found += [(item, mark) for item in value if (mark := self._mark(item)) is not None]
        return found

    def _through_arrays(self, func: Any, args: Any, kwargs: Any, kernel: Tensor, mark: _Mark) -> Tensor | None:
        call, origin = call_of(name_of(func), args, kwargs, kernel), mark.origin
        if call is None:
            return None
        whole = None if origin.entry is None else self._values[origin.leaf]
        key = key_of(origin, call, whole)
        arrays = self._routes.table.get(key) or self._routes.table.get(apart(key, origin))
        if self._is_kernel(call.signal):
            return None
        if arrays is None:
            if mark.alone and not any(id(self._values[key[0]]) in other._leaves for other in self._outside):
                self._routes.tell(key, origin, name_of(func))
            return None
        if torch.is_grad_enabled() is not self._gradient:
            _refuse_recomputation(arrays.name if isinstance(arrays, AnalogProduct) else "")
        held = whole if whole is not None else kernel[call.index] if call.index else kernel
        numbers = None if held is not kernel else self._numbers(kernel, mark)
        return arrays(call, held, origin.entry, partial(func, *args, **kwargs), numbers)

    def _is_kernel(self, signal: Tensor) -> bool:
        """True for what is computed from parameters as well: kernels are computed by products, too."""
        mark = self._mark(signal)
        return mark is not None and mark.alone

    def _numbers(self, kernel: Tensor, mark: _Mark) -> Hashable:
        """The same in two passes only if a kernel with this mark has the same numbers; None if that is not known."""
        if self._tokens is None or not mark.sources or id(kernel) in self._leaves or self._is_changed(kernel):
            return None
        return mark, *(self._tokens[rank] for rank in sorted(mark.sources))

    def _is_changed(self, tensor: Tensor) -> bool:
        """True if it was changed unseen since it was marked: functions of TorchScript are not watched."""
        return self._marks[id(tensor)].version != _version(tensor)

    def _followed(self, func: Any, name: str, args: Any, kwargs: Any, marks: list[tuple[Tensor, _Mark]]) -> Any:
        """Compute, and mark the results."""
        call = self._call(func, name, args, kwargs, marks)
        known = None if call is None else self._routes.marks.get(call)
        result = func(*args, **kwargs) if call is None else _counted(func, args, kwargs)
        if known is None:
            known = self._results(name, args, kwargs, marks, result, call is not None)
            if call is not None:
                self._routes.remember(call, known)
        for pick, mark in known:
            found = result
            for index in pick:
                found = found[index]
            if id(found) not in self._leaves:
                self._marks[id(found)] = _Known.of(found, mark)
        return result

    def _call(self, func: Any, name: str, args: Any, kwargs: Any, marks: list[tuple[Tensor, _Mark]]) -> Hashable | None:
        """A call whose results have the same numbers wherever its words are the same; None: that is not known."""
        if self._tokens is None or all(mark.sources is None for _, mark in marks):
            return None
        if not is_repeatable(name, args, kwargs):
            self._tokens = None  # it may have changed what it was given
            return None
        if torch._C._is_any_autocast_enabled():  # which has a part in the numbers
            return None
        try:
            words = (func, *words_of(args, self._source))
            if kwargs:
                words += (*kwargs, *words_of(kwargs.values(), self._source))
        except Unknown:
            return None
        for rank in {rank for _, mark in marks for rank in mark.sources or ()} - self._tokens.keys():
            self._tokens[rank] = token(self._values[rank])  # before there are views, which may change it
        return words

    def _source(self, value: Tensor) -> Hashable:
        mark = self._mark(value)
        if mark is None or mark.sources is None or self._is_changed(value):
            raise Unknown
        return mark

    def _results(
        self, name: str, args: Any, kwargs: Any, marks: list[tuple[Tensor, _Mark]], result: Any, repeatable: bool
    ) -> tuple[tuple[tuple[int, ...], _Mark], ...]:
        marks = sorted(marks, key=lambda one: one[1].origin.leaf)
        (tensor, first), origins = marks[0], [mark.origin for _, mark in marks]
        alone = all(one.alone for _, one in marks) and len(marks) == len(tensors_among(args, kwargs))
        sources = frozenset().union(*(mark.sources or () for _, mark in marks)) if repeatable else None
        is_leaf = first is self._routes.leaf_mark(first.origin.leaf)
        found = []
        for pick, value in results_of(result):
            # What was met by other tensors is data, unless it looks like a kernel still.
            if alone or value.shape == tensor.shape or step(name, first.origin, value) in self._routes.steps:
                origin = origin_after(name, args, kwargs, origins, is_leaf, pick)
                found.append((pick, _Mark(origin, alone, sources)))
        return tuple(found)


def _counted(func: Any, args: Any, kwargs: Any) -> Any:
    """The results of a function, whose changes are counted even in `torch.inference_mode`."""
    if not torch.is_inference_mode_enabled():
        return func(*args, **kwargs)
    with torch._C._InferenceMode(False):
        torch._C._set_grad_enabled(False)
        return func(*args, **kwargs)


# --- the hooks: plain functions, so that models are copied and saved with them ----------------------------------------


class _Pass(NamedTuple):
    """A call of a module whose products are led to arrays.

    Attributes:
        host: The module.
        frame: The call.
        routings: What leads them, from the outermost.
        eager: What keeps compiled parts from running, which would not be watched; None: nothing does.
    """

    host: nn.Module
    frame: FrameType
    routings: list[_Routing]
    eager: Any

    def close(self) -> None:
        """End it."""
        for routing in reversed(self.routings):
            routing.__exit__(None, None, None)
        if self.eager is not None:
            self.eager.__exit__(None, None, None)


class _Running(threading.local):
    """What runs in a thread, each inside the one before."""

    not_led = False

    def __init__(self) -> None:
        self.passes: list[_Pass] = []


_running = _Running()


def _passes() -> list[_Pass]:
    found = _running.passes
    while found and not _is_running(found[-1].frame):  # left without a word, as by Ctrl-C
        found.pop().close()
    return found


def _is_running(frame: FrameType) -> bool:
    one: FrameType | None = sys._getframe(1)
    while one is not None and one is not frame:
        one = one.f_back
    return one is not None


def _call() -> FrameType:
    """The call of the module whose hook runs."""
    frame: Any = sys._getframe(1)
    while frame.f_code not in _CALLS:
        frame = frame.f_back
    return frame


@contextmanager
def not_led() -> Iterator[None]:
    """Products stay digital in the ``with`` block, which asks what a model does, and not for results."""
    _running.not_led = True
    try:
        yield
    finally:
        _running.not_led = False


@untraced
def _begin(host: nn.Module, args: Any) -> None:
    if _running.not_led:
        return
    if tracing_by(args):
        refuse_recording(f"{type(host).__name__} with products on arrays", args)
    passes, eager = _passes(), None
    if not passes and "torch._dynamo" in sys.modules:
        eager = torch.compiler.set_stance("force_eager")
        eager.__enter__()
    routings: list[_Routing] = []
    for routes in vars(host)[_ROUTES]:
        routings.append(_Routing(routes, tuple(routings)))
        routings[-1].__enter__()
    passes.append(_Pass(host, _call(), routings, eager))
    leading.depth = len(passes)


@untraced
def _end(host: nn.Module, args: Any, outputs: Any) -> None:
    passes = _passes()
    if passes and passes[-1].host is host:
        passes.pop().close()
        leading.depth = len(passes)


@final
class LedMethod:
    """A method of a module, in the place of that, which leads products to arrays when it is called past the module.

    Args:
        host: The module.
        name: Of the method.
    """

    def __init__(self, host: nn.Module, name: str) -> None:
        self._host = host
        self._name = name

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The method, whose signature this has."""
        method: Callable[..., Any] = getattr(type(self._host), self._name).__get__(self._host)
        return method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the method returns."""
        host, method = self._host, self.__wrapped__
        if any(one.host is host for one in _passes()):
            return method(*args, **kwargs)
        _begin(host, (*args, *kwargs.values()))
        try:
            return method(*args, **kwargs)
        finally:
            _end(host, args, None)


#: What may begin a pass.
_CALLS = (nn.Module._call_impl.__code__, LedMethod.__call__.__code__)


def _refuse_recomputation(name: str) -> None:
    """Refuse what backward would compute again past the arrays: what `torch.utils.checkpoint` runs that is no method.

    Raises:
        UnsupportedError: it is such a function.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not LedMethod.__call__.__code__:
        if frame.f_globals.get("__name__") == "torch.utils.checkpoint":
            raise UnsupportedError(
                f"{name!r} is used in a function that torch.utils.checkpoint computes again in backward, where the "
                "product would be digital: give checkpoint a method or a module that computes kernel and product"
            )
        frame = frame.f_back
