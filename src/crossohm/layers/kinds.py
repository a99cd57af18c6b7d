"""Which analog layer stands for which digital one; users add their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from crossohm.errors import CrossOhmError

Kind = TypeVar("Kind", bound=type[Any])
#: A kind that is registered, which stays itself.
Own = TypeVar("Own", bound=type[Any])


class Kinds(dict[type, Kind], Generic[Kind]):
    """Analog kinds of a front end by the exact digital type each stands for, its ``digital_type``.

    Args:
        base: Base of all of them.
        kinds: Those that come with the front end.
    """

    def __init__(self, base: type, kinds: Iterable[Kind]) -> None:
        super().__init__({kind.digital_type: kind for kind in kinds})
        self._base = base

    def register(self, kind: Own) -> Own:
        """Let conversions turn every layer of type ``kind.digital_type`` into ``kind``; a class decorator.

        A redefinition of the same class (a notebook cell that is run again) replaces it.

        Raises:
            CrossOhmError: ``kind`` is no analog layer that is also its ``digital_type``, or the type has another kind.
        """
        base, digital = self._base.__name__, getattr(kind, "digital_type", None)
        if not (isinstance(kind, type) and issubclass(kind, self._base)) or digital is None:
            raise CrossOhmError(f"{kind!r} cannot be registered: it needs {base} as a base, and a digital_type")
        if not issubclass(kind, digital):
            raise CrossOhmError(
                f"{kind.__name__} cannot be registered: it is no {digital.__name__}, its digital_type; write "
                f"class {kind.__name__}({base}, {digital.__name__})"
            )
        known = self.get(digital)
        if known is not None and (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
            raise CrossOhmError(f"{known.__module__}.{known.__qualname__} already stands for {digital.__name__}")
        self[digital] = kind  # type: ignore[assignment]
        return kind

    def obstacle(self, layer: Any, matrices: Iterable[str], framework: str) -> str:
        """Why a layer with matrices of its own stays digital for which no kind stands.

        Args:
            layer: The layer.
            matrices: Names of its matrices.
            framework: Package with layers whose products are known.
        """
        base = next((kind.__name__ for kind in type(layer).__mro__ if kind in self), None)
        if base is not None:
            return f"only {base} itself is converted: register an analog kind for this subclass"
        if type(layer).__module__.startswith(f"{framework}."):
            return "no analog kind stands for it: register one"
        return f"unknown what it does with its {', '.join(matrices)}: register an analog kind if it multiplies"
