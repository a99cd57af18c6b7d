"""Calls of torch's product functions, seen as a signal that meets a matrix or a stack of matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from math import prod
from string import ascii_letters
from typing import Any, NamedTuple, final

import torch
from torch import Tensor

from crossohm.chain import dense_map
from crossohm.layers.layout import Layout, Placement, View
from crossohm.layers.maps.einsum import ProductEquation
from crossohm.layers.product import DifferentiableContraction
from crossohm.torch.products.convolutions import CONVOLUTIONS, ConvolutionCall, Kernels, convolution_of

#: How vectors ``(vectors, inputs)`` meet one matrix of a stack.
Multiply = Callable[[int, Tensor, DifferentiableContraction], Tensor]


@final
@dataclass(frozen=True)
class Matrices:
    """What the kernel of a product is: a matrix, or a stack of them, whatever its signal.

    Attributes:
        shape: Of the kernel.
        stack: Axes of the kernel every index of which has a matrix of its own.
        rows: Its axes that the result has, in the order of the result.
        columns: Its axes that are summed over, in the order of the signal.
    """

    shape: tuple[int, ...]
    stack: tuple[int, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def is_stack(self) -> bool:
        """True if there are several matrices."""
        return bool(self.stack)

    @property
    def count(self) -> int:
        """Matrices in the stack."""
        return prod(self.shape[axis] for axis in self.stack)

    def of_stack(self, count: int) -> Matrices:
        """A stack of as many such matrices, one behind the other along a first axis."""
        stack, rows, columns = (tuple(axis + 1 for axis in axes) for axes in (self.stack, self.rows, self.columns))
        return Matrices((count, *self.shape), (0, *stack), rows, columns)

    def layouts(self, parameter: str, grouping: str) -> list[Layout]:
        """Where the kernel, called ``parameter``, lies in each matrix; it has no groups that could be stored apart."""
        lead = len(self.stack) + len(self.rows)
        view = View.of(self.shape, (*self.stack, *self.rows, *self.columns), lead)
        height, inputs = view.size[0] // self.count, view.size[1]
        place = (slice(0, height), slice(0, inputs))
        parts = (slice(index * height, (index + 1) * height) for index in range(self.count))
        return [Layout((height, inputs), (Placement(parameter, view, part, *place),)) for part in parts]


@final
@dataclass(frozen=True)
class Product:
    """One call of a function that multiplies.

    Attributes:
        inputs: A letter for each axis of the signal.
        kernel: One for each axis of the kernel.
        outputs: One for each axis of the result.
        signal: What meets the kernel.
        shape: Of the kernel.
        index: What takes this kernel from the operand, in which it is repeated; empty: nothing.
        finish: What the function does with the product: adds, scales.
    """

    inputs: str
    kernel: str
    outputs: str
    signal: Tensor
    shape: tuple[int, ...]
    index: tuple[Any, ...]
    finish: Callable[[Tensor], Tensor]

    @property
    def matrices(self) -> Matrices:
        """The kernel as matrices."""
        return _matrices_of(self.inputs, self.kernel, self.outputs, self.shape)

    @property
    def multiplications(self) -> int:
        """Of numbers."""
        sizes = dict(zip(self.inputs, self.signal.shape, strict=True)) | dict(zip(self.kernel, self.shape, strict=True))
        return prod(sizes.values())

    @property
    def _is_dense(self) -> bool:
        """True for one matrix that meets the last axis of the signal, as in most products."""
        summed = self.inputs[-1]
        return self.outputs == self.inputs[:-1] + self.kernel.replace(summed, "") and len(self.kernel) == 2

    def through(self, multiply: Multiply, grouping: str, ignores_zeros: bool) -> Tensor:
        """The result, with products of vectors and matrices as ``multiply`` computes them, whatever the arrays are."""
        if self._is_dense:
            *positions, width = self.signal.shape
            x = self.signal if len(positions) == 1 else self.signal.reshape(prod(positions), width)
            y = multiply(0, x, dense_map(width))
            return self.finish(y if len(positions) == 1 else y.reshape(*positions, y.shape[1]))
        stack = [self.kernel[axis] for axis in self.matrices.stack]
        left = {ord(axis): None for axis in stack}
        equation = ProductEquation(*(axes.translate(left) for axes in (self.inputs, self.kernel, self.outputs)))
        kernel = tuple(size for axis, size in zip(self.kernel, self.shape, strict=True) if axis not in stack)
        sizes = [self.shape[axis] for axis in self.matrices.stack]
        signal = self.signal.movedim([self.inputs.index(axis) for axis in stack], list(range(len(stack))))
        found = []
        for index, entry in enumerate(product(*map(range, sizes))):
            x = signal[entry]
            vectors = equation.vectors(x)
            y = multiply(index, vectors, dense_map(vectors.shape[1]))
            found.append(equation.outputs_of(y, x.shape, kernel))
        if not stack:
            return self.finish(found[0])
        joined = torch.stack(found).unflatten(0, sizes)
        behind = [self.outputs.index(axis) for axis in stack]
        return self.finish(joined.movedim(list(range(len(stack))), behind))


@final
@dataclass(frozen=True)
class GroupedProduct:
    """Runs of vectors each of which meets one matrix of a stack.

    Attributes:
        matrices: The stack ``(matrices, inputs, outputs)``.
        signal: Vectors ``(vectors, inputs)``.
        ends: Where the run of each matrix ends.
        finish: What follows the product.
        index: What takes this kernel from the operand: nothing.
    """

    matrices: Matrices
    signal: Tensor
    ends: Tensor
    finish: Callable[[Tensor], Tensor]
    index: tuple[Any, ...] = ()

    @property
    def multiplications(self) -> int:
        """Of numbers."""
        return self.signal.numel() * self.matrices.shape[2]

    def through(self, multiply: Multiply, grouping: str, ignores_zeros: bool) -> Tensor:
        """The result, with products of vectors and matrices as ``multiply`` computes them, whatever the arrays are."""
        ends = self.ends.tolist()
        runs = [(index, self.signal[start:end]) for index, (start, end) in enumerate(pairwise([0, *ends]))]
        found = [multiply(index, x, dense_map(x.shape[1])) for index, x in runs if len(x)]
        rest = self.signal.new_zeros(len(self.signal) - ends[-1], self.matrices.shape[2])  # vectors of no matrix
        return self.finish(torch.cat([*found, rest]))


def _grouped_product(
    mat_a: Tensor, mat_b: Tensor, offs: Any = None, bias: Any = None, out_dtype: Any = None
) -> GroupedProduct | None:
    """As torch's ``grouped_mm`` takes it; None if its matrices are no stack, or something is done to the result."""
    if mat_a.ndim != 2 or mat_b.ndim != 3 or offs is None or bias is not None or out_dtype is not None:
        return None
    return GroupedProduct(Matrices(tuple(mat_b.shape), (0,), (2,), (1,)), mat_a, offs, _same)


#: A product, products of groups, or a convolution; and what its kernel is.
Call = Product | GroupedProduct | ConvolutionCall
Form = Matrices | Kernels


def call_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], kernel: Tensor) -> Call | None:
    """The product or convolution that a function computes with a kernel; None if it is none that arrays can compute.

    Args:
        name: Of the function.
        args: Its arguments.
        kwargs: Its keyword arguments.
        kernel: One of its operands.
    """
    if name in CONVOLUTIONS:
        return convolution_of(name, args, kwargs, kernel)
    if name in _GROUPED:
        return _grouped_product(*args, **kwargs) if args[1] is kernel else None
    reader = _READERS.get(name)
    if reader is None or kwargs.get("out") is not None:
        return None
    bound = _bound(reader[0], args, kwargs)
    if bound is None:
        return None
    operands, axes, finish = reader[1](**bound)
    index = next((index for index, operand in enumerate(operands) if operand is kernel), None)
    if index is None or not isinstance(operands[1 - index], Tensor):
        return None
    return _arranged(operands[1 - index], axes[1 - index], kernel, axes[index], axes[2], finish)


def multiplications_of(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], kernels: Sequence[Tensor]) -> int:
    """How many numbers a function multiplies with kernels; of functions of several products, to a good guess.

    Args:
        name: Of the function.
        args: Its arguments.
        kwargs: Its keyword arguments.
        kernels: Its operands that are computed from parameters.
    """
    for kernel in kernels:
        call = call_of(name, args, kwargs, kernel)
        if call is not None:
            return call.multiplications
    signal = next((value for value in tensors_among(args, kwargs) if all(value is not one for one in kernels)), None)
    if signal is None or not signal.ndim:
        return 0
    return signal.numel() // max(1, signal.shape[-1]) * sum(kernel.numel() for kernel in kernels if kernel.ndim > 1)


def in_steps(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], is_kernel: Callable[[Tensor], bool]
) -> Tensor | None:
    """What a function of many operands computes, as products of two; None if it is no such function.

    Products begin with the first operand that is data, so that every kernel by itself meets data.

    Args:
        name: Of the function.
        args: Its arguments.
        kwargs: Its keyword arguments.
        is_kernel: Whether an operand is computed from parameters alone.
    """
    if name not in STEPWISE or kwargs:
        return None
    listed = isinstance(args[-1], list | tuple)
    if name == "einsum":
        return _einsum_in_steps(args[0], args[1] if listed else args[1:], is_kernel)
    operands = args[0] if listed else args
    start = next((index for index, operand in enumerate(operands) if not is_kernel(operand)), 0)
    found: Tensor = operands[start]
    for right in operands[start + 1 :]:
        found = found @ right
    for left in reversed(operands[:start]):
        found = left @ found
    return found


def _einsum_in_steps(equation: Any, operands: Sequence[Tensor], is_kernel: Callable[[Tensor], bool]) -> Tensor | None:
    """Each operand meets the product of those before it; None: the equation has two, or axes without or of one name."""
    if not isinstance(equation, str) or len(operands) < 3 or "." in equation:
        return None
    parts, outputs = _parsed(equation)
    if any(len(set(part)) < len(part) for part in parts):
        return None
    left = list(zip(parts, operands, strict=True))
    axes, found = left.pop(next((index for index, operand in enumerate(operands) if not is_kernel(operand)), 0))
    while left:
        more, other = left.pop(next((index for index, (part, _) in enumerate(left) if set(part) & set(axes)), 0))
        wanted = set(outputs).union(*(part for part, _ in left))
        kept = "".join(axis for axis in dict.fromkeys(axes + more) if axis in wanted) if left else outputs
        axes, found = kept, torch.einsum(f"{axes},{more}->{kept}", found, other)
    return found


def tensors_among(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """The tensors among arguments, and in lists and tuples among them."""
    found: list[Tensor] = []
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += (item for item in value if isinstance(item, Tensor))
    return found


def _bound(names: tuple[str, ...], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arguments by the names that our readers have for them."""
    if "*" in names[-1]:
        return {names[0]: args[0], "operands": args[1:]} if not kwargs else None
    found = dict(zip(names, args, strict=False))
    if not kwargs:
        return found
    found |= {_ALIASES.get(key, key): value for key, value in kwargs.items()}
    found.pop("out", None)
    return found if found.keys() <= set(names) else None


def _arranged(
    signal: Tensor, inputs: str, kernel: Tensor, own: str, outputs: str, finish: Callable[[Tensor], Tensor]
) -> Product | None:
    """The product without axes of size one along which the other operand is repeated; None if it is none."""
    strides = kernel.stride()
    found = _arrangement(inputs, signal.shape, own, kernel.shape, strides if 0 in strides else (), outputs)
    if found is None:
        return None
    return Product(found.inputs, found.kernel, outputs, _taken(signal, found.once), found.shape, found.repeated, finish)


class _Arrangement(NamedTuple):
    """What is left of a product without axes along which an operand is repeated.

    Attributes:
        inputs: Axes of the signal.
        once: What takes them from the operand; empty: nothing.
        kernel: Axes of the kernel.
        repeated: What takes them from the operand; empty: nothing.
        shape: Of the kernel.
    """

    inputs: str
    once: tuple[Any, ...]
    kernel: str
    repeated: tuple[Any, ...]
    shape: tuple[int, ...]


@lru_cache(maxsize=4096)  # asked for in every product
def _arrangement(
    inputs: str, signal: tuple[int, ...], own: str, kernel: tuple[int, ...], strides: tuple[int, ...], outputs: str
) -> _Arrangement | None:
    """How a signal and a kernel of these shapes, and strides if one of them is zero, meet; None if they do not."""
    sizes = dict(zip(own, kernel, strict=True))
    once = {axis for axis, size in zip(inputs, signal, strict=True) if size == 1 and sizes.get(axis, 1) != 1}
    taken, inputs = _index(inputs, once), _left(inputs, once)
    shared = set(inputs) & set(own) & set(outputs)
    places = {axis: own.index(axis) for axis in shared}
    repeated = {axis for axis, at in places.items() if kernel[at] == 1 or (strides and not strides[at])}
    index = _index(own, repeated)
    shape = tuple(size for axis, size in zip(own, kernel, strict=True) if axis not in repeated)
    own = _left(own, repeated)
    summed = (set(inputs) & set(own)) - set(outputs)
    lost = (set(inputs) ^ set(own)) - set(outputs)
    twice = any(len(set(axes)) < len(axes) for axes in (inputs, own, outputs))
    if lost or twice or not summed or not set(outputs) <= set(inputs) | set(own):
        return None
    return _Arrangement(inputs, taken, own, index, shape)


@lru_cache(maxsize=4096)  # asked for in every product
def _matrices_of(inputs: str, kernel: str, outputs: str, shape: tuple[int, ...]) -> Matrices:
    stack = tuple(axis for axis in kernel if axis in inputs and axis in outputs)
    rows = (axis for axis in outputs if axis in kernel and axis not in stack)
    columns = (axis for axis in inputs if axis in kernel and axis not in stack)
    return Matrices(shape, *(tuple(map(kernel.index, axes)) for axes in (stack, rows, columns)))


def _index(axes: str, dropped: set[str]) -> tuple[Any, ...]:
    return tuple(0 if axis in dropped else slice(None) for axis in axes) if dropped else ()


def _left(axes: str, dropped: set[str]) -> str:
    return "".join(axis for axis in axes if axis not in dropped)


def _taken(value: Tensor, index: tuple[Any, ...]) -> Tensor:
    return value[index] if index else value


# --- what each function computes: operands, letters of their axes and of the result, and what follows ----------------

_Reading = tuple[tuple[Any, Any], tuple[str, str, str], Callable[[Tensor], Tensor]]


def _same(y: Tensor) -> Tensor:
    return y


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> _Reading:
    positions, row = ascii_letters[: input.ndim - 1], "Z" * (weight.ndim - 1)
    finish = _same if bias is None else lambda y: y + bias
    return (input, weight), (positions + "Y", row + "Y", positions + row), finish


def _matmul(left: Tensor, right: Tensor) -> _Reading:
    """Vectors and matrices are stacked along the axes in front of their last two."""
    rows, columns = "X" * (left.ndim > 1), "Z" * (right.ndim > 1)
    more = max(left.ndim, right.ndim, 2) - 2
    stack = ascii_letters[:more]
    first, second = stack[more - max(0, left.ndim - 2) :], stack[more - max(0, right.ndim - 2) :]
    axes = (first + rows + "Y", second + ("Y" + columns), stack + rows + columns)
    return (left, right), axes, _same


def _inner(left: Tensor, right: Tensor) -> _Reading:
    first, second = ascii_letters[: left.ndim - 1], ascii_letters[26 : 25 + right.ndim]
    return (left, right), (first + "y", second + "y", first + second), _same


def _tensordot(left: Tensor, right: Tensor, dims: Any = 2) -> _Reading:
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        dims = (range(left.ndim - dims, left.ndim), range(dims))
    letters = iter(ascii_letters)
    first, second = ([next(letters) for _ in range(operand.ndim)] for operand in (left, right))
    for one, other in zip(*dims, strict=True):
        second[other] = first[one]
    outputs = [axis for axis in first if axis not in second] + [axis for axis in second if axis not in first]
    return (left, right), ("".join(first), "".join(second), "".join(outputs)), _same


def _einsum(equation: Any, operands: tuple[Any, ...]) -> _Reading:
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if not isinstance(equation, str) or len(operands) != 2:
        return (None, None), ("", "", ""), _same
    parts, outputs = _parsed(equation)
    free = [axis for axis in ascii_letters if axis not in equation]
    more = [operand.ndim - len(part) + 3 if "..." in part else 0 for part, operand in zip(parts, operands, strict=True)]
    elided = free[: max(more)]
    named = [part.replace("...", "".join(elided[len(elided) - n :])) for part, n in zip(parts, more, strict=True)]
    return (operands[0], operands[1]), (named[0], named[1], outputs.replace("...", "".join(elided))), _same


def _parsed(equation: str) -> tuple[list[str], str]:
    """The axes of the operands of an equation, and of its result."""
    given, arrow, outputs = equation.replace(" ", "").partition("->")
    if not arrow:
        single = sorted(axis for axis in set(given) - set(",.") if given.count(axis) == 1)
        outputs = "..." * ("..." in given) + "".join(single)
    return given.split(","), outputs


def _add(reading: _Reading, input: Tensor, beta: Any, alpha: Any) -> _Reading:
    operands, axes, _ = reading

    def finish(y: Tensor) -> Tensor:
        y = y if alpha == 1 else alpha * y
        return y if beta == 0 else y + (input if beta == 1 else beta * input)

    return operands, axes, finish


def _addmm(input: Tensor, left: Tensor, right: Tensor, beta: Any = 1, alpha: Any = 1) -> _Reading:
    return _add(_matmul(left, right), input, beta, alpha)


def _addbmm(input: Tensor, left: Tensor, right: Tensor, beta: Any = 1, alpha: Any = 1) -> _Reading:
    return _add(((left, right), ("abc", "acd", "bd"), _same), input, beta, alpha)


def _written(reader: Callable[..., _Reading]) -> Callable[..., _Reading]:
    """What reads the function of the same name that changes its input."""

    def read(input: Tensor, *args: Any, **kwargs: Any) -> _Reading:
        operands, axes, finish = reader(input, *args, **kwargs)
        return operands, axes, lambda y: input.copy_(finish(y))

    return read


def _reversed(right: Tensor, left: Tensor) -> _Reading:
    return _matmul(left, right)


#: Names of the function for runs of vectors.
_GROUPED = ("grouped_mm", "_grouped_mm")
#: Names of keyword arguments, and what readers call them.
_ALIASES = {
    **dict.fromkeys(("mat", "mat1", "batch1", "self", "tensor", "a"), "left"),
    **dict.fromkeys(("mat2", "batch2", "vec", "vec2", "other", "b"), "right"),
}
_PAIR, _SUM = ("left", "right"), ("input", "left", "right", "beta", "alpha")
#: By name of a function: its arguments, and what reads them.
_READERS: dict[str, tuple[tuple[str, ...], Callable[..., _Reading]]] = {
    "linear": (("input", "weight", "bias"), _linear),
    **dict.fromkeys(("matmul", "__matmul__", "linalg_matmul", "mm", "bmm", "mv", "dot"), (_PAIR, _matmul)),
    "__rmatmul__": (("right", "left"), _reversed),
    "inner": (_PAIR, _inner),
    "tensordot": (("left", "right", "dims"), _tensordot),
    "einsum": (("equation", "*operands"), _einsum),
    **dict.fromkeys(("addmm", "addmv", "baddbmm"), (_SUM, _addmm)),
    **dict.fromkeys(("addmm_", "addmv_", "baddbmm_"), (_SUM, _written(_addmm))),
    "addbmm": (_SUM, _addbmm),
    "addbmm_": (_SUM, _written(_addbmm)),
}
#: Names of functions of many operands, see `in_steps`.
STEPWISE = ("einsum", "linalg_multi_dot", "chain_matmul")
#: Names of the functions whose products arrays can compute.
PRODUCTS = frozenset((*_READERS, *CONVOLUTIONS, *_GROUPED))
