"""How a tensor was computed from parameters alone, so that it can be computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Self, final

from torch import Tensor, nn

from crossohm.torch.products.calls import Call, Form

#: Functions that take a part of a tensor, or its numbers in another order: which one is told by their arguments.
_TAKEN = ("__getitem__", "select", "narrow", "chunk", "split", "unsafe_chunk", "tensor_split", "unbind", "__iter__")
_TURNED = ("t", "T", "mT", "H", "mH", "adjoint", "transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis")
_PARTS = frozenset((*_TAKEN, *_TURNED, "flip", "roll"))
#: Attribute of modules: the parameters, by name, that a BatchNorm was folded into.
_FOLDED = "_crossohm_folded"


@final
@dataclass(eq=False)
class Leaf:
    """A parameter or buffer of a module.

    Attributes:
        owner: The module.
        key: Its name there.
    """

    owner: nn.Module
    key: str

    def value(self) -> Tensor:
        """As it is now."""
        found = self.owner._parameters.get(self.key)
        return self.owner._buffers[self.key] if found is None else found

    @property
    def is_parameter(self) -> bool:
        """False for a buffer."""
        return self.owner._parameters.get(self.key) is not None

    @property
    def batchnorm_folded(self) -> bool:
        """True if a BatchNorm was folded into it."""
        return self.key in vars(self.owner).get(_FOLDED, ())

    def mark_folded(self) -> None:
        """Remember that a BatchNorm was folded into it."""
        vars(self.owner)[_FOLDED] = {*vars(self.owner).get(_FOLDED, ()), self.key}

    def leaves(self) -> Iterator[Leaf]:
        """Itself."""
        yield self

    def moved(self, table: Mapping[int, nn.Module]) -> Self:
        """The same parameter where other modules, by the identity of the old ones, have taken the place of some."""
        return type(self)(table.get(id(self.owner), self.owner), self.key)


@final
@dataclass(eq=False)
class Derived:
    """What a function of torch returned.

    Attributes:
        function: The function.
        args: Its arguments; in place of tensors computed from parameters, how these were.
        kwargs: Its keyword arguments.
        pick: Where the tensor is in what it returned.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    pick: tuple[int, ...]

    def value(self) -> Tensor:
        """From the parameters as they are now; differentiable."""
        args, kwargs = _evaluated(self.args), _evaluated(self.kwargs)
        if changes_in_place(getattr(self.function, "__name__", "")):
            args = (args[0].clone(), *args[1:])
        found = self.function(*args, **kwargs)
        for index in self.pick:
            found = found[index]
        return found

    def leaves(self) -> Iterator[Leaf]:
        """The parameters and buffers it is computed from."""
        for one in _expressions((self.args, self.kwargs)):
            yield from one.leaves()

    def moved(self, table: Mapping[int, nn.Module]) -> Self:
        """The same where other modules have taken the place of some; see `Leaf.moved`."""
        args = replaced(self.args, lambda one: one.moved(table) if isinstance(one, Leaf | Derived) else one)
        kwargs = replaced(self.kwargs, lambda one: one.moved(table) if isinstance(one, Leaf | Derived) else one)
        return type(self)(self.function, args, kwargs, self.pick)


Expression = Leaf | Derived


def name_of(function: Any) -> str:
    """Name of a function of torch, or of a property of tensors."""
    name: str = function.__name__
    return function.__self__.__name__ if name == "__get__" else name


def plain_function(function: Any) -> Callable[..., Any]:
    """``function``, or for a property of tensors what reads it and can be copied."""
    return attrgetter(name_of(function)) if function.__name__ == "__get__" else function


def changes_in_place(name: str) -> bool:
    """True for functions of torch, by name, that change their first argument."""
    return (name.endswith("_") and not name.endswith("__")) or name in (
        "__iadd__",
        "__imul__",
        "__isub__",
        "__itruediv__",
    )


def replaced(value: Any, change: Callable[[Any], Any]) -> Any:
    """Nested arguments with each innermost value changed."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(replaced(item, change) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, change) for item in value)
    if isinstance(value, dict):
        return {key: replaced(item, change) for key, item in value.items()}
    return change(value)


def _evaluated(value: Any) -> Any:
    like: list[Tensor] = []

    def change(one: Any) -> Any:
        if not isinstance(one, Leaf | Derived):
            return one
        like.append(one.value())
        return like[-1]

    found = replaced(value, change)
    if not like:
        return found
    # Constants of the model's code do not move with its parameters.
    device = like[0].device
    return replaced(found, lambda one: one.to(device) if isinstance(one, Tensor) and one.device != device else one)


def _expressions(value: Any) -> Iterator[Expression]:
    found: list[Expression] = []
    replaced(value, lambda one: found.append(one) if isinstance(one, Leaf | Derived) else None)
    return iter(found)


def results_of(result: Any, pick: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """The tensors that a function returned, and where they are in nested tuples."""
    if isinstance(result, Tensor):
        yield pick, result
    elif isinstance(result, list | tuple):
        for index, item in enumerate(result):
            yield from results_of(item, (*pick, index))


# --- which matrix a tensor is, in a few words -------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Origin:
    """Which parameter a tensor is computed from, and which part of it.

    The words for the same tensor are the same in every pass, whatever else a model does in training.

    Attributes:
        leaf: Rank of the parameter, the most important one of those it is computed from.
        part: Which parts were taken, one after the other.
        entry: It is this entry along the first axis of the parameter, as it is.
        others: Ranks of the other parameters and buffers it is computed from.
    """

    leaf: int
    part: tuple[Any, ...] = ()
    entry: int | None = None
    others: frozenset[int] = frozenset()

    @property
    def leaves(self) -> frozenset[int]:
        """Ranks of all that it is computed from."""
        return self.others | {self.leaf}


#: Which arrays hold a kernel: rank and part of its parameter, and its form.
Key = tuple[int, tuple[Any, ...], Form]
#: A function that makes a tensor of one with a known origin and of others: its name, the origin, the shape it makes.
Step = tuple[str, tuple[Any, ...], tuple[int, ...]]


def key_of(origin: Origin, product: Call, parameter: Tensor | None) -> Key:
    """What the arrays are found by that hold the kernel of a product.

    Args:
        origin: Of the kernel.
        product: The product.
        parameter: The parameter, where the kernel is an entry of it.
    """
    matrices = product.matrices if parameter is None else product.matrices.of_stack(parameter.shape[0])
    return origin.leaf, origin.part, matrices


def apart(key: Key, origin: Origin) -> Key:
    """What finds the arrays of a kernel of this origin where another has the same ``key``: ``W`` and ``W + BA``."""
    leaf, part, matrices = key
    return leaf, (*part, ("with", *sorted(origin.others))), matrices


def step(name: str, before: Origin, result: Tensor) -> Step:
    """What a function, by name, did with a tensor of some origin."""
    return name, (before.leaf, before.part, before.entry), tuple(result.shape)


def origin_after(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    origins: Sequence[Origin],
    is_leaf: bool,
    pick: tuple[int, ...],
) -> Origin:
    """Where the result of a function comes from.

    Args:
        name: Of the function.
        args: Its arguments.
        kwargs: Its keyword arguments.
        origins: Of those arguments that have one, the most important one before the others.
        is_leaf: This one is a parameter itself.
        pick: Where the result is in what the function returned.
    """
    before = origins[0]
    others = frozenset[int]().union(*(one.leaves for one in origins)) - {before.leaf}
    part = before.part if before.entry is None else (*before.part, before.entry)
    if name not in _PARTS:
        return Origin(before.leaf, part, None, others)
    entry = _entry(name, args, kwargs, pick) if is_leaf else None
    if entry is not None:
        if entry < 0:
            entry += args[0].shape[0]
        return Origin(before.leaf, (), entry, others)
    words = (name, *map(_word, args[1:]), *((key, _word(value)) for key, value in sorted(kwargs.items())), *pick)
    return Origin(before.leaf, (*part, words), None, others)


def _entry(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], pick: tuple[int, ...]) -> int | None:
    """The index along the first axis, if that is what a function takes."""
    if name == "__getitem__":
        return number_of(args[1])
    if name == "select" and not kwargs:
        return number_of(args[2]) if args[1] == 0 else None
    if name in ("unbind", "__iter__") and not kwargs and (len(args) == 1 or args[1] == 0):
        return pick[0] if pick else None
    return None


def number_of(index: Any) -> int | None:
    """The number that an index is, also as a tensor; None if it is none."""
    if isinstance(index, Tensor):
        whole = index.ndim == 0 and not index.is_floating_point() and not index.is_complex()
        return None if not whole or str(index.dtype) == "torch.bool" else int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _word(value: Any) -> Any:
    if isinstance(value, Tensor):
        return number_of(value) if value.numel() == 1 and value.ndim == 0 else tuple(value.shape)
    if isinstance(value, slice):
        return ("slice", _word(value.start), _word(value.stop), _word(value.step))
    if isinstance(value, list | tuple):
        return tuple(map(_word, value))
    return value if isinstance(value, int | str) or value is None else str(value)
