"""Tokens as what drives the lines of a table: one at a token's own line, zero at all others."""

from __future__ import annotations

import numpy as np

from crossohm.backends import Array, backend_of
from crossohm.errors import InputError


def driven_lines(tokens: Array, count: int, dtype: str) -> Array:
    """Inputs of a table's arrays, ``(tokens, count)``.

    Args:
        tokens: Integers of any shape. While a function is compiled their values are not known: one that is not in the
            table then drives no line.
        count: Vectors in the table.
        dtype: Of the inputs.

    Raises:
        InputError: a token is not in the table.
    """
    backend = backend_of(tokens)
    if not backend.is_traced(tokens):
        _require_in_table(backend.to_numpy(tokens), count)
    lines = backend.indices(np.arange(count), tokens)
    column = backend.astype(backend.xp.reshape(tokens, (-1, 1)), backend.dtype_name(lines))
    return backend.astype(column == lines, dtype)


def _require_in_table(tokens: np.ndarray, count: int) -> None:
    if tokens.size and not 0 <= int(tokens.min()) <= int(tokens.max()) < count:
        found = f"{int(tokens.min())} to {int(tokens.max())}"
        raise InputError(f"tokens {found} are not all in a table of {count}: 0 to one less")
