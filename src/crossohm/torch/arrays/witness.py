"""Whether a parameter can have changed since it was last looked at, without looking at its numbers.

Torch counts the changes of a tensor that it makes itself. It does not count what is written through another tensor of
the same storage with a counter of its own (``parameter.data``), through memory that was handed out (NumPy, DLPack,
shared memory), and by the fused kernels of optimizers. So the counter is believed only where none of these can have
happened: nobody but the parameter holds its storage, NumPy never had it, no other process shares it, and since the last
look nobody asked for ``parameter.data`` and no optimizer made a step. Otherwise the numbers have to be looked at again.
"""

from __future__ import annotations

from itertools import count
from typing import Any, final
from weakref import ref

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

#: By the identity of the parameter.
_WITNESSES: dict[int, _Witness] = {}
_tokens = count()
_steps = count()
_step = next(_steps)


def new_token() -> int:
    """A number that `token` has not said and will not say."""
    return next(_tokens)


def token(value: Tensor) -> int:
    """A number that is the same in two calls only if ``value`` cannot have changed in between."""
    if type(value) is not nn.Parameter or value.is_inference():
        return next(_tokens)
    witness = _WITNESSES.get(id(value))
    if witness is None or witness.parameter() is not value:
        witness = _WITNESSES[id(value)] = _Witness(value)
    return witness.token(value)


@final
class _Witness:
    """What is known of one parameter."""

    def __init__(self, parameter: nn.Parameter) -> None:
        key = id(parameter)
        self.parameter = ref(parameter, lambda gone: _forget(key, gone))
        self.handed_out = False
        self._look(parameter)

    def token(self, parameter: Tensor) -> int:
        """As `token`."""
        if self.handed_out or not self._private() or self._seen != _state(parameter):
            self._look(parameter)
        return self._token

    def _look(self, parameter: Tensor) -> None:
        self.handed_out = False
        self._storage = parameter.untyped_storage()  # held: no other storage can come to lie there
        self._shared = self._storage.device.type == "cpu" and self._storage.is_shared()
        self._seen = _state(parameter)
        self._token = next(_tokens)

    def _private(self) -> bool:
        """True if the parameter and this object are the only ones that hold the storage, and NumPy never had it."""
        holders = torch._C._storage_Use_Count(self._storage._cdata)
        return holders == 2 and not self._shared and self._storage.resizable()


def _state(parameter: Tensor) -> tuple[int, ...]:
    return parameter._version, parameter.data_ptr(), _step


def _forget(key: int, gone: Any) -> None:
    if key in _WITNESSES and _WITNESSES[key].parameter is gone:
        del _WITNESSES[key]


# --- what the counter does not see ------------------------------------------------------------------------------------


def _hand_out(parameter: Tensor) -> None:
    witness = _WITNESSES.get(id(parameter))
    if witness is not None:
        witness.handed_out = True


def _get_data(parameter: Tensor) -> Tensor:
    _hand_out(parameter)
    return _DATA.__get__(parameter)


def _set_data(parameter: Tensor, value: Tensor) -> None:
    _hand_out(parameter)
    _DATA.__set__(parameter, value)


def _count_step(*_: Any) -> None:
    global _step
    _step = next(_steps)


_DATA = torch.Tensor.data
nn.Parameter.data = property(_get_data, _set_data)
register_optimizer_step_post_hook(_count_step)
