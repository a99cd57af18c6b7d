"""Files that are either complete or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from crossohm.errors import WriteError

#: Names of unfinished files start with this.
PART = ".part-"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name, wait until it is on disk, and rename it.

    A crash at any moment leaves the old file or the new one. Several processes may write the same file at once.

    Raises:
        WriteError: the file cannot be written.
    """
    part = path.with_name(f"{PART}{path.name}-{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _settle(path.parent)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror or error})") from error


def _settle(folder: Path) -> None:
    """Wait until a rename in the folder is on disk; not every file system offers it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
