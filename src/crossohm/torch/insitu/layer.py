"""What layers trained on their own devices have in common."""

from __future__ import annotations

import io
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from crossohm._npz import UNREADABLE
from crossohm.errors import DataError, UnsupportedError
from crossohm.training.arrays.settings import ArraySettings
from crossohm.training.rules.model import Rule, TrainedMatrix
from crossohm.training.rules.parallel import Parallel
from crossohm.training.saved import settings_for, with_model, without_model


class Queued(NamedTuple):
    """One backward pass.

    Attributes:
        rows: What the rows are driven with, ``(B, outputs)``.
        columns: What the columns are driven with, ``(B, inputs)``.
        samples: Samples that they are of.
    """

    rows: NDArray[np.floating]
    columns: NDArray[np.floating]
    samples: int


class InSituLayer(nn.Module):
    """Base of the layers whose weights live on devices and are changed by writes alone.

    The weights are no parameters: they are read through `weights`, set by `set_weights`, and written by
    `crossohm.torch.AnalogSGD`. Between ``backward()`` and the optimizer's step the layer keeps the operands of the
    writes, inputs and errors, and never forms a gradient matrix.

    Args:
        shape: Outputs and inputs of the matrix, the column of biases included.
        settings: Kind of array.
        limit: Weights from ``-limit`` to ``limit`` fill the range of the devices.
        rule: What is written where; None: every update goes onto the weights (`crossohm.training.rules`).
        seed: The chip.
        name: The array's name; with the seed it keys everything that is drawn.
    """

    def __init__(
        self, shape: tuple[int, int], settings: ArraySettings, limit: float, rule: Rule | None, seed: int, name: str
    ) -> None:
        super().__init__()
        self._settings = settings
        self._make = partial(_matrix, rule or Parallel(), shape, limit, seed, name)
        #: What is read and written.
        self.matrix = self._make(settings)
        self.pending: list[Queued] = []
        #: Stands for the devices in the graph of autograd, and in the optimizer's groups.
        self.handle = torch.zeros((), requires_grad=True)

    @property
    def weights(self) -> Tensor:
        """All weights as the devices hold them, ``(outputs, inputs)``, biases last."""
        return torch.from_numpy(np.array(self.matrix.read()[0]))

    def set_weights(self, weights: Tensor) -> None:
        """Set all weights exactly, but for the limits of the devices."""
        self.matrix.set(weights.detach().cpu().numpy()[None])

    def product(self, x: Tensor, samples: int) -> Tensor:
        """The array's outputs ``(B, outputs)`` for inputs ``(B, inputs)`` of so many samples, biases' ones included."""
        if x.device.type != "cpu":
            raise UnsupportedError(
                f"{type(self).__name__}: inputs are on {x.device}; the devices are simulated on the CPU. Move the "
                "inputs with .cpu()"
            )
        return _Product.apply(x, self.handle, self, samples)

    def get_extra_state(self) -> Tensor:
        """The devices, their model with its tables, and everything that is drawn, as bytes."""
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **with_model(self.matrix.state_dict(), self._settings.model))
        return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)

    def set_extra_state(self, state: Any) -> None:
        """Go on from what `get_extra_state` gave, on the devices that it is of.

        Raises:
            DataError: it is damaged, or of another layer.
            UnknownNameError: the devices are of a model of the user's own that is not registered.
        """
        if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.ndim != 1:
            what = "no tensor of bytes, as get_extra_state returns it"
            raise DataError(f"{type(self).__name__}: the state to load is {what}")
        try:
            with np.load(io.BytesIO(state.cpu().numpy().tobytes()), allow_pickle=False) as file:
                values = {name: file[name] for name in file.files}
        except UNREADABLE as error:
            raise DataError(f"{type(self).__name__}: the devices to load are damaged ({error})") from error
        settings = settings_for(values, self._settings)
        matrix = self.matrix if settings is self._settings else self._make(settings)
        matrix.load_state_dict(without_model(values))
        self.matrix, self._settings = matrix, settings


def _matrix(
    rule: Rule, shape: tuple[int, int], limit: float, seed: int, name: str, settings: ArraySettings
) -> TrainedMatrix:
    """What a layer reads and writes."""
    return rule.matrix(settings, shape, limit, [seed], name)


class _Product(torch.autograd.Function):
    """Forward read, transposed read, and the operands of the write."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, handle: Tensor, layer: InSituLayer, samples: int) -> Tensor:
        columns = x.detach().numpy()
        ctx.layer, ctx.columns, ctx.samples = layer, columns, samples
        return torch.from_numpy(layer.matrix.forward(columns[None])[0]).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        layer, errors = ctx.layer, grads[0].numpy()
        layer.pending.append(Queued(-errors, ctx.columns, ctx.samples))
        back = None
        if ctx.needs_input_grad[0]:
            back = torch.from_numpy(layer.matrix.backward(errors[None])[0]).to(grads[0].dtype)
        return back, torch.zeros(()), None, None
