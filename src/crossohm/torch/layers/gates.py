"""The recurrent cells of PyTorch."""

from __future__ import annotations

import torch

from crossohm.layers.recurrence.gates import gru_gates, lstm_gates, rnn_gates

#: By the nonlinearity of the cell.
RNN_GATES = {"tanh": rnn_gates(torch.tanh), "relu": rnn_gates(torch.relu)}
LSTM_GATES = lstm_gates(torch.tanh, torch.sigmoid)
GRU_GATES = gru_gates(torch.tanh, torch.sigmoid)
