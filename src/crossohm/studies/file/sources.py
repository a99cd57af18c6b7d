"""The text of a study file as a tree of plain values, and the line on which each of them is written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import yaml

from crossohm.errors import DataError
from crossohm.params.files import YAMLLoader

#: More values than any study has; a file that goes beyond holds anchors that multiply.
MOST_NODES = 100_000


#: What collections are in plain YAML.
_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@final
@dataclass(frozen=True)
class Source:
    """A study file that has been read.

    Attributes:
        name: The file as the user named it, for messages.
        tree: Its content.
        lines: Line of every value by dotted path; empty where the format does not tell (TOML).
        text: What the file says, for the results.
        folder: Folder of the file: relative paths in it start there.
    """

    name: str
    tree: dict[str, Any]
    lines: dict[str, int] = field(default_factory=dict)
    text: str = ""
    folder: Path = field(default_factory=Path.cwd)

    def place(self, path: str) -> str:
        """``FILE, line N`` for the value at a dotted path, or for what it is part of."""
        while path and path not in self.lines:
            path = path.rpartition(".")[0]
        return f"{self.name}, line {self.lines[path]}" if path else self.name


def read_source(path: Path) -> Source:
    """Read a study file: ``.yaml``, ``.yml``, ``.json`` or ``.toml``.

    Raises:
        DataError: the file cannot be read, or is not valid in its format; names the line.
    """
    parsers: dict[str, Callable[[str, str], tuple[Any, dict[str, int]]]] = {
        ".yaml": _yaml, ".yml": _yaml, ".json": _json, ".toml": _toml,
    }  # fmt: skip
    parser = parsers.get(path.suffix.lower())
    if parser is None:
        raise DataError(f"{path}: a study file ends in {', '.join(parsers)}, not in {path.suffix!r}")
    text = _text(path)
    try:
        tree, lines = parser(text, str(path))
    except RecursionError:
        raise DataError(f"{path}: nested too deeply to be a study") from None
    if not isinstance(tree, dict):
        kind = "nothing" if tree is None else f"a {type(tree).__name__}"
        raise DataError(f"{path}, line 1: holds {kind}; a study is a table of sections such as model and hardware")
    return Source(str(path), tree, lines, text, path.resolve().parent)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _toml(text: str, name: str) -> tuple[Any, dict[str, int]]:
    try:
        return tomllib.loads(text), {}
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{name}: not valid TOML ({error})") from None
    except ValueError as error:  # an integer of thousands of digits
        raise DataError(f"{name}: not valid TOML ({error})") from None


def _json(text: str, name: str) -> tuple[Any, dict[str, int]]:
    """JSON by its own rules; the lines by reading it once more as YAML, which it is a subset of (nearly)."""
    try:
        tree = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, name), parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise DataError(f"{name}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno})") from None
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{name}: not valid JSON ({error})") from None
    try:
        return tree, _yaml(text.replace("\t", " "), name)[1]
    except DataError:
        return tree, {}


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def _unique(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise DataError(f"{name}: {next(key for key in keys if keys.count(key) > 1)!r} is given twice")
    return found


def _yaml(text: str, name: str) -> tuple[Any, dict[str, int]]:
    try:
        loader = YAMLLoader(text)
        try:
            return _Reader(name, loader).read()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise DataError(f"{name}, line {line}: not valid YAML ({error.problem or error.context})") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DataError(f"{name}, line {line}: not valid YAML (character {error.character!r} is not allowed)") from None


@final
class _Reader:
    """Builds the tree from YAML nodes, which know their lines.

    Args:
        name: Of the file, for messages.
        loader: PyYAML's, with its rules for what is a number.
    """

    def __init__(self, name: str, loader: YAMLLoader) -> None:
        self._name = name
        self._loader = loader
        self._lines: dict[str, int] = {}
        self._visited = 0
        self._open: set[int] = set()  # nodes being built: an alias to one of them never ends

    def read(self) -> tuple[Any, dict[str, int]]:
        """The only document of the file, and the lines."""
        node = self._loader.get_single_node()
        return (None if node is None else self._value(node, "")), self._lines

    def _value(self, node: yaml.Node, path: str) -> Any:
        self._visited += 1
        if self._visited > MOST_NODES or id(node) in self._open:
            raise self._error(node, "aliases that repeat without end")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.CollectionNode) and node.tag not in _TAGS:
                raise self._error(node, f"the tag {node.tag!r} is not used in studies")
            if isinstance(node, yaml.MappingNode):
                return {key: self._value(value, _below(path, key)) for key, value in self._entries(node, path)}
            if isinstance(node, yaml.SequenceNode):
                return [self._item(value, _below(path, str(index))) for index, value in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self._open.discard(id(node))

    def _item(self, node: yaml.Node, path: str) -> Any:
        self._lines[path] = node.start_mark.line + 1
        return self._value(node, path)

    def _entries(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, yaml.Node]]:
        seen: set[str] = set()
        for key_node, value in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise self._error(key_node, "merge keys (<<) are not used in studies; write the values out")
            key = self._value(key_node, path)
            if not isinstance(key, str):
                raise self._error(key_node, f"the name {key!r} is not text; put it in quotes")
            if key in seen:
                raise self._error(key_node, f"{key!r} is given twice")
            seen.add(key)
            self._lines[_below(path, key)] = key_node.start_mark.line + 1
            yield key, value

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_object(node, deep=True)
        except (
            ValueError,
            OverflowError,
            KeyError,
            TypeError,
        ) as error:  # PyYAML on bad dates, bytes, numbers
            raise self._error(node, f"{node.value!r} cannot be read: {error}") from None

    def _error(self, node: yaml.Node, problem: str) -> DataError:
        return DataError(f"{self._name}, line {node.start_mark.line + 1}: {problem}")


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
