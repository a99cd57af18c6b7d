"""Parameter files: JSON, YAML, and the presets that come with the package."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from crossohm.errors import DataError

PathName = str | os.PathLike[str]


class MissingFileError(DataError, FileNotFoundError):
    """No such file or preset."""


class YAMLLoader(yaml.SafeLoader):
    """YAML whose numbers may be written 1e-3, which YAML 1.1 takes for a string."""


class _Dumper(yaml.SafeDumper):
    """Quotes strings that `YAMLLoader` would take for numbers."""


_EXPONENT = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
for _side in (YAMLLoader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def preset_names() -> list[str]:
    """Names of the hardware descriptions that come with the package, for `CrossSimParameters.from_json`."""
    return sorted(entry.name.removesuffix(".json") for entry in _presets().iterdir() if entry.name.endswith(".json"))


def _presets() -> Any:
    return resources.files("crossohm.params") / "presets"


def read_json(source: PathName) -> dict[str, Any]:
    """The object in a JSON file, or in the preset of that name."""
    text = _text(source, "preset")
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{source}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno})") from None
    return _object(values, source)


def read_yaml(path: PathName) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping."""
    try:
        values = yaml.load(_text(path), Loader=YAMLLoader)  # a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise DataError(f"{path}, line {line}: not valid YAML ({error.problem})") from None
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not valid YAML ({error})") from None
    return _object({} if values is None else values, path)


_FOLDER: ContextVar[Path | None] = ContextVar("folder of the file that is being read", default=None)


@contextmanager
def relative_to(folder: Path) -> Iterator[None]:
    """Within it, names of files that parameters are given start in ``folder``."""
    token = _FOLDER.set(folder)
    try:
        yield
    finally:
        _FOLDER.reset(token)


def read_beside(path: str) -> str:
    """The text of a file that parameters name, see `relative_to`.

    Raises:
        DataError: it is missing, or no text.
    """
    try:
        return _text((_FOLDER.get() or Path()) / path)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read ({error})") from error


def _text(source: PathName, fallback: str = "") -> str:
    if os.path.isfile(source):
        return _decoded(Path(source).read_bytes(), source)
    name = Path(source).name.removesuffix(".json")
    if fallback and os.fspath(source) in (name, f"{name}.json") and name in preset_names():
        return str((_presets() / f"{name}.json").read_text(encoding="utf-8"))
    hint = f", and no preset of that name; presets: {', '.join(preset_names())}" if fallback else ""
    raise MissingFileError(f"{source}: no such file{hint}")


def _decoded(data: bytes, source: PathName) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not a UTF-8 text file (byte {error.start})") from None


def _object(values: Any, source: PathName) -> dict[str, Any]:
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise DataError(f"{source}: holds no object with core, simulation, xbar but {type(values).__name__}")
    return values


def json_text(values: dict[str, Any]) -> str:
    """JSON with an indentation of four."""
    return json.dumps(values, indent=4) + "\n"


def yaml_text(values: dict[str, Any]) -> str:
    """YAML in the order of the tree; lists, which are short, on one line."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, default_flow_style=None))


def write(text: str, path: PathName | None) -> str:
    """Write the text to ``path`` unless that is None; return it."""
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text
