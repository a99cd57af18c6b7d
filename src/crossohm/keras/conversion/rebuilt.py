"""Do models with classes of one's own answer as before when they are made anew from their configuration?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import ml_dtypes
import numpy as np

from crossohm.errors import UnsupportedError
from crossohm.keras.conversion.copies import WAYS_OUT, copy_of, is_foreign
from crossohm.keras.conversion.places import analog_places, is_layer, places

#: Largest deviation of a copy, in units of the rounding error of its largest output.
_ROUNDINGS = 64
#: Positional and keyword inputs of a call.
Inputs = tuple[tuple[Any, ...], dict[str, Any]]


def require_faithful(model: Any, example: Any = None) -> None:
    """Refuse a model whose copy is another model: a class of its own leaves something out of its configuration.

    A copy answers one input. Models without classes of one's own are their graph, and are not looked at; nor are those
    whose answers change from call to call.

    Args:
        model: The model.
        example: An input; None: one of the shapes that the model was built for, where it has been.

    Raises:
        UnsupportedError: the copy answers otherwise; says what helps.
    """
    own = [one for _, one in places(model, is_layer) if is_foreign(type(one)) and not is_layer(one)]
    if not own or not model.built or analog_places(model) or any(getattr(one, "stateful", False) for one in own):
        return
    wanted = _repeated(model, example)
    if wanted is None:
        return
    args, kwargs, answers = wanted
    found = _answers(copy_of(model), args, kwargs)
    if not _are_alike(found, answers):
        classes = ", ".join(dict.fromkeys(type(one).__name__ for one in own))
        raise UnsupportedError(
            f"{type(model).__name__} {model.name!r}, made anew from its configuration, answers otherwise than before: "
            f"the configuration of {classes} leaves something out. {WAYS_OUT}"
        )


def _repeated(model: Any, example: Any) -> tuple[tuple[Any, ...], dict[str, Any], list[Any]] | None:
    """Inputs and what a model answers, if it is the same twice."""
    if example is not None:
        args, kwargs = _given(example)
        answers = _answers(model, args, kwargs)
    else:
        try:
            args, kwargs = _inputs_of(model)
            answers = _answers(model, args, kwargs)
        except Exception:  # made up inputs may be none for a model of anyone's
            return None
    return (args, kwargs, answers) if _are_alike(_answers(model, args, kwargs), answers) else None


def _given(example: Any) -> Inputs:
    if isinstance(example, tuple):
        return example, {}
    return ((), dict(example)) if isinstance(example, Mapping) else ((example,), {})


def _inputs_of(model: Any) -> Inputs:
    """Random inputs of the shapes a model was built for."""
    if getattr(model, "inputs", None):
        return (keras.tree.map_structure(lambda tensor: _drawn(tensor.shape, tensor.dtype), model.input),), {}
    shapes = model._build_shapes_dict
    if len(shapes) == 1:
        return (_shaped(*shapes.values()),), {}
    return (), {name.removesuffix("_shape"): _shaped(shape) for name, shape in shapes.items()}


def _shaped(shape: Any) -> Any:
    """Inputs for a shape, or a structure of shapes."""
    if isinstance(shape, Mapping):
        return {name: _shaped(part) for name, part in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return _drawn(shape, keras.config.floatx())
    return [_shaped(part) for part in shape]


def _drawn(shape: Any, dtype: str) -> Any:
    values = np.random.default_rng(0).uniform(0, 2, (2, *shape[1:]))
    return keras.ops.cast(keras.ops.convert_to_tensor(values), dtype)


def _answers(model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """All outputs, at inference."""
    return list(keras.tree.flatten(model(*args, training=False, **kwargs)))


def _are_alike(found: list[Any], wanted: list[Any]) -> bool:
    return len(found) == len(wanted) and all(map(_is_alike, found, wanted))


def _is_alike(found: Any, wanted: Any) -> bool:
    """True if two outputs are the same up to rounding."""
    if tuple(found.shape) != tuple(wanted.shape):
        return False
    one, other = (keras.ops.convert_to_numpy(value).astype(np.float64) for value in (found, wanted))
    dtype = keras.backend.standardize_dtype(wanted.dtype)
    rounding = float(ml_dtypes.finfo(dtype).eps) if "float" in dtype else 0.0
    largest = np.abs(other[np.isfinite(other)]).max(initial=0)
    return np.allclose(one, other, rtol=0, atol=_ROUNDINGS * rounding * largest, equal_nan=True)
