"""What every group of parameters can do: checked assignment, update by path, comparison, text."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from crossohm.errors import CrossOhmError, ParameterError, UnknownNameError
from crossohm.params.enums import Choice
from crossohm.params.obsolete import without_obsolete, without_obsolete_paths
from crossohm.params.text import join, parameter_error, unknown_name


def _plain(value: object) -> object:
    """A NumPy scalar as the Python number it is; anything else unchanged."""
    return value.item() if isinstance(value, np.generic) else value


_Plain = BeforeValidator(_plain)
_Finite = Field(strict=True, allow_inf_nan=False)
MANY = 2**31 - 1  # limits beyond every hardware, so that nothing derived from a parameter overflows
HUGE = 1e30

Flag = Annotated[bool, Field(strict=True), _Plain]
"""True or False."""
Name = Annotated[str, Field(strict=True, min_length=1)]
"""Name of a registered model."""
Count = Annotated[int, Field(strict=True, ge=0, le=MANY), _Plain]
"""Integer, 0 or more."""
PositiveCount = Annotated[int, Field(strict=True, ge=1, le=MANY), _Plain]
"""Integer, 1 or more."""
Bits = Annotated[int, Field(strict=True, ge=0, le=24), _Plain]
"""Resolution of a converter or a cell; no hardware has more."""
CellBits = Annotated[int, Field(strict=True, ge=-24, le=24), _Plain, AfterValidator(lambda bits: max(bits, 0))]
"""Resolution of a cell; CrossSim's scripts write weight_bits - 1, that is -1, for continuous cells."""
Whole = Annotated[int, Field(strict=True), _Plain]
"""Any integer."""
Real = Annotated[float, _Finite, Field(ge=-HUGE, le=HUGE), _Plain]
"""Any finite number."""
NonNegative = Annotated[float, _Finite, Field(ge=0, le=HUGE), _Plain]
"""Finite number, 0 or more."""
Positive = Annotated[float, _Finite, Field(ge=1 / HUGE, le=HUGE), _Plain]
"""Finite number above 0 (1e-30 or more)."""
Fraction = Annotated[float, _Finite, Field(gt=0, le=10), _Plain]
"""Fraction of the data, 1.0 = all of it; slightly more than 1 leaves headroom above the largest value."""


class Group(BaseModel):
    """A group of hardware parameters; fields are checked whenever they are assigned."""

    model_config = ConfigDict(
        validate_assignment=True,
        extra="forbid",
        validate_default=False,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    root_path: ClassVar[str | None] = None
    obsolete: ClassVar[Mapping[str, str]] = {}
    """Names of other releases of CrossSim that are passed over with a notice, and what to do instead."""
    _path: str | None = PrivateAttr(None)  # where this group is in the tree; only for messages

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**without_obsolete(type(self), self._start(), values))
        except ValidationError as error:
            raise parameter_error(error, type(self), self._start()) from None
        self._place(self._start())

    # Tells pydantic to build nested groups without this constructor, so that errors are converted once, at the top.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @model_validator(mode="before")
    @classmethod
    def _none_is_default(cls, values: Any) -> Any:
        return {} if values is None else values

    def model_post_init(self, context: Any, /) -> None:
        """Let fields that depend on the given ones follow; a root tells its groups where they are."""
        self._settle(self.model_fields_set)
        if self.root_path is not None:
            self._place(self.root_path)

    def _settle(self, given: Collection[str]) -> None:
        """Adjust fields that were not given to those that were; called after construction and every assignment."""

    @classmethod
    def _start(cls) -> str:
        """Path of an object that is not part of a tree."""
        return cls.__name__ if cls.root_path is None else cls.root_path

    def _place(self, path: str) -> None:
        """Tell this group and its sub-groups where they are."""
        self._path = path
        for name, value in reversed(self.__dict__.items()):  # mvm, the first, names what both sides of a pair share
            if isinstance(value, Group):
                value._place(join(path, name))

    @property
    def _where(self) -> str:
        return self._start() if self._path is None else self._path

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).model_fields or name in self.obsolete:
            self._assign(without_obsolete(type(self), self._where, {name: value}))
        elif name in self.__private_attributes__ or isinstance(getattr(type(self), name, None), property):
            self._set_other(name, value)
        else:
            raise unknown_name(type(self), self._where, name, value)

    def _set_other(self, name: str, value: Any) -> None:
        try:
            super().__setattr__(name, value)
        except AttributeError:
            path = join(self._where, name)
            raise ParameterError(path, value, "derived from other parameters, cannot be set") from None

    def _assign(self, values: Mapping[str, Any]) -> None:
        """Check and set fields of this group that are given together."""
        try:
            for name, value in values.items():
                super().__setattr__(name, value)
        except ValidationError as error:
            raise parameter_error(error, type(self), self._where) from None
        self._settle(values.keys())
        if any(isinstance(field, Group) for field in self.__dict__.values()):  # one of them may be new
            self._place(self._where)

    def _put(self, name: str, value: Any) -> None:
        """Set a field to a value known to be valid, without checks and consequences."""
        self.__dict__[name] = value

    def get(self, path: str) -> Any:
        """The value or group at a dotted path relative to this group, e.g. ``params.get("xbar.adc.mvm.bits")``.

        Raises:
            UnknownNameError: There is no such path.
        """
        node: Any = self
        for name in path.split("."):
            if not isinstance(node, Group):
                raise UnknownNameError(path, node, f"a single value has no part {name!r}")
            node = getattr(node, node._field(name))
        return node

    def _field(self, name: str, value: object = None) -> str:
        """The field called ``name`` here or in files."""
        field = name.removeprefix("_")
        known = type(self).model_fields.get(field)
        if known is None or name not in (field, known.alias):
            raise unknown_name(type(self), self._where, name, value)
        return field

    def update(self, values: Mapping[str, Any]) -> None:
        """Assign several parameters by dotted path; either all of them or, if one is wrong, none.

        A dict (or None) given for a group replaces the group: what it does not name takes its default.

        Args:
            values: Paths relative to this group and their values, e.g. ``{"xbar.adc.mvm.bits": 8}``.

        Raises:
            UnknownNameError: A path does not exist.
            ParameterError: A value is not accepted.
        """
        known = without_obsolete_paths(type(self), self._where, values)
        _update(self.copy(), known)  # a rehearsal: raises before anything of self has changed
        _update(self, known)

    def copy(self) -> Self:  # type: ignore[override]  # replaces pydantic's deprecated method of other meaning
        """An independent copy."""
        return copy.deepcopy(self)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """Only what differs from the defaults; pydantic builds the texts of print and rich from it."""
        for path, (mine, _) in self.diff(type(self)()).items():
            yield path, mine.name if isinstance(mine, Choice) else mine

    __str__ = BaseModel.__repr__

    def diff(self, other: Self) -> dict[str, tuple[Any, Any]]:
        """Parameters in which two groups differ: path -> (value here, value there)."""
        if type(self) is not type(other):
            raise CrossOhmError(f"cannot compare {type(self).__name__} with {type(other).__name__}")
        return {path: (mine, theirs) for path, mine, theirs in _differences(self, other) if mine != theirs}

    def as_dict(self) -> dict[str, Any]:
        """All parameters as nested dicts of plain values, as JSON files hold them (choices as integers)."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """JSON schema of files with these parameters, with the meaning of every field; for editors and forms."""
        return cls.model_json_schema(by_alias=True)


def _differences(mine: Group, theirs: Group, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Values of two groups side by side; the second side of a pair is left out where it is the first in both."""
    same_sides = getattr(mine, "match", False) and getattr(theirs, "match", False)
    for name, field in type(mine).model_fields.items():
        if name == "vmm" and same_sides:
            continue
        path = join(prefix, field.alias or name)
        left, right = getattr(mine, name), getattr(theirs, name)
        if isinstance(left, Group):
            yield from _differences(left, right, path)
        else:
            yield path, left, right


def _update(target: Group, values: Mapping[str, Any]) -> None:
    """Assign by path: outer groups before what is in them, ``match`` before the sides it joins or separates."""
    entries = [(*path.rpartition(".")[::2], value) for path, value in values.items()]
    depths = sorted({(parent.count("."), bool(parent)) for parent, _, _ in entries})
    for depth in depths:
        level = [entry for entry in entries if (entry[0].count("."), bool(entry[0])) == depth]
        for switches in (True, False):
            chosen = [entry for entry in level if (entry[1] in ("match", "_match")) is switches]
            _assign_level(target, chosen)


def _assign_level(target: Group, entries: list[tuple[str, str, Any]]) -> None:
    """Assign entries of equal depth, those of the same group together."""
    together: dict[int, tuple[Group, dict[str, Any]]] = {}
    for parent, name, value in entries:
        group = _group_at(target, parent, name, value)
        field = group._field(name, value)
        _, given = together.setdefault(id(group), (group, {}))
        if field in given and given[field] is not value and given[field] != value:
            raise ParameterError(
                join(parent, name), value, f"given twice with different values; the other is {given[field]!r}",
                remedy="mvm and vmm are one group while match is True; set match to False to tell them apart",
            )  # fmt: skip
        given[field] = value
    for group, given in together.values():
        group._assign(given)


def _group_at(target: Group, parent: str, name: str, value: object) -> Group:
    """The group at ``parent``, in which ``name`` is to become ``value``."""
    path = join(parent, name)
    try:
        group = target.get(parent) if parent else target
    except UnknownNameError as error:
        raise UnknownNameError(path, value, error.problem, allowed=error.allowed, remedy=error.remedy) from None
    if not isinstance(group, Group):
        raise UnknownNameError(path, value, f"{parent} is a single value, not a group")
    return group
