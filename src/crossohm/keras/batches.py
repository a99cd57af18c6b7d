"""What loaders give, as the inputs of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from crossohm.errors import CrossOhmError, InputError, NetworkError

_WAY_OUT = (
    "A batch may be an array; a sequence that begins with the inputs of the model, while the rest counts as labels; "
    "or a table with the names of its inputs. Images may have their channels first or last"
)


def inputs_of(model: Any, batch: Any) -> Any:
    """How a batch is shown to a model.

    Args:
        model: The model.
        batch: An array: the only input. A sequence: its first entries, as many as the model has inputs; if it has
            several and the first entry is a sequence, those of it. A mapping: inputs by name; everywhere else a
            mapping in first place is such a batch, too.

    Returns:
        The inputs in the form the model takes. Floating numbers and bytes have the dtype of its inputs; images have
        their channels where its inputs have them.

    Raises:
        InputError: the batch lacks an input.
    """
    wanted = keras.tree.flatten(getattr(model, "inputs", None) or [])
    if isinstance(batch, Mapping):
        return _by_name(model, wanted, batch)
    if not isinstance(batch, list | tuple):
        if len(wanted) > 1:
            raise _lacks(f"a {type(batch).__name__}", f"{len(wanted)} inputs")
        return _as_given(model, [_converted(batch, wanted[0] if wanted else None)])
    several = len(wanted) > 1
    if batch and (isinstance(batch[0], Mapping) or (several and isinstance(batch[0], list | tuple))):
        return inputs_of(model, batch[0])
    count = max(len(wanted), 1)
    if len(batch) < count:
        raise _lacks(f"a sequence of {len(batch)}", f"{count} inputs")
    likes = wanted or [None]
    return _as_given(model, [_converted(part, like) for part, like in zip(batch[:count], likes, strict=True)])


def answer(model: Any, inputs: Any) -> Any:
    """What a model answers at inference.

    Raises:
        NetworkError: it does not take these inputs.
    """
    try:
        return model(inputs, training=False) if model._call_has_training_arg else model(inputs)
    except CrossOhmError:
        raise
    except Exception as error:  # layers are the user's, and may fail in any way
        given = ", ".join(f"{part.dtype} {tuple(part.shape)}" for part in keras.tree.flatten(inputs))
        said = f"{type(error).__name__}: {error}"
        raise NetworkError(
            f"{type(model).__name__} {model.name!r} fails on inputs ({given}): {said}. {_WAY_OUT}"
        ) from error


def _by_name(model: Any, wanted: list[Any], batch: Mapping[Any, Any]) -> Any:
    names = {tensor.name: tensor for tensor in wanted}
    missing = [name for name in names if name not in batch]
    if missing or not names:
        raise _lacks(f"a table of {', '.join(map(str, batch))}", ", ".join(names) or "an array")
    found = {name: _converted(batch[name], like) for name, like in names.items()}
    return _as_given(model, list(found.values()))


def _as_given(model: Any, parts: list[Any]) -> Any:
    """The inputs in the structure that a functional model was made with; others take one input as it is."""
    structure = getattr(model, "_inputs_struct", None)
    return parts[0] if structure is None else keras.tree.pack_sequence_as(structure, parts)


def _converted(value: Any, like: Any) -> np.ndarray:
    """An input of the dtype of ``like``, an input of the model, if it is a measured quantity."""
    host = np.asarray(keras.ops.convert_to_numpy(value))
    if host.dtype.kind == "O":
        raise InputError(f"an input of dtype {host.dtype} is nothing Keras can compute with. {_WAY_OUT}")
    shape = None if like is None else tuple(like.shape[1:])
    if shape is not None and not _fits(host.shape[1:], shape):
        turned = np.moveaxis(host, 1, -1) if host.ndim > 2 else host
        host = turned if _fits(turned.shape[1:], shape) else host
    measured = host.dtype.kind == "f" or host.dtype == np.uint8
    dtype = keras.config.floatx() if like is None else str(like.dtype)
    return host.astype(dtype) if measured and dtype.startswith(("float", "bfloat")) else host


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(b is None or a == b for a, b in zip(shape, wanted, strict=True))


def _lacks(given: str, needed: str) -> InputError:
    return InputError(f"the batch is {given}, the model needs {needed}. {_WAY_OUT}")
