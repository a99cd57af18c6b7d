"""`AnalogEmbedding`: table look-ups as reads of an array."""

from __future__ import annotations

from typing import Any, final

import keras

from crossohm.errors import UnsupportedError
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.layers.layout import Layout
from crossohm.layers.layouts import dense
from crossohm.layers.tokens import driven_lines


@final
@keras.saving.register_keras_serializable("crossohm")
class AnalogEmbedding(AnalogLayer, keras.layers.Embedding):
    """`keras.layers.Embedding` whose table is in analog arrays.

    The matrix is ``(output_dim, input_dim)``. A token drives its own input line with one and all others with zero, so
    that the outputs are one column of the matrix, with converters, noise and wires as in any product. That is also what
    it costs: a product with the whole table per token. `from_keras` leaves embeddings digital unless
    ``register(AnalogEmbedding)`` was called. Masks of padding are those of the Keras layer.

    Shape:
        As `keras.layers.Embedding`: ``(*)`` integers to ``(*, output_dim)``.

    Raises:
        InputError: a token is not in the table; in compiled functions, where values are not known, such a token drives
            no line.
        UnsupportedError: ``lora_rank`` is used.
    """

    digital_type = keras.layers.Embedding
    convertible = staticmethod(lambda layer: layer.lora_rank is None and not layer.lora_enabled)

    def __init__(self, **layer: Any) -> None:
        if layer.get("lora_rank") is not None:
            raise UnsupportedError("an analog embedding has no low-rank additions (lora_rank)")
        super().__init__(**layer)

    def layouts(self, rows: int) -> dict[str, Layout]:
        """The one matrix: the table with a column per token."""
        return {"": dense(self.output_dim, self.input_dim, weight="embeddings", inputs_first=True)}

    def call(self, inputs: Any) -> Any:
        """Read the columns of tokens."""
        if not self._has_values():
            return super().call(inputs)
        tokens = inputs if keras.backend.is_int_dtype(inputs.dtype) else keras.ops.cast(inputs, "int32")
        matrix = self.matrices[0]
        y = matrix.product(driven_lines(tokens, self.input_dim, self.compute_dtype), self.contraction(matrix.layout))
        return keras.ops.cast(keras.ops.reshape(y, (*keras.ops.shape(inputs), self.output_dim)), self.compute_dtype)
