"""Products with weights where they reach torch's dispatcher, whatever function or library they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from crossohm.torch.products.calls import tensors_among
from crossohm.torch.products.derivation import results_of

#: Products that torch's counter of operations does not know.
_UNCOUNTED = frozenset(
    ("mv", "addmv", "dot", "vdot", "_trilinear", "_grouped_mm", "_sparse_mm", "_sparse_addmm", "mkldnn_linear")
)
#: Attention as one operation: two products.
_ATTENTION = "_scaled_dot_product"
#: Libraries of operations in which all products are known.
_KNOWN_LIBRARIES = ("aten", "prim", "prims", "profiler", "c10d", "inductor")
#: Parts of the names of arguments that are added.
_ADDED = ("bias", "mask")


@final
@dataclass(frozen=True)
class Operation:
    """An operation in which data meet something computed from parameters alone.

    Attributes:
        name: Its name.
        parameters: By identity.
        multiplications: Of numbers; a good guess where torch does not count them.
    """

    name: str
    parameters: frozenset[int]
    multiplications: int


@final
class OperationWatch(TorchDispatchMode):
    """Watches torch's dispatcher.

    Args:
        parameters: Says which parameters a tensor is computed from, by identity; None: from data.
        made: Told of results that are computed from parameters and buffers alone, and of which.
        found: Told of products.
        is_off: True while operations are of no interest.
    """

    def __init__(
        self,
        parameters: Callable[[Tensor], frozenset[int] | None],
        made: Callable[[Tensor, frozenset[int]], None],
        found: Callable[[Operation], None],
        is_off: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._parameters = parameters
        self._made = made
        self._found = found
        self._is_off = is_off

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to keep torch's compiler out would import it, which takes seconds; a trial runs nothing compiled."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute, and look at what was computed from what."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if self._is_off():
            return result
        sources = [self._parameters(tensor) for tensor in tensors_among(args, kwargs)]
        known = [source for source in sources if source is not None]
        if known and len(known) == len(sources):
            for _, tensor in results_of(result):
                self._made(tensor, frozenset().union(*known))
        elif any(known):
            self._look(func, args, kwargs, result)
        return result

    def _look(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Tell of a product of data with parameters."""
        packet = operation.overloadpacket
        name = packet.__name__
        foreign = operation.namespace not in _KNOWN_LIBRARIES
        counted = packet in flop_registry or name.startswith(_ATTENTION)
        if not (counted or foreign or name in _UNCOUNTED):
            return
        factors = _factors(operation, args, kwargs)
        made = [(factor, source) for factor in factors if (source := self._parameters(factor))]
        kernels = [factor for factor, _ in made if factor.ndim > 1 or not foreign]
        data = [factor for factor in factors if self._parameters(factor) is None and factor.is_floating_point()]
        if not kernels or not data:
            return
        if name.startswith(_ATTENTION):
            count = sum(_of_attention(*factors[:3])[index] for index in _met(self._parameters, factors))
        elif packet in flop_registry:
            count = flop_registry[packet](*args, **kwargs, out_val=result) // 2
        else:
            count = data[0].numel() // max(1, data[0].shape[-1]) * sum(kernel.numel() for kernel in kernels)
        self._found(Operation(name, frozenset().union(*(source for _, source in made)), count))


def _factors(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operation multiplies; others are added."""
    names = [argument.name for argument in operation._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    if operation.overloadpacket.__name__.startswith(("add", "badd", "_sparse_add")):
        given.pop("self", None)
    return tensors_among([value for name, value in given.items() if not any(part in name for part in _ADDED)], {})


def _of_attention(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, int]:
    """Multiplications of queries with keys, and of what that gives with values."""
    pairs = query.shape[:-1].numel() * key.shape[-2]
    return pairs * key.shape[-1], pairs * value.shape[-1]


def _met(parameters: Callable[[Tensor], frozenset[int] | None], factors: list[Tensor]) -> list[int]:
    """Which products of an attention have an operand that is computed from parameters: the other one is data."""
    query, key, value = (bool(parameters(factor)) for factor in factors[:3])
    return [index for index, has in enumerate((query or key, value)) if has]
