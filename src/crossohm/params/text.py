"""Error messages: dotted paths, what is allowed, and the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from crossohm._names import did_you_mean, nearest
from crossohm.errors import ParameterError, UnknownNameError

PROBLEMS = {
    "int_type": "not an integer",
    "float_type": "not a number",
    "bool_type": "neither True nor False",
    "string_type": "not a string",
    "list_type": "not a list",
    "string_too_short": "empty",
    "finite_number": "not finite",
    "greater_than": "too small",
    "greater_than_equal": "too small",
    "less_than": "too large",
    "less_than_equal": "too large",
    "literal_error": "no such choice",
    "model_type": "not a group of parameters",
}


def join(*names: str) -> str:
    """Dotted path of the non-empty names."""
    return ".".join(name for name in names if name)


def group_of(field: FieldInfo | None) -> type[BaseModel] | None:
    """The class of a field that holds a group, None for a single value."""
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def paths(group: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all parameters and sub-groups of a group class."""
    for name, field in group.model_fields.items():
        path = join(prefix, field.alias or name)
        yield path
        inner = group_of(field)
        if inner:
            yield from paths(inner, path)


def unknown_name(group: type[BaseModel], prefix: str, name: str, value: object) -> UnknownNameError:
    """The error for ``prefix.name``, which the group class does not have."""
    names = [field.alias or known for known, field in group.model_fields.items()]
    near = _nearest(name, names) or _nearest(name, list(paths(group)))
    remedy = did_you_mean(near and join(prefix, near))
    return UnknownNameError(
        join(prefix, name), value, "there is no such parameter", allowed=", ".join(names), remedy=remedy
    )


def _nearest(name: str, known: Sequence[str]) -> str | None:
    """The path whose last name is most like ``name``, if any is similar."""
    leaves = {path.rpartition(".")[2].lower(): path for path in reversed(known)}
    near = nearest(name.lower(), leaves, cutoff=0.55)
    return leaves[near] if near else None


def parameter_error(error: ValidationError, group: type[BaseModel], prefix: str) -> ParameterError:
    """The first finding of pydantic as a `ParameterError`, the others as notes on it.

    Args:
        error: Raised while validating an object of class ``group``.
        group: Its class.
        prefix: Dotted path of the object.
    """
    found = [_finding(detail, group, prefix) for detail in error.errors(include_url=False)]
    found.sort(key=lambda finding: not isinstance(finding, UnknownNameError))
    for other in found[1:]:
        found[0].add_note(f"also: {other}")
    return found[0]


def _finding(detail: Any, group: type[BaseModel], prefix: str) -> ParameterError:
    owner, prefix, rest = _owner(group, prefix, detail["loc"])
    if detail["type"] == "extra_forbidden":
        return unknown_name(owner, prefix, str(rest[0]), detail["input"])
    path = join(prefix, str(rest[0]) if rest else "") + "".join(f"[{index}]" for index in rest[1:])
    path = path or owner.__name__
    raised = detail.get("ctx", {}).get("error")
    if isinstance(raised, ParameterError):  # by a validator that did not know where in the tree it was
        return ParameterError(path, raised.value, raised.problem, allowed=raised.allowed, remedy=raised.remedy)
    problem = str(raised) if raised else PROBLEMS.get(detail["type"], detail["msg"])
    is_misspelt = isinstance(detail["input"], str) and problem.startswith("no such choice")
    kind = UnknownNameError if is_misspelt else ParameterError
    return kind(path, detail["input"], problem, allowed=allowed(owner, rest[0]) if rest else "")


def _owner(
    group: type[BaseModel], prefix: str, where: Sequence[str | int]
) -> tuple[type[BaseModel], str, Sequence[str | int]]:
    """The innermost group on the way, its path, and what remains of the way: a field and indices into it."""
    while len(where) > 1:
        inner = group_of(group.model_fields.get(str(where[0])))
        if inner is None:
            break
        group, prefix, where = inner, join(prefix, str(where[0])), where[1:]
    return group, prefix, where


def allowed(group: type[BaseModel], name: str | int) -> str:
    """What a field accepts, in words, from its JSON schema."""
    fields = group.model_json_schema()["properties"]
    schema: dict[str, Any] = fields.get(name) or fields.get(f"_{name}") or {}
    inner = group_of(group.model_fields.get(str(name)))
    if inner:
        return f"a dict or {inner.__name__} with {', '.join(paths_of_first_level(inner))}"
    return words(schema)


def paths_of_first_level(group: type[BaseModel]) -> list[str]:
    """Names of the fields of a group class as files spell them."""
    return [field.alias or name for name, field in group.model_fields.items()]


def words(schema: dict[str, Any]) -> str:
    """What a JSON schema accepts."""
    return " or ".join(filter(None, map(_words, schema.get("anyOf", [schema]))))


def _words(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "")
    if kind == "array":
        return f"a list of {_words(schema.get('items', {}))}"
    return {"boolean": "True or False", "null": "None", "string": "a name"}.get(kind) or _numbers(kind, schema)


def _numbers(kind: str, schema: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return " ".join([kind, " and ".join(bounds)]).strip()
