"""Result folders that are either complete or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from crossohm.errors import DataError


@contextmanager
def new_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary folder that takes the place of ``target`` when the ``with`` block ends, and vanishes if it fails.

    The temporary folder lies beside the target, so that the last step is one rename; opening it before long work shows
    early that results can be written.

    Raises:
        DataError: the target exists, or cannot be created.
    """
    path = Path(target)
    _refuse_existing(path)
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{path.name}.part-", dir=path.parent))
    except OSError as error:
        raise DataError(f"{path}: cannot be created ({error.strerror or error}). Choose another folder") from error
    try:
        yield part
        part.chmod(0o777 & ~_umask())  # mkdtemp makes folders that only their owner can read
        _refuse_existing(path)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        remove_empty(missing)
        raise


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, until one is in use."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise DataError(f"{path}: exists and is not overwritten. Choose another folder, or remove it")


def _umask() -> int:
    """The process's mask; there is no way to read it without setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def unused(path: Path) -> Path:
    """The path itself, or the first of ``path-2``, ``path-3``, ... that does not exist."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
