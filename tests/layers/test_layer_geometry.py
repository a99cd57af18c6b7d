"""Margins are those of the frameworks' own convolutions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from crossohm import ParameterError
from crossohm.backends import backend_of
from crossohm.backends.convolution import Steps
from crossohm.layers.maps.geometry import Margins, keras_margins, spread, torch_margins, transposed_margins

RNG = np.random.default_rng(5)


def padded(x: torch.Tensor, margins: Margins) -> torch.Tensor:
    return F.pad(x, [side for pair in reversed(margins) for side in pair])


@pytest.mark.parametrize("padding", ["valid", "same", (2, 1)])
@pytest.mark.parametrize(("taps", "dilation"), [((3, 2), (1, 1)), ((4, 1), (2, 3)), ((2, 5), (3, 1))])
def test_margins_of_torch(padding: Any, taps: tuple[int, ...], dilation: tuple[int, ...]) -> None:
    x, kernel = torch.tensor(RNG.normal(size=(1, 2, 9, 8))), torch.tensor(RNG.normal(size=(3, 2, *taps)))
    wanted = F.conv2d(x, kernel, padding=padding, dilation=dilation)
    found = F.conv2d(padded(x, torch_margins(padding, taps, dilation)), kernel, dilation=dilation)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(("size", "taps", "stride"), list(itertools.product((5, 6, 7), (1, 2, 3, 4), (1, 2, 3))))
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_margins_of_keras_are_those_of_xla(size: int, taps: int, stride: int, dilation: int) -> None:
    jax = pytest.importorskip("jax")
    reach = dilation * (taps - 1) + 1
    ((before, after),) = keras_margins("same", (size,), (taps,), (stride,), (dilation,))
    assert [(before, after)] == list(jax.lax.padtype_to_pads((size,), (reach,), (stride,), "SAME"))
    steps = Steps((stride,), (dilation,))
    assert steps.positions((size + before + after,), (taps,)) == [-(-size // stride)]


@pytest.mark.parametrize(("taps", "dilation"), [(1, 1), (3, 1), (2, 3)])
def test_causal_outputs_do_not_depend_on_later_inputs(taps: int, dilation: int) -> None:
    x, kernel = torch.tensor(RNG.normal(size=(1, 1, 8))), torch.tensor(RNG.normal(size=(1, 1, taps)))
    margins = keras_margins("causal", (8,), (taps,), (1,), (dilation,))
    y = F.conv1d(padded(x, margins), kernel, dilation=dilation)
    later = x.clone()
    later[..., 5:] = 0
    z = F.conv1d(padded(later, margins), kernel, dilation=dilation)
    assert y.shape == x.shape
    torch.testing.assert_close(z[..., :5], y[..., :5], rtol=0, atol=0)
    assert (z[..., 5:] != y[..., 5:]).any()


def test_other_paddings_of_keras_are_refused() -> None:
    assert keras_margins("valid", (4, 5), (2, 2), (1, 1), (1, 1)) == [(0, 0), (0, 0)]
    with pytest.raises(ParameterError, match=r"padding = 'full'.*valid, same, causal"):
        keras_margins("full", (4,), (2,), (1,), (1,))


@pytest.mark.parametrize(("stride", "padding", "extra", "dilation"), [((1, 2), 1, 0, 1), ((3, 2), (2, 0), (2, 1), 2)])
def test_transposed_convolutions_are_convolutions_of_spread_inputs(
    stride: Any, padding: Any, extra: Any, dilation: int
) -> None:
    x, kernel = torch.tensor(RNG.normal(size=(2, 2, 4, 5))), torch.tensor(RNG.normal(size=(2, 3, 3, 2)))
    wanted = F.conv_transpose2d(x, kernel, None, stride, padding, extra, 1, dilation)
    pair = [(width, width) for width in np.broadcast_to(padding, 2).tolist()]
    margins = transposed_margins(pair, np.broadcast_to(extra, 2).tolist(), (3, 2), (dilation, dilation))
    flipped = kernel.transpose(0, 1).flip(2, 3)
    torch.testing.assert_close(F.conv2d(padded(spread(x, stride), margins), flipped, dilation=dilation), wanted)


def test_inputs_are_spread_alike_in_every_library() -> None:
    jax = pytest.importorskip("jax")
    x = RNG.normal(size=(2, 3, 4, 3)).astype(np.float32)
    wanted = np.zeros((2, 3, 10, 5), np.float32)
    wanted[:, :, ::3, ::2] = x
    for own in (x, torch.tensor(x), jax.numpy.asarray(x)):
        np.testing.assert_array_equal(backend_of(own).to_numpy(spread(own, (3, 2))), wanted)
