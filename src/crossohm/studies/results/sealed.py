"""JSON that shows when it is damaged, and whether a file can be written before there is something to write."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from crossohm._files import PART, write_whole
from crossohm.errors import DataError, WriteError


def require_writable_file(path: Path) -> None:
    """Refuse a file that cannot be written, before the work whose result it is to hold; makes the folder of the file.

    Raises:
        WriteError: it is a folder or a device, or its folder cannot be made or takes no files.
    """
    if path.exists() and not path.is_file():
        raise WriteError(f"{path}: is no file; give the name of one")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=PART, dir=path.parent):
            pass
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror or error})") from error


def digest(value: Any) -> str:
    """SHA-256 of plain values, whatever the order of the entries in their tables."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def write_sealed(path: Path, form: str, body: Any) -> None:
    """Write plain values with their checksum.

    Args:
        path: The file.
        form: Name and version of the format.
        body: The values.
    """
    everything = {"format": form, "sha256": digest(body), "body": body}
    write_whole(path, (json.dumps(everything, allow_nan=False) + "\n").encode())


def read_sealed(path: Path, form: str) -> Any:
    """The values in a file.

    Raises:
        DataError: the file is missing, damaged, or of another format.
    """
    try:
        found = json.loads(path.read_bytes())
        body, checksum, kind = found["body"], found["sha256"], found["format"]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error})") from error
    if kind != form:
        raise DataError(f"{path}: of the format {kind!r}; this version reads {form!r}")
    if digest(body) != checksum:
        raise DataError(f"{path}: damaged; its content does not fit its checksum")
    return body
