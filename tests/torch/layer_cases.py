"""The table of layers that keep the contract of `test_layer_contract`: add a row for a new kind."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from crossohm import CrossSimParameters
from crossohm.torch import from_torch


@dataclass(frozen=True)
class Case:
    """A torch layer, and what it is called with.

    Attributes:
        kind: The torch layer.
        options: Arguments of its constructor.
        shapes: Shapes of its inputs.
        call: Further arguments of the call.
        choices: Arguments of the analog layer that the torch layer does not have.
        rounding: Rounding errors of its outputs in units of those of one product.
    """

    kind: type[nn.Module]
    options: dict[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    call: dict[str, Any] = field(default_factory=dict)
    choices: dict[str, Any] = field(default_factory=dict)
    rounding: float = 1.0

    def digital(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        """The torch layer with fixed random weights."""
        torch.manual_seed(3)
        layer = self.kind(**self.options, dtype=dtype)
        for parameter in layer.parameters():
            if not parameter.any():  # the biases of attention
                nn.init.uniform_(parameter, -0.2, 0.2)
        return layer

    def analog(self, params: Any, bias_rows: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Any:
        """The same layer in arrays."""
        return from_torch(self.digital(dtype), params, bias_rows, seed=seed, **self.choices)

    def inputs(self, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Numbers in -1..1, the default input range."""
        generator = torch.Generator().manual_seed(4)
        return [torch.rand(shape, generator=generator, dtype=dtype) * 2 - 1 for shape in self.shapes]

    def outputs(self, layer: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
        """All tensors that the layer returns."""
        return tensors(layer(*inputs, **self.call))


def tensors(value: Any) -> list[Tensor]:
    """The tensors of a nested tuple."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for part in value for tensor in tensors(part)]


def layer(kind: type[nn.Module], shape: tuple[int, ...], **options: Any) -> Case:
    return Case(kind, options, (shape,))


def conv(rank: int, channels: tuple[int, int], shape: tuple[int, ...], **options: Any) -> Case:
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[rank - 1]
    found = layer(kind, shape, in_channels=channels[0], out_channels=channels[1], **{"kernel_size": 3, **options})
    return replace(found, choices={"grouping": "dense"}) if "groups" in options else found


def transposed(rank: int, channels: tuple[int, int], shape: tuple[int, ...], **options: Any) -> Case:
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[rank - 1]
    found = layer(kind, shape, in_channels=channels[0], out_channels=channels[1], **{"kernel_size": 3, **options})
    return replace(found, choices={"grouping": "dense"}) if "groups" in options else found


def apart(case: Case) -> Case:
    """Every group of a convolution in arrays of its own."""
    return replace(case, choices={"grouping": "per_group"})


def recurrent(kind: type[nn.Module], *shapes: tuple[int, ...], **options: Any) -> Case:
    """5 hidden units for inputs of 4; the second shape is that of the initial state."""
    return Case(kind, {"input_size": 4, "hidden_size": 5, **options}, shapes, rounding=4.0)


def attention(*shapes: tuple[int, ...], **options: Any) -> Case:
    return Case(nn.MultiheadAttention, {"embed_dim": 8, "num_heads": 2, **options}, shapes, rounding=4.0)


LAYERS: dict[str, Case] = {
    "linear-vector": layer(nn.Linear, (10,), in_features=10, out_features=5),
    "linear-batch": layer(nn.Linear, (5, 10), in_features=10, out_features=5),
    "linear-sequence": layer(nn.Linear, (2, 3, 10), in_features=10, out_features=5),
    "linear-no-bias": layer(nn.Linear, (2, 3, 2, 10), in_features=10, out_features=5, bias=False),
    "conv1d": conv(1, (3, 5), (2, 3, 9)),
    "conv1d-strided": conv(1, (2, 3), (2, 2, 12), kernel_size=4, stride=3, dilation=2, padding=3),
    "conv1d-reflect": conv(1, (3, 4), (2, 3, 7), padding=2, padding_mode="reflect", bias=False),
    "conv1d-same": conv(1, (3, 4), (2, 3, 7), padding="same", dilation=2, padding_mode="replicate"),
    "conv1d-circular": conv(1, (4, 6), (2, 4, 7), padding=1, groups=2, padding_mode="circular"),
    "conv1d-unbatched": conv(1, (3, 5), (3, 8)),
    "conv2d": conv(2, (3, 5), (2, 3, 7, 6)),
    "conv2d-pointwise": conv(2, (7, 4), (2, 7, 5, 5), kernel_size=1, stride=2),
    "conv2d-strided": conv(2, (3, 5), (2, 3, 8, 9), kernel_size=(3, 2), stride=(2, 3)),
    "conv2d-padded": conv(2, (3, 5), (2, 3, 5, 6), padding=(2, 1), bias=False),
    "conv2d-dilated": conv(2, (2, 3), (2, 2, 8, 6), dilation=(2, 1)),
    "conv2d-same": conv(2, (2, 3), (2, 2, 7, 8), kernel_size=(4, 3), padding="same", dilation=(1, 2)),
    "conv2d-valid": conv(2, (2, 3), (2, 2, 4, 4), kernel_size=2, padding="valid"),
    "conv2d-reflect": conv(2, (2, 3), (2, 2, 5, 5), padding=(1, 2), padding_mode="reflect"),
    "conv2d-replicate": conv(2, (2, 3), (2, 2, 5, 5), padding=1, padding_mode="replicate"),
    "conv2d-circular": conv(2, (2, 3), (2, 2, 5, 5), padding="same", padding_mode="circular"),
    "conv2d-grouped": conv(2, (4, 6), (2, 4, 5, 5), groups=2),
    "conv2d-depthwise": conv(2, (4, 8), (2, 4, 5, 5), groups=4, padding=1),
    "conv2d-unbatched": conv(2, (3, 5), (3, 6, 6), padding=1),
    "conv3d": conv(3, (2, 3), (2, 2, 4, 5, 3), kernel_size=2),
    "conv3d-strided": conv(3, (2, 3), (2, 2, 5, 4, 6), kernel_size=(2, 1, 3), stride=(2, 1, 2), padding=(1, 0, 1)),
    "conv3d-same": conv(3, (2, 3), (2, 2, 4, 4, 3), padding="same", padding_mode="replicate"),
    "conv3d-reflect": conv(3, (4, 4), (2, 4, 3, 4, 3), kernel_size=2, padding=1, padding_mode="reflect", groups=2),
    "conv3d-circular": conv(3, (2, 3), (2, 2, 3, 3, 3), padding=1, padding_mode="circular", bias=False),
    "conv3d-unbatched": conv(3, (1, 3), (1, 4, 5, 5), dilation=(1, 2, 1)),
    "transposed1d": transposed(1, (3, 5), (2, 3, 5)),
    "transposed1d-strided": transposed(1, (3, 4), (2, 3, 5), stride=3, padding=2, output_padding=1),
    "transposed1d-unbatched": transposed(1, (3, 4), (3, 5), stride=2, bias=False),
    "transposed2d": transposed(2, (3, 5), (2, 3, 4, 3), stride=2),
    "transposed2d-size": replace(
        transposed(2, (3, 5), (2, 3, 4, 3), stride=(2, 3), padding=1, kernel_size=(2, 3)),
        call={"output_size": (7, 8)},
    ),
    "transposed2d-grouped": transposed(2, (4, 6), (2, 4, 3, 4), stride=2, groups=2, dilation=(2, 1)),
    "transposed2d-depthwise": transposed(2, (3, 3), (2, 3, 4, 4), groups=3, padding=1),
    "transposed2d-gaps": transposed(2, (7, 3), (2, 7, 3, 3), kernel_size=1, stride=3, output_padding=2),
    "transposed3d": transposed(3, (2, 3), (2, 2, 3, 2, 3), kernel_size=2, stride=(2, 1, 2), padding=(1, 0, 1)),
    "apart1d": apart(conv(1, (4, 6), (2, 4, 9), groups=2, stride=2, padding=2)),
    "apart2d": apart(conv(2, (4, 6), (2, 4, 5, 6), groups=2, kernel_size=2, dilation=(1, 2), bias=False)),
    "apart2d-depthwise": apart(conv(2, (4, 8), (2, 4, 5, 5), groups=4, padding=1, padding_mode="reflect")),
    "apart2d-unbatched": apart(conv(2, (6, 3), (6, 4, 4), groups=3, kernel_size=(3, 1))),
    "apart3d": apart(conv(3, (2, 4), (2, 2, 3, 4, 3), groups=2, kernel_size=2)),
    "apart-transposed2d": apart(transposed(2, (4, 6), (2, 4, 3, 4), groups=2, stride=2)),
    "apart-one-group": apart(conv(2, (3, 5), (2, 3, 5, 5))),
    "rnn-cell": recurrent(nn.RNNCell, (3, 4), (3, 5)),
    "gru-cell": recurrent(nn.GRUCell, (4,), (5,), bias=False),
    "rnn": recurrent(nn.RNN, (3, 2, 4), (2, 2, 5), num_layers=2, nonlinearity="relu"),
    "lstm": recurrent(nn.LSTM, (2, 3, 4), num_layers=2, bidirectional=True, proj_size=3, batch_first=True),
    "lstm-unbatched": recurrent(nn.LSTM, (3, 4)),
    "gru": recurrent(nn.GRU, (3, 2, 4), (2, 2, 5), bidirectional=True),
    "attention": attention((3, 2, 8), (4, 2, 8), (4, 2, 8)),
    "attention-sizes": attention((2, 3, 8), (2, 4, 5), (2, 4, 7), kdim=5, vdim=7, add_bias_kv=True, batch_first=True),
    "attention-no-bias": attention((3, 8), (4, 8), (4, 8), bias=False, add_zero_attn=True),
}


def pieces(layer: Any) -> list[CrossSimParameters]:
    """For each matrix, arrays of a size that cuts it into 3 pieces along its columns and 2 along its rows.

    Groups that have arrays of their own are not cut along the rows.
    """
    found = []
    for matrix in layer.matrices:
        rows, columns = matrix.form().shape
        params = CrossSimParameters()
        params.core.rows_max = -(-columns // 3)
        params.core.cols_max = -(-rows // 2)
        found.append(params)
    return found
