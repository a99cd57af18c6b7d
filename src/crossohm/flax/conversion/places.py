"""The places of a model's modules: the attributes, keys and positions that lead to each, joined by dots.

Attributes are taken by name and positions by number: nnx keeps no order of definition in clones and states. A module
that is used several times is one layer, with one set of arrays, under the name of its first place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flax import nnx

from crossohm.flax.conversion.kinds import is_convertible
from crossohm.flax.layers.layer import AnalogLayer

#: Attributes in which nnx keeps its own record of a module.
_RECORD = "_pytree__"


def places(model: Any) -> Iterator[tuple[str, Any]]:
    """Every module of ``model`` once, itself included, by name, parents first; not what is inside of layers."""
    seen: set[int] = set()

    def visit(value: Any, name: str) -> Iterator[tuple[str, Any]]:
        if isinstance(value, nnx.Module):
            if id(value) in seen:
                return
            seen.add(id(value))
            yield name, value
            if is_layer(value):
                return
        for key, child in _parts(value):
            yield from visit(child, f"{name}.{key}" if name else str(key))

    yield from visit(model, "")


def replace(model: Any, other: Callable[[Any], Any]) -> Any:
    """``model`` with others in the places of its modules, in place.

    Args:
        model: The model.
        other: What stands for a module; itself where it stays, and what is inside of it is looked at, if it is no
            layer.

    Returns:
        The model, or what stands for it.
    """
    done: dict[int, Any] = {}

    def visit(value: Any) -> Any:
        if isinstance(value, list | tuple | dict):
            parts = {key: visit(child) for key, child in _parts(value)}
            return parts if isinstance(value, dict) else _sequence(value, list(parts.values()))
        if not isinstance(value, nnx.Module):
            return value
        if id(value) not in done:
            done[id(value)] = other(value)
            if done[id(value)] is value and not is_layer(value):
                _replace_parts(value, visit)
        return done[id(value)]

    return visit(model)


def is_layer(module: Any) -> bool:
    """True if a module is, or can be, on arrays as a whole."""
    return isinstance(module, AnalogLayer) or is_convertible(module)


def sites(model: Any) -> dict[str, Any]:
    """Everything convertible, by name, in order of `places`."""
    return {name: module for name, module in places(model) if is_convertible(module)}


def analog_places(model: Any) -> dict[str, AnalogLayer]:
    """The analog layers by name, in order of `places`."""
    return {name: module for name, module in places(model) if isinstance(module, AnalogLayer)}


def _parts(value: Any) -> list[tuple[Any, Any]]:
    """What is directly inside of a module or a plain container, by attribute, key or position."""
    if isinstance(value, nnx.Module):
        named = [(key, part) for key, part in vars(value).items() if not key.startswith(_RECORD)]
        return sorted(named, key=lambda item: (not item[0].isdigit(), int(item[0]) if item[0].isdigit() else item[0]))
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def _replace_parts(module: Any, visit: Callable[[Any], Any]) -> None:
    for key, part in _parts(module):
        if isinstance(part, nnx.Module):
            found = visit(part)
            if found is not part:
                setattr(module, key, found)
        elif isinstance(part, list | tuple | dict) and _has_modules(part):
            setattr(module, key, nnx.data(visit(part)))


def _has_modules(value: Any) -> bool:
    return isinstance(value, nnx.Module) or (
        isinstance(value, list | tuple | dict) and any(_has_modules(part) for _, part in _parts(value))
    )


def _sequence(like: Any, parts: list[Any]) -> Any:
    """Parts in a list, a tuple or a named tuple, as before."""
    return type(like)(*parts) if hasattr(like, "_fields") else type(like)(parts)
