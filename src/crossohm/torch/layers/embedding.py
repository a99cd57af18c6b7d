"""`AnalogEmbedding`: table look-ups as reads of an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from crossohm.chain import Dense
from crossohm.errors import UnsupportedError
from crossohm.layers.hardware import Hardware
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import dense
from crossohm.layers.tokens import driven_lines
from crossohm.torch.layers.layer import AnalogLayer, owns, reshaped


@final
class AnalogEmbedding(AnalogLayer, nn.Embedding):
    """`torch.nn.Embedding` whose table is in analog arrays.

    The matrix is ``(embedding_dim, num_embeddings)``. A token drives its own input line with one and all others with
    zero, so that the outputs are one column of the matrix, with converters, noise and wires as in any product. That is
    also what it costs: a product with the whole table per token. `from_torch` leaves embeddings digital unless
    ``register(AnalogEmbedding)`` was called.

    Args:
        params: The hardware: one description, or a list with one per array (output partitions outermost).
        num_embeddings: Number of tokens.
        embedding_dim: Size of each vector.
        padding_idx: Token whose vector gets no gradient.
        max_norm: None; torch would change the table while it is read.
        norm_type: Of ``max_norm``.
        scale_grad_by_freq: False.
        sparse: False.
        device: Of the parameters.
        dtype: Of the parameters.
        seed: The chip; None draws one.
        name: Name of the core; layers of one chip need different names to have independent errors.

    Shape:
        As `torch.nn.Embedding`: ``(*)`` integers to ``(*, embedding_dim)``.

    Raises:
        UnsupportedError: ``max_norm``, ``scale_grad_by_freq`` or ``sparse`` is used.
    """

    digital_type = nn.Embedding
    convertible = staticmethod(lambda module: owns("weight")(module) and _is_plain(module))

    def __init__(
        self,
        params: Hardware,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        seed: int | None = None,
        name: str = "core",
    ) -> None:
        rules = (padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
        nn.Embedding.__init__(self, num_embeddings, embedding_dim, *rules, device=device, dtype=dtype)
        if not _is_plain(self):
            raise UnsupportedError("an analog embedding has no max_norm, scale_grad_by_freq or sparse gradient")
        self.install(params, 0, seed, name)

    def forward(self, input: Tensor) -> Tensor:
        """Read the columns of tokens.

        Raises:
            InputError: a token is not in the table.
        """
        driven = driven_lines(input, self.num_embeddings, str(self.weight.dtype).removeprefix("torch."))
        y = self.matrices[0].product(driven, Dense(self.num_embeddings))
        return reshaped(y, (*input.shape, self.embedding_dim))

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix: the table with a column per token."""
        return {"": dense(self.embedding_dim, self.num_embeddings, inputs_first=True)}

    def parameter_values(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The table, whose padding token gets no gradient."""
        if self.padding_idx is None:
            return super().parameter_values(names)
        padding = torch.arange(self.num_embeddings, device=self.weight.device) == self.padding_idx
        return {"weight": torch.where(padding[:, None], self.weight.detach(), self.weight)}


def _is_plain(module: nn.Module) -> bool:
    """True without ``max_norm`` and special gradients."""
    return module.max_norm is None and not module.scale_grad_by_freq and not module.sparse
