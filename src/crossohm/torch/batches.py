"""What loaders give, as the arguments of a network's forward."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crossohm.backends import backend_of, is_array
from crossohm.errors import CrossOhmError, InputError, NetworkError

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@final
@dataclass(frozen=True)
class Call:
    """Arguments of a forward.

    Attributes:
        inputs: By position.
        named: By name.
    """

    inputs: tuple[Any, ...]
    named: dict[str, Any]

    @property
    def only_tensor(self) -> Tensor | None:
        """The input, if it is one tensor of inputs and there is nothing else."""
        alone = len(self.inputs) == 1 and not self.named and isinstance(self.inputs[0], Tensor) and self.inputs[0].ndim
        return self.inputs[0] if alone else None

    def of(self, module: nn.Module) -> Any:
        """What the module answers.

        Raises:
            NetworkError: it does not take these arguments.
        """
        try:
            return module(*self.inputs, **self.named)
        except CrossOhmError:
            raise
        except Exception as error:  # the forward is the user's, and may fail in any way
            given = [*map(_form, self.inputs), *(f"{name}={_form(value)}" for name, value in self.named.items())]
            raise NetworkError(
                f"{type(module).__name__} fails on inputs ({', '.join(given)}): {type(error).__name__}: {error}. "
                f"{_WAY_OUT.format(forward=_signature(module))}"
            ) from error


#: What a user can do about a batch that does not suit.
_WAY_OUT = (
    "A batch may be an array; a sequence that begins with the inputs that {forward} requires, while what follows "
    "counts as labels; or a table with the names of its arguments. Floating numbers and bytes are given the dtype of "
    "the parameters, other integers stay as they are"
)


def call_of(module: nn.Module, batch: Any) -> Call:
    """How a batch is shown to a network.

    Args:
        module: The network.
        batch: An array: the only input. A sequence: its first entries, as many as the forward requires; if it requires
            several and the first entry is a sequence, those of it. A mapping: the entries with names that the forward
            knows; everywhere else a mapping in first place is such a batch, too.

    Raises:
        InputError: the batch lacks an input.
    """
    if isinstance(batch, Mapping):
        return _by_name(module, batch)
    required = _required(module)
    if not _is_sequence(batch):
        if len(required) > 1:
            raise _lacks(module, f"a {type(batch).__name__}", f"{len(required)} inputs")
        return Call((_converted(batch, module),), {})
    if batch and (isinstance(batch[0], Mapping) or (len(required) > 1 and _is_sequence(batch[0]))):
        return call_of(module, batch[0])
    count = max(len(required), 1)
    if len(batch) < count:
        raise _lacks(module, f"a sequence of {len(batch)}", f"{count} inputs")
    return Call(tuple(_converted(value, module) for value in batch[:count]), {})


def _by_name(module: nn.Module, batch: Mapping[Any, Any]) -> Call:
    parameters = _parameters(module)
    known = {one.name for one in parameters if one.kind in _NAMED}
    takes_all = not known and any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    needed = {one.name for one in parameters if one.kind in _NAMED and one.default is one.empty}
    chosen = {name: _converted(value, module) for name, value in batch.items() if takes_all or name in known}
    if not chosen or needed - chosen.keys():
        raise _lacks(module, f"a table of {', '.join(map(str, batch))}", ", ".join(sorted(needed)) or "its arguments")
    return Call((), chosen)


def _required(module: nn.Module) -> list[str]:
    """Names of the inputs that the forward cannot do without."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in _parameters(module) if one.kind in positional and one.default is one.empty]


def _parameters(module: nn.Module) -> list[inspect.Parameter]:
    """Arguments of the forward; one that does not tell takes anything."""
    try:
        return list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]


def _lacks(module: nn.Module, given: str, needed: str) -> InputError:
    way_out = _WAY_OUT.format(forward=_signature(module))
    return InputError(f"the batch is {given}, {type(module).__name__} needs {needed}. {way_out}")


def _signature(module: nn.Module) -> str:
    return f"forward({', '.join(one.name for one in _parameters(module))})"


def _is_sequence(value: Any) -> bool:
    """True for lists and tuples; a named tuple (a packed sequence) is one input."""
    return isinstance(value, list | tuple) and not hasattr(value, "_fields")


def _converted(value: Any, module: nn.Module) -> Any:
    """An input with all its arrays as tensors where the module is, and of its dtype if they are measured quantities."""
    if isinstance(value, Mapping):
        return {name: _converted(part, module) for name, part in value.items()}
    if _is_sequence(value):
        return type(value)(_converted(part, module) for part in value)
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(0))
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return value.to(like.device, like.dtype) if value.data.is_floating_point() else value.to(like.device)
    if not (isinstance(value, Tensor) or (is_array(value) and hasattr(value, "ndim"))):
        return value
    tensor = value if isinstance(value, Tensor) else _tensor(backend_of(value).to_numpy(value))
    measured = tensor.is_floating_point() or tensor.dtype is torch.uint8
    return tensor.to(like) if measured else tensor.to(like.device)


def _tensor(host: NDArray[Any]) -> Tensor:
    """A tensor, sharing memory where torch can."""
    try:
        return torch.from_numpy(np.require(host, requirements=["C", "W"]))
    except (TypeError, ValueError) as error:
        raise InputError(f"an input of dtype {host.dtype} is nothing torch can compute with: {error}") from None


def _form(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
