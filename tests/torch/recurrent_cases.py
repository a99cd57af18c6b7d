"""Recurrent layers, their inputs and their states, for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

#: Name: kind, options, shape of the input, or lengths of packed sequences.
CELLS: dict[str, tuple[type[nn.Module], dict[str, Any], tuple[int, ...]]] = {
    "rnn-cell": (nn.RNNCell, {}, (5, 3)),
    "rnn-cell-relu": (nn.RNNCell, {"nonlinearity": "relu"}, (5, 3)),
    "rnn-cell-plain": (nn.RNNCell, {"bias": False}, (3,)),
    "lstm-cell": (nn.LSTMCell, {}, (5, 3)),
    "lstm-cell-plain": (nn.LSTMCell, {"bias": False}, (3,)),
    "gru-cell": (nn.GRUCell, {}, (5, 3)),
    "gru-cell-vector": (nn.GRUCell, {}, (3,)),
}
SEQUENCES: dict[str, tuple[type[nn.Module], dict[str, Any], tuple[int, ...] | list[int]]] = {
    "rnn": (nn.RNN, {}, (4, 5, 3)),
    "rnn-relu-deep": (nn.RNN, {"nonlinearity": "relu", "num_layers": 3}, (4, 2, 3)),
    "rnn-both-ways": (nn.RNN, {"bidirectional": True, "num_layers": 2, "bias": False}, (4, 2, 3)),
    "rnn-packed": (nn.RNN, {"bidirectional": True}, [2, 4, 1]),
    "rnn-unbatched": (nn.RNN, {"batch_first": True}, (4, 3)),
    "lstm": (nn.LSTM, {}, (4, 5, 3)),
    "lstm-deep": (nn.LSTM, {"num_layers": 2, "batch_first": True}, (2, 4, 3)),
    "lstm-projected": (nn.LSTM, {"proj_size": 2, "num_layers": 2}, (4, 2, 3)),
    "lstm-plain": (nn.LSTM, {"bias": False, "proj_size": 2}, (4, 2, 3)),
    "lstm-all": (nn.LSTM, {"proj_size": 3, "num_layers": 2, "bidirectional": True}, [3, 3, 5, 1]),
    "lstm-unbatched": (nn.LSTM, {"bidirectional": True}, (4, 3)),
    "gru": (nn.GRU, {}, (4, 5, 3)),
    "gru-both-ways": (nn.GRU, {"num_layers": 2, "bidirectional": True, "batch_first": True}, (2, 4, 3)),
    "gru-plain": (nn.GRU, {"bias": False}, (1, 2, 3)),
    "gru-packed": (nn.GRU, {"num_layers": 2}, [5, 2, 2]),
}
RECURRENT = {**CELLS, **SEQUENCES}


def recurrent(case: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A layer with 3 inputs and 4 hidden units."""
    kind, options, _ = RECURRENT[case]
    torch.manual_seed(3)
    return kind(3, 4, **options, dtype=dtype)


def sequences(case: str, dtype: torch.dtype = torch.float64) -> Tensor | PackedSequence:
    """Its input, numbers in -1..1."""
    shape, generator = RECURRENT[case][2], torch.Generator().manual_seed(4)

    def numbers(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, dtype=dtype) * 2 - 1

    if isinstance(shape, list):
        return pack_sequence([numbers(length, 3) for length in shape], enforce_sorted=False)
    return numbers(*shape)


def states(case: str, dtype: torch.dtype = torch.float64) -> Any:
    """Its initial state, numbers in -1..1."""
    kind, options, shape = RECURRENT[case]
    generator = torch.Generator().manual_seed(5)
    if case in CELLS:
        leading = shape[:-1]
    else:
        runs = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
        batch = (len(shape),) if isinstance(shape, list) else shape[-2:-1] if len(shape) == 3 else ()
        if len(shape) == 3 and options.get("batch_first") and not isinstance(shape, list):
            batch = shape[:1]
        leading = (runs, *batch)
    sizes = [options.get("proj_size", 4), 4] if "LSTM" in kind.__name__ else [4]
    made = tuple(torch.rand(*leading, size, generator=generator, dtype=dtype) * 2 - 1 for size in sizes)
    return made if len(made) == 2 else made[0]


def flat(result: Any) -> list[Tensor]:
    """All numbers a layer returned."""
    if isinstance(result, PackedSequence):
        return [result.data]
    if isinstance(result, Tensor):
        return [result]
    return [tensor for part in result for tensor in flat(part)]
