"""Products of a module's own code are led to the arrays that hold their kernels.

While a module runs that has such products, or whose modules have, torch's functions are watched: what is computed from
the parameters in question is followed by a few words (`Origin`), and products with kernels that have arrays go there.
"""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from crossohm.errors import UnsupportedError
from crossohm.layers.given import users_level
from crossohm.torch.layers.layer import refuse_recording
from crossohm.torch.products.calls import PRODUCTS, STEPWISE, call_of, in_steps, tensors_among
from crossohm.torch.products.derivation import (
    Key,
    Leaf,
    Origin,
    Step,
    key_of,
    name_of,
    origin_after,
    results_of,
    step,
)
from crossohm.torch.products.layer import AnalogProduct, DigitalProduct
from crossohm.torch.tracing import leading, untraced

#: Attribute of modules: the products that are led to arrays while they run.
_ROUTES = "_crossohm_products"


@final
@dataclass
class Routes:
    """The products that are led to arrays while a module runs.

    Attributes:
        leaves: The parameters and buffers the kernels are computed from, by their rank.
        steps: Functions, by name, that make a tensor of another shape of one with this origin and constants.
        table: By rank and part of a parameter, and form of the kernel: the arrays, or what stands in their place.
        told: Parts that have no arrays though others of their parameter have; a warning has told of them.
    """

    leaves: dict[int, Leaf]
    steps: set[Step]
    table: dict[Key, AnalogProduct | DigitalProduct]
    told: set[Key] = field(default_factory=set)

    def tell(self, key: Key, function: str) -> None:
        """Warn once of a digital product with a part of a parameter other parts of which are on arrays.

        Args:
            key: What arrays would be found by.
            function: What computes the product.
        """
        others = [there for (rank, *_), there in self.table.items() if rank == key[0]]
        if key in self.told or not any(isinstance(there, AnalogProduct) for there in others):
            return
        self.told.add(key)
        message = (
            f"a product ({function}) with {self.leaves[key[0]].key!r}, shape {key[2].shape}, is digital: its kernel "
            "was not in the example of the conversion. Convert with an example that shows it"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())


def lead(host: nn.Module, routes: Routes, methods: Iterable[str] = ()) -> None:
    """Lead products to arrays while ``host`` runs, and these methods of it, however they are called."""
    vars(host)[_ROUTES] = routes
    for name in methods:
        own = name == "forward" or not hasattr(nn.Module, name)
        if own and inspect.isfunction(getattr(type(host), name, None)) and name not in vars(host):
            vars(host)[name] = LedMethod(host, name)
    host.register_forward_pre_hook(_begin, prepend=True)
    host.register_forward_hook(_end, always_call=True)


def unlead(model: nn.Module, kind: type[AnalogProduct | DigitalProduct]) -> None:
    """Undo `lead` in ``model`` and all its modules, and remove what products are led to, where it is of a kind."""
    for module in list(model.modules()):
        for key in [key for key, child in module._modules.items() if isinstance(child, kind)]:
            del module._modules[key]
        routes = vars(module).get(_ROUTES)
        if routes is None or not all(isinstance(there, kind) for there in routes.table.values()):
            continue
        del vars(module)[_ROUTES]
        for name in [name for name, value in vars(module).items() if isinstance(value, LedMethod)]:
            del vars(module)[name]
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key in [key for key, hook in hooks.items() if hook in (_begin, _end)]:
                del hooks[key]
                module._forward_hooks_always_called.pop(key, None)


class _Mark(NamedTuple):
    """What is known of a tensor: its origin, and whether it is computed from parameters alone for certain."""

    origin: Origin
    alone: bool


@final
class _Routing(TorchFunctionMode):
    """Leads the products of one pass of a module to arrays."""

    def __init__(self, routes: Routes, frame: FrameType) -> None:
        super().__init__()
        self._routes = routes
        self._values = {rank: leaf.value() for rank, leaf in routes.leaves.items()}
        self._leaves = {id(value): _Mark(Origin(rank), True) for rank, value in self._values.items()}
        self._marks: Any = WeakIdKeyDictionary()
        self._follows = False
        self.frame = frame
        self._gradient = torch.is_grad_enabled()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, on arrays if they hold the kernel; and follow the parameters through what was computed."""
        kwargs = kwargs or {}
        tensors = tensors_among(args, kwargs)
        marks = [(tensor, mark) for tensor in tensors if (mark := self._mark(tensor)) is not None]
        if not marks:
            return func(*args, **kwargs)
        name = name_of(func)
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
        result = func(*args, **kwargs)
        self._follow(name, args, kwargs, marks, len(tensors), result)
        return result

    def _mark(self, tensor: Tensor) -> _Mark | None:
        leaf = self._leaves.get(id(tensor))
        return leaf if leaf is not None or not self._follows else self._marks.get(tensor)

    def _through_arrays(self, func: Any, args: Any, kwargs: Any, kernel: Tensor, mark: _Mark) -> Tensor | None:
        call, origin = call_of(name_of(func), args, kwargs, kernel), mark.origin
        if call is None:
            return None
        whole = None if origin.entry is None else self._values[origin.leaf]
        key = key_of(origin, call, whole)
        arrays = self._routes.table.get(key)
        if self._is_kernel(call.signal):
            return None
        if arrays is None:
            if mark.alone:
                self._routes.tell(key, name_of(func))
            return None
        if torch.is_grad_enabled() is not self._gradient:
            _refuse_recomputation(arrays.name if isinstance(arrays, AnalogProduct) else "")
        held = whole if whole is not None else kernel[call.index] if call.index else kernel
        return arrays(call, held, origin.entry, partial(func, *args, **kwargs))

    def _is_kernel(self, signal: Tensor) -> bool:
        """True for what is computed from parameters as well: kernels are computed by products, too."""
        mark = self._mark(signal)
        return mark is not None and mark.alone

    def _follow(
        self, name: str, args: Any, kwargs: Any, marks: list[tuple[Tensor, _Mark]], count: int, result: Any
    ) -> None:
        tensor, mark = min(marks, key=lambda one: one[1].origin.leaf)
        alone = len(marks) == count and all(one.alone for _, one in marks)
        for pick, found in results_of(result):
            # What was met by other tensors is data, unless it looks like a kernel still.
            if alone or found.shape == tensor.shape or step(name, mark.origin, found) in self._routes.steps:
                origin = origin_after(name, args, kwargs, mark.origin, id(tensor) in self._leaves, pick)
                self._marks[found] = _Mark(origin, alone)
                self._follows = True


# --- the hooks: plain functions, so that models are copied and saved with them ----------------------------------------

#: What runs in a thread, each inside the one before.
_running = threading.local()


def _passes() -> list[tuple[nn.Module, ExitStack, FrameType]]:
    found: list[tuple[nn.Module, ExitStack, FrameType]] = _running.__dict__.setdefault("passes", [])
    while found and not _is_running(found[-1][2]):  # left without a word, as by Ctrl-C
        found.pop()[1].close()
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
    if getattr(_running, "not_led", False):
        return
    refuse_recording(f"{type(host).__name__} with products on arrays", args)
    passes, blocks, frame = _passes(), ExitStack(), _call()
    if "torch._dynamo" in sys.modules:  # compiled parts would not be watched
        blocks.enter_context(torch.compiler.set_stance("force_eager"))
    blocks.enter_context(_Routing(vars(host)[_ROUTES], frame))
    passes.append((host, blocks, frame))
    leading.depth = len(passes)


@untraced
def _end(host: nn.Module, args: Any, outputs: Any) -> None:
    passes = _passes()
    if passes and passes[-1][0] is host:
        passes.pop()[1].close()
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
        if any(one[0] is host for one in _passes()):
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
