"""Recurrent cells on simulated arrays: one time step of a recurrent layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

import torch
from torch import Tensor, nn

from crossohm.errors import ShapeError
from crossohm.layers.hardware import Hardware
from crossohm.layers.recurrence.gates import Gates
from crossohm.torch.layers.gates import GRU_GATES, LSTM_GATES, RNN_GATES
from crossohm.torch.layers.layer import owns
from crossohm.torch.layers.recurrent import AnalogRecurrent


class AnalogCell(AnalogRecurrent):
    """Base of the recurrent cells: a mixin before the torch cell."""

    convertible = staticmethod(owns("weight_ih", "weight_hh"))

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        """The state after one time step.

        Args:
            input: ``(batch, input_size)``, or one vector.
            hx: The present state, as `torch.nn` has it; zeros by default.
        """
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"input of shape {tuple(input.shape)} does not fit {type(self).__name__}(input_size={self.input_size})"
                f"; expected (batch, {self.input_size}) or ({self.input_size},)"
            )
        state = self._states(hx, tuple(input.shape[:-1]), input)
        (start,) = self._starts()
        if input.ndim == 2:
            state = start([input])(input, state)
        else:
            alone = input[None]
            state = tuple(part[0] for part in start([alone])(alone, tuple(part[None] for part in state)))
        return state if len(state) > 1 else state[0]

    def _suffixes(self) -> Iterator[tuple[str, int]]:
        yield "", 0


@final
class AnalogRNNCell(AnalogCell, nn.RNNCell):
    """`torch.nn.RNNCell` whose product runs on analog arrays; see `AnalogRecurrent` for the matrix.

    Args:
        params: The hardware.
        input_size: Size of each input vector.
        hidden_size: Size of the state.
        bias: If True, there are two learnable biases.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_ih_rows: Matrix columns that hold ``bias_ih``, driven with one; 0 adds it digitally.
        bias_hh_rows: The same for ``bias_hh``.
        seed: The chip; None draws one.
        name: Name of the core; layers of one chip need different names to have independent errors.
    """

    digital_type = nn.RNNCell

    def __init__(
        self,
        params: Hardware,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_ih_rows: int = 0,
        bias_hh_rows: int = 0,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        nn.RNNCell.__init__(self, input_size, hidden_size, bias, nonlinearity, device=device, dtype=dtype)
        self.install(params, (bias_ih_rows, bias_hh_rows), seed, name)

    def _gates(self) -> Gates:
        return RNN_GATES[self.nonlinearity]


@final
class AnalogLSTMCell(AnalogCell, nn.LSTMCell):
    """`torch.nn.LSTMCell` whose product runs on analog arrays; see `AnalogRecurrent` for the matrix.

    Args:
        params: The hardware.
        input_size: Size of each input vector.
        hidden_size: Size of the state.
        bias: If True, there are two learnable biases.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_ih_rows: Matrix columns that hold ``bias_ih``, driven with one; 0 adds it digitally.
        bias_hh_rows: The same for ``bias_hh``.
        seed: The chip; None draws one.
        name: Name of the core; layers of one chip need different names to have independent errors.
    """

    digital_type = nn.LSTMCell

    def __init__(
        self,
        params: Hardware,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_ih_rows: int = 0,
        bias_hh_rows: int = 0,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        nn.LSTMCell.__init__(self, input_size, hidden_size, bias, device=device, dtype=dtype)
        self.install(params, (bias_ih_rows, bias_hh_rows), seed, name)

    def _gates(self) -> Gates:
        return LSTM_GATES


@final
class AnalogGRUCell(AnalogCell, nn.GRUCell):
    """`torch.nn.GRUCell` whose product runs on analog arrays; see `AnalogRecurrent` for the matrix.

    Args:
        params: The hardware.
        input_size: Size of each input vector.
        hidden_size: Size of the state.
        bias: If True, there are two learnable biases.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_ih_rows: Matrix columns that hold ``bias_ih``, driven with one; 0 adds it digitally.
        bias_hh_rows: The same for ``bias_hh``.
        seed: The chip; None draws one.
        name: Name of the core; layers of one chip need different names to have independent errors.
    """

    digital_type = nn.GRUCell

    def __init__(
        self,
        params: Hardware,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_ih_rows: int = 0,
        bias_hh_rows: int = 0,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        nn.GRUCell.__init__(self, input_size, hidden_size, bias, device=device, dtype=dtype)
        self.install(params, (bias_ih_rows, bias_hh_rows), seed, name)

    def _gates(self) -> Gates:
        return GRU_GATES
