"""Recurrent layers on simulated arrays: whole sequences, several layers, both directions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from crossohm.errors import ShapeError
from crossohm.layers.array_layer import checked_rows
from crossohm.layers.hardware import Hardware
from crossohm.layers.recurrence.gates import Gates, State
from crossohm.torch.layers.gates import GRU_GATES, LSTM_GATES, RNN_GATES
from crossohm.torch.layers.layer import owns, reshaped
from crossohm.torch.layers.plain_recurrence import cell_biases, cell_weights, run_plain
from crossohm.torch.layers.recurrent import AnalogRecurrent, BiasRows
from crossohm.torch.layers.sequence import Steps, run_layers
from crossohm.torch.tracing import untraced

#: One layer's share of an attribute: ``bias_ih_l0_rows``, ``analog_bias_hh_l2``.
_OF_LAYER = re.compile(r"(bias_(?:ih|hh))_l(\d+)(_rows)|(analog_bias_(?:ih|hh))_l(\d+)()")


class AnalogSequenceLayer(AnalogRecurrent):
    """Base of the recurrent layers: a mixin before the torch layer.

    Every layer and direction has a matrix of its own, named ``l0``, ``l0_reverse``, ``l1``, ... behind the name of the
    layer. ``bias_ih_rows``, ``bias_hh_rows``, ``analog_bias_ih`` and ``analog_bias_hh`` are lists with one entry per
    layer, common to its directions; ``bias_ih_l0_rows``, ``analog_bias_ih_l0``, ... are single entries.
    """

    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool

    convertible = staticmethod(lambda module: owns(*module._flat_weights_names)(module))
    _lists = True

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:
        """Outputs of the last layer at every time step, and the states at the end, as `torch.nn` has them.

        Args:
            input: ``(time, batch, input_size)``, or ``(batch, time, input_size)`` if ``batch_first``; without a batch
                ``(time, input_size)``; or packed sequences.
            hx: The initial states; zeros by default.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        self._require_sequences(input)
        batched = input.ndim == 3
        x = input if batched else input[:, None]
        x = x.transpose(0, 1) if batched and self.batch_first else x
        steps, batch = x.shape[:2]
        states = self._states(hx, (self._runs, batch) if batched else (self._runs,), input)
        if not batched:
            states = tuple(state[:, None] for state in states)
        data, final = self._run(Steps.of(x), states)
        y = reshaped(data, (steps, batch, data.shape[1]))
        if not batched:
            return y[:, 0], _joint(tuple(state[:, 0] for state in final))
        return y.transpose(0, 1) if self.batch_first else y, _joint(final)

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        if packed.data.ndim != 2 or packed.data.shape[1] != self.input_size:
            raise ShapeError(
                f"packed vectors of shape {tuple(packed.data.shape)} do not fit "
                f"{type(self).__name__}(input_size={self.input_size}); expected (vectors, {self.input_size})"
            )
        states = self._states(hx, (self._runs, int(packed.batch_sizes[0])), packed.data)
        if packed.sorted_indices is not None and hx is not None:
            states = tuple(state.index_select(1, packed.sorted_indices) for state in states)
        data, final = self._run(Steps.of(packed), states)
        if packed.unsorted_indices is not None:
            final = tuple(state.index_select(1, packed.unsorted_indices) for state in final)
        y = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        return y, _joint(final)

    def _run(self, steps: Steps, states: State) -> tuple[Tensor, State]:
        """Outputs ``(vectors, features)`` and final states ``(runs, batch, size)``."""
        weights = None if self.training and self.dropout else self._plain_weights(steps.data)
        if weights is not None and all(state.dtype == steps.data.dtype for state in states):
            plain = self._plain_kernel()
            return run_plain(plain, steps, states, weights, self.num_layers, bidirectional=self.bidirectional)
        functions = list(self._starts())
        layers = [functions[start : start + self._directions] for start in range(0, self._runs, self._directions)]
        initial = list(zip(*(state.unbind(0) for state in states), strict=True))
        outputs, final = run_layers(steps, initial, layers, self.dropout if self.training else 0.0)
        return outputs.data, tuple(torch.stack(parts) for parts in zip(*final, strict=True))

    def _plain_kernel(self) -> Any:
        """Torch's function for layers of this kind."""
        raise NotImplementedError

    @untraced
    def _plain_weights(self, data: Tensor) -> list[Tensor] | None:
        """Torch's weights with which its function does all that the arrays do; None if more has to happen."""
        matrices, found = iter(self.matrices), []
        for _, cell in self._cells(self._rows):
            weights = next(matrices).plain_form(data, cell.ones, partial(cell_weights, cell))
            if weights is None:
                return None
            found += [*weights.sides, *cell_biases(cell, weights, self.parameter_values(cell.digital_biases))]
            if self._projects:
                projection = next(matrices).plain_form(data, 0, torch.clone)
                if projection is None:
                    return None
                found.append(projection)
        return found

    def _require_sequences(self, x: Tensor) -> None:
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            batch = ("batch, time" if self.batch_first else "time, batch") + f", {self.input_size}"
            raise ShapeError(
                f"input of shape {tuple(x.shape)} does not fit {type(self).__name__}(input_size={self.input_size}); "
                f"expected ({batch}) or (time, {self.input_size})"
            )
        if not x.shape[1 if self.batch_first and x.ndim == 3 else 0]:
            raise ShapeError(f"input of shape {tuple(x.shape)}: a sequence needs at least one time step")

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _runs(self) -> int:
        return self.num_layers * self._directions

    def _suffixes(self) -> Iterator[tuple[str, int]]:
        for number in range(self.num_layers):
            for direction in ("", "_reverse")[: self._directions]:
                yield f"_l{number}{direction}", number

    def __getattr__(self, name: str) -> Any:
        found = _OF_LAYER.fullmatch(name)
        if found is not None:
            stem, number, end = (part for part in found.groups() if part is not None)
            if int(number) < self.num_layers:
                return getattr(self, stem + end)[int(number)]
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        found = _OF_LAYER.fullmatch(name)
        if found is None or found[1] is None or int(found[2]) >= self.num_layers:
            super().__setattr__(name, value)
            return
        common = f"{found[1]}_rows"
        rows = list(getattr(self, common))
        rows[int(found[2])] = checked_rows(name, value)
        setattr(self, common, rows)


def _joint(states: State) -> Tensor | State:
    """As torch returns them: a pair for an LSTM, else one tensor."""
    return states if len(states) > 1 else states[0]


@final
class AnalogRNN(AnalogSequenceLayer, nn.RNN):
    """`torch.nn.RNN` whose products run on analog arrays; see `AnalogRecurrent` for the matrices.

    Args:
        params: The hardware.
        input_size: Size of each input vector.
        hidden_size: Size of the state.
        num_layers: Layers, each fed with the outputs of the one before.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias: If True, every cell has two learnable biases.
        batch_first: If True, inputs and outputs are ``(batch, time, features)``.
        dropout: Share of the outputs of each layer but the last that are set to zero in training.
        bidirectional: If True, every layer has a second cell that runs backward in time.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_ih_rows: Matrix columns that hold ``bias_ih``, driven with one; 0 adds it digitally. A number, or a list
            with one per layer.
        bias_hh_rows: The same for ``bias_hh``.
        seed: The chip; None draws one.
        name: Beginning of the names of the cores; layers of one chip need different names to have independent errors.
    """

    digital_type = nn.RNN

    def __init__(
        self,
        params: Hardware,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_ih_rows: BiasRows = 0,
        bias_hh_rows: BiasRows = 0,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        shape = (input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional)
        nn.RNN.__init__(self, *shape, device=device, dtype=dtype)
        self.install(params, (bias_ih_rows, bias_hh_rows), seed, name)

    def _gates(self) -> Gates:
        return RNN_GATES[self.nonlinearity]

    def _plain_kernel(self) -> Any:
        return torch.rnn_tanh if self.nonlinearity == "tanh" else torch.rnn_relu


@final
class AnalogLSTM(AnalogSequenceLayer, nn.LSTM):
    """`torch.nn.LSTM` whose products run on analog arrays; see `AnalogRecurrent` for the matrices.

    With ``proj_size``, the hidden state of every cell is the product of a second matrix, ``l0.projection`` and so on.

    Args:
        params: The hardware.
        input_size: Size of each input vector.
        hidden_size: Size of the cell state, and of the hidden state unless it is projected.
        num_layers: Layers, each fed with the outputs of the one before.
        bias: If True, every cell has two learnable biases.
        batch_first: If True, inputs and outputs are ``(batch, time, features)``.
        dropout: Share of the outputs of each layer but the last that are set to zero in training.
        bidirectional: If True, every layer has a second cell that runs backward in time.
        proj_size: Size of the projected hidden state; 0: it is not projected.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_ih_rows: Matrix columns that hold ``bias_ih``, driven with one; 0 adds it digitally. A number, or a list
            with one per layer.
        bias_hh_rows: The same for ``bias_hh``.
        seed: The chip; None draws one.
        name: Beginning of the names of the cores; layers of one chip need different names to have independent errors.
    """

    digital_type = nn.LSTM

    def __init__(
        self,
        params: Hardware,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_ih_rows: BiasRows = 0,
        bias_hh_rows: BiasRows = 0,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        shape = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size)
        nn.LSTM.__init__(self, *shape, device=device, dtype=dtype)
        self.install(params, (bias_ih_rows, bias_hh_rows), seed, name)

    def _gates(self) -> Gates:
        return LSTM_GATES

    def _plain_kernel(self) -> Any:
        return torch.lstm


@final
class AnalogGRU(AnalogSequenceLayer, nn.GRU):
    """`torch.nn.GRU` whose products run on analog arrays; see `AnalogRecurrent` for the matrices.

    Args:
        params: The hardware.
        input_size: Size of each input vector.
        hidden_size: Size of the state.
        num_layers: Layers, each fed with the outputs of the one before.
        bias: If True, every cell has two learnable biases.
        batch_first: If True, inputs and outputs are ``(batch, time, features)``.
        dropout: Share of the outputs of each layer but the last that are set to zero in training.
        bidirectional: If True, every layer has a second cell that runs backward in time.
        device: Of the parameters.
        dtype: Of the parameters.
        bias_ih_rows: Matrix columns that hold ``bias_ih``, driven with one; 0 adds it digitally. A number, or a list
            with one per layer.
        bias_hh_rows: The same for ``bias_hh``.
        seed: The chip; None draws one.
        name: Beginning of the names of the cores; layers of one chip need different names to have independent errors.
    """

    digital_type = nn.GRU

    def __init__(
        self,
        params: Hardware,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        bias_ih_rows: BiasRows = 0,
        bias_hh_rows: BiasRows = 0,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        shape = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        nn.GRU.__init__(self, *shape, device=device, dtype=dtype)
        self.install(params, (bias_ih_rows, bias_hh_rows), seed, name)

    def _gates(self) -> Gates:
        return GRU_GATES

    def _plain_kernel(self) -> Any:
        return torch.gru
