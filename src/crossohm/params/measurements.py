"""Measurements that parameters name by their file, and then hold: whoever has the parameters needs the file no more."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from crossohm.errors import DataError, ParameterError
from crossohm.params import files

_ALLOWED = "the name of a CSV file, or {'name': ..., 'content': ...} as saved"


@final
@dataclass(frozen=True)
class Measurements:
    """A table as a file has it; two with the same content are equal, wherever they came from.

    Attributes:
        content: CSV text.
        name: Of the file as it was given, for messages.
    """

    content: str
    name: str = field(default="table", compare=False)

    def __repr__(self) -> str:
        return repr(self.name)


def _measurements(given: Any) -> Measurements:
    """What a user, or a saved file, gives."""
    if isinstance(given, Measurements):
        return given
    if isinstance(given, dict) and given.keys() == {"name", "content"}:
        if all(isinstance(part, str) for part in given.values()):
            return Measurements(given["content"], given["name"])
    elif isinstance(given, str) and given:
        try:
            return Measurements(files.read_beside(given), given)
        except DataError as error:
            raise ParameterError("path", given, str(error), allowed=_ALLOWED) from None
    raise ParameterError("path", given, "names no file", allowed=_ALLOWED)


_SAVED = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "content": {"type": "string"}},
    "required": ["name", "content"],
    "additionalProperties": False,
}

MeasurementsFile = Annotated[
    Measurements,
    PlainValidator(_measurements),
    PlainSerializer(asdict),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, _SAVED]}),
]
"""The name of a file, which is read when the parameter is set; it is saved with its content."""
