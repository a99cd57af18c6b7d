"""`AnalogEmbed`: table look-ups as reads of an array."""

from __future__ import annotations

from typing import Any, final

import jax.numpy as jnp
from flax import nnx

from crossohm.errors import InputError, ShapeError
from crossohm.flax.layers.layer import AnalogLayer, require_unsharded
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import dense
from crossohm.layers.tokens import driven_lines


@final
class AnalogEmbed(AnalogLayer, nnx.Embed):
    """`flax.nnx.Embed` whose table is in analog arrays; see `AnalogLayer` for what it takes beyond it.

    The matrix is ``(features, num_embeddings)``. A token drives its own input line with one and all others with zero,
    so that the outputs are one column of the matrix, with converters, noise and wires as in any product. That is also
    what it costs: a product with the whole table per token. `crossohm.flax.from_flax` leaves tables digital unless
    ``register(AnalogEmbed)`` was called. `attend` drives the same arrays from the other side. There is no bias:
    ``bias_rows`` says nothing.

    Shape:
        ``(*)`` integers to ``(*, features)``.
    """

    digital_type = nnx.Embed
    reads_back = True

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix: the table with a column per token."""
        return {"": dense(self.features, self.num_embeddings, weight="embedding", inputs_first=True)}

    def __call__(self, inputs: Any, out_sharding: Any = None) -> Any:
        """Read the columns of tokens.

        Raises:
            InputError: the tokens are no integers, or one is not in the table; in compiled functions, where values are
                not known, such a token drives no line.
            UnsupportedError: ``out_sharding`` is given.
        """
        require_unsharded(self, out_sharding)
        tokens = jnp.asarray(inputs)
        if not jnp.issubdtype(tokens.dtype, jnp.integer):
            raise InputError(f"tokens of dtype {tokens.dtype} are no integers, which AnalogEmbed looks up")
        y = self._through_arrays(driven_lines(tokens, self.num_embeddings, self._computing.dtype))
        return jnp.reshape(y, (*tokens.shape, self.features)).astype(self.dtype)

    def attend(self, query: Any, out_sharding: Any = None) -> Any:
        """Products of queries with all vectors of the table.

        Gradients are those of the ideal product, whatever `gradient` is.

        Args:
            query: ``(*, features)``.
            out_sharding: None.

        Returns:
            ``(*, num_embeddings)``.

        Raises:
            ShapeError: queries have another number of features.
            UnsupportedError: ``out_sharding`` is given.
        """
        require_unsharded(self, out_sharding)
        x = jnp.asarray(query, self.dtype)
        if not x.ndim or x.shape[-1] != self.features:
            raise ShapeError(
                f"query of shape {x.shape} does not fit AnalogEmbed(features={self.features}); expected "
                f"(*, {self.features})"
            )
        y = self._back_through_arrays(jnp.reshape(x, (-1, self.features)))
        return jnp.reshape(y, (*x.shape[:-1], self.num_embeddings)).astype(self.dtype)
