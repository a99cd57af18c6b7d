"""What loaders give, as the arguments of the function with which a network answers, in frameworks of such functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from crossohm.errors import CrossOhmError, InputError, NetworkError

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
#: What a user can do about a batch that does not suit.
_WAY_OUT = (
    "A batch may be an array; a sequence that begins with the inputs that {function} requires, while what follows "
    "counts as labels; or a table with the names of its arguments. Floating numbers and bytes are given the dtype of "
    "the parameters, other integers stay as they are"
)


@final
@dataclass(frozen=True)
class Call:
    """Arguments of a function.

    Attributes:
        inputs: By position.
        named: By name.
    """

    inputs: tuple[Any, ...]
    named: dict[str, Any]


@final
class Forward:
    """How a network is shown batches.

    Args:
        network: Its class, for messages.
        function: The function with which it answers.
        name: Of the function, for messages.
        converted: An input in the framework's form.
        known: Arguments that are given without a batch.
    """

    def __init__(
        self,
        network: str,
        function: Callable[..., Any],
        name: str,
        converted: Callable[[Any], Any],
        known: Sequence[str] = (),
    ) -> None:
        self._network, self._name, self._converted = network, name, converted
        self.parameters = [one for one in _parameters(function) if one.name not in known]

    def call_of(self, batch: Any) -> Call:
        """How a batch is shown to the network.

        Args:
            batch: An array: the only input. A sequence: its first entries, as many as the function requires; if it
                requires several and the first entry is a sequence, those of it. A mapping: the entries with names that
                the function knows; everywhere else a mapping in first place is such a batch, too.

        Raises:
            InputError: the batch lacks an input.
        """
        if isinstance(batch, Mapping):
            return self._by_name(batch)
        required = [one for one in self.parameters if one.kind in _BY_PLACE and one.default is one.empty]
        if not is_sequence(batch):
            if len(required) > 1:
                raise self._lacks(f"a {type(batch).__name__}", f"{len(required)} inputs")
            return Call((self._converted(batch),), {})
        if batch and (isinstance(batch[0], Mapping) or (len(required) > 1 and is_sequence(batch[0]))):
            return self.call_of(batch[0])
        count = max(len(required), 1)
        if len(batch) < count:
            raise self._lacks(f"a sequence of {len(batch)}", f"{count} inputs")
        return Call(tuple(self._converted(value) for value in batch[:count]), {})

    def answer(self, call: Call, function: Callable[..., Any]) -> Any:
        """What ``function`` answers to the arguments of a call.

        Raises:
            NetworkError: it does not take them.
        """
        try:
            return function(*call.inputs, **call.named)
        except CrossOhmError:
            raise
        except Exception as error:  # the function is the user's, and may fail in any way
            given = [*map(_form, call.inputs), *(f"{name}={_form(value)}" for name, value in call.named.items())]
            raise NetworkError(
                f"{self._network} fails on inputs ({', '.join(given)}): {type(error).__name__}: {error}. "
                f"{self._way_out}"
            ) from error

    def _by_name(self, batch: Mapping[Any, Any]) -> Call:
        known = {one.name for one in self.parameters if one.kind in _NAMED}
        takes_all = not known and any(one.kind is inspect.Parameter.VAR_KEYWORD for one in self.parameters)
        needed = {one.name for one in self.parameters if one.kind in _NAMED and one.default is one.empty}
        chosen = {name: self._converted(value) for name, value in batch.items() if takes_all or name in known}
        if not chosen or needed - chosen.keys():
            needs = ", ".join(sorted(needed)) or "its arguments"
            raise self._lacks(f"a table of {', '.join(map(str, batch))}", needs)
        return Call((), chosen)

    def _lacks(self, given: str, needed: str) -> InputError:
        return InputError(f"the batch is {given}, {self._network} needs {needed}. {self._way_out}")

    @property
    def _way_out(self) -> str:
        arguments = ", ".join(one.name for one in self.parameters)
        return _WAY_OUT.format(function=f"{self._name}({arguments})")


def is_sequence(value: Any) -> bool:
    """True for lists and tuples; a named tuple (a packed sequence) is one input."""
    return isinstance(value, list | tuple) and not hasattr(value, "_fields")


def in_parts(value: Any, converted: Callable[[Any], Any]) -> Any:
    """An input with all arrays in it converted."""
    if isinstance(value, Mapping):
        return {name: in_parts(part, converted) for name, part in value.items()}
    if is_sequence(value):
        return type(value)(in_parts(part, converted) for part in value)
    return converted(value)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Arguments of a function; one that does not tell takes anything."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]


def _form(value: Any) -> str:
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        return type(value).__name__
    return f"{str(value.dtype).rpartition('.')[2]} {tuple(value.shape)}"
