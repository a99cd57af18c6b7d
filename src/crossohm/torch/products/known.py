"""Which functions of torch give the same numbers again for the same arguments, and the words for a call of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from crossohm.torch.products.calls import PRODUCTS

#: What tells something of a tensor and has no part in numbers.
READS = frozenset(
    (
        *("shape", "ndim", "dtype", "device", "layout", "requires_grad", "is_leaf", "is_cuda", "grad_fn", "itemsize"),
        *("size", "dim", "numel", "nelement", "ndimension", "stride", "element_size", "is_contiguous", "__len__"),
        *("is_floating_point", "is_complex", "is_inference", "is_sparse", "is_quantized", "is_meta", "is_nested"),
    )
)
_OPERATORS = ("add", "sub", "mul", "truediv", "pow", "radd", "rsub", "rmul", "rtruediv", "rpow", "neg", "getitem")
_SHAPING = (
    *("reshape", "reshape_as", "view", "view_as", "flatten", "unflatten", "squeeze", "unsqueeze", "expand"),
    *(
        "expand_as",
        "broadcast_to",
        "t",
        "T",
        "mT",
        "transpose",
        "permute",
        "swapaxes",
        "swapdims",
        "movedim",
        "moveaxis",
    ),
    *("narrow", "select", "chunk", "split", "unbind", "cat", "stack", "flip", "roll", "repeat", "tile", "pad"),
    *("contiguous", "clone", "to", "type_as", "float", "double", "half", "bfloat16", "detach"),
)
_COMPUTING = (
    *("add", "sub", "subtract", "mul", "multiply", "div", "divide", "neg", "abs", "square", "pow", "sqrt", "rsqrt"),
    *("reciprocal", "exp", "log", "tanh", "sigmoid", "softplus", "softmax", "relu", "sign", "clamp", "round", "floor"),
    *("sum", "mean", "var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm", "normalize", "maximum"),
    *("minimum", "amax", "amin", "outer", "_weight_norm", "norm_except_dim", "layer_norm", "batch_norm"),
)
_REPEATABLE = PRODUCTS | {f"__{name}__" for name in _OPERATORS} | {*_SHAPING, *_COMPUTING}


def is_repeatable(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """True if a function of torch, by name, changes nothing and computes the same of the same arguments."""
    if name == "batch_norm" and any(statistics is not None for statistics in args[1:3]):
        return False  # which it would change
    return name in _REPEATABLE and kwargs.get("out") is None


class Unknown(Exception):
    """There are no words for an argument."""


#: Types of constants that tell themselves apart.
_PLAIN = frozenset((int, bool, str, type(None), torch.dtype, torch.device))


def words_of(values: Iterable[Any], tensor: Callable[[Tensor], Hashable]) -> tuple[Hashable, ...]:
    """Words for arguments of a call, the same only for the same arguments.

    Args:
        values: The arguments, and maybe lists and tuples of them.
        tensor: The word for a tensor.

    Raises:
        Unknown: there are none.
    """
    words: list[Any] = []
    for value in values:
        kind = type(value)
        if kind in _PLAIN:
            words += (kind, value)
        elif isinstance(value, Tensor):
            words.append(tensor(value))
        elif kind is float:
            words += float, value.hex()  # zeros of different sign are different
        elif isinstance(value, tuple | list):
            words.append(words_of(value, tensor))
        elif kind is slice:
            words += slice, words_of((value.start, value.stop, value.step), tensor)
        elif value is Ellipsis:
            words.append(value)
        else:
            raise Unknown
    return tuple(words)
