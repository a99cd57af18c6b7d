"""The folder of a study's results: one small file per chip of a sweep point, found by what was asked."""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from crossohm._files import PART, write_whole
from crossohm._npz import UNREADABLE
from crossohm.errors import DataError, WriteError
from crossohm.studies.results.sealed import read_sealed, write_sealed

FOLDER_FORM = "crossohm study results 1"
RECORD_FORM = "crossohm chip 1"
FAILURE_FORM = "crossohm failed chip 1"
HARDWARE_FORM = "crossohm layer hardware 1"

#: Seconds after which an unfinished file belongs to a process that has died.
_ABANDONED = 3600.0


@final
class ResultStore:
    """Results under their keys. Any number of processes may read and write one folder at once.

    Args:
        folder: Where; see `create`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._whole: set[str] = set()  # layer descriptions that have been read: chips of a point share them

    @classmethod
    def create(cls, folder: Path) -> ResultStore:
        """The store in a folder, which is made if there is none; other processes may be making it, too.

        Raises:
            DataError: something else is in the folder.
            WriteError: it cannot be made, or not be written to.
        """
        store = cls(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            found = [path.name for path in folder.iterdir() if not path.name.startswith(PART)]
            with tempfile.TemporaryFile(prefix=PART, dir=folder):
                pass
        except OSError as error:
            raise WriteError(f"{folder}: cannot hold results ({error.strerror or error})") from error
        if found and not store._index.exists():
            raise DataError(f"{folder}: holds something else than results of a study. Choose another folder")
        store._sweep_up()
        return store

    @property
    def _index(self) -> Path:
        return self.folder / "study.json"

    def write_index(self, index: Mapping[str, Any]) -> None:
        """Say which study the folder belongs to and what the keys of its points are."""
        write_sealed(self._index, FOLDER_FORM, dict(index))

    def read_index(self) -> dict[str, Any]:
        """What `write_index` wrote.

        Raises:
            DataError: the folder holds no results.
        """
        if not self._index.exists():
            raise DataError(f"{self.folder}: holds no results of a study (no {self._index.name})")
        index: dict[str, Any] = read_sealed(self._index, FOLDER_FORM)
        return index

    def write(self, key: str, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep what was found for a key; the record comes last, so that it vouches for the arrays."""
        files: dict[str, Any] = {}
        if arrays:
            content = io.BytesIO()
            np.savez_compressed(content, **dict(arrays))  # type: ignore[arg-type]
            write_whole(self._arrays(key), content.getvalue())
            files = {"bytes": len(content.getvalue()), "sha256": hashlib.sha256(content.getvalue()).hexdigest()}
        write_sealed(self._record(key), RECORD_FORM, {**record, "files": files})

    def read(self, key: str, thorough: bool = False) -> dict[str, Any] | None:
        """The record of a key; None if there is none yet.

        A damaged one counts as missing, with a warning: the point will be computed again.

        Args:
            key: The key.
            thorough: Also read the arrays that belong to it; otherwise only their size is compared.
        """
        path = self._record(key)
        if not path.exists():
            return None
        try:
            record: dict[str, Any] = read_sealed(path, RECORD_FORM)
            self._check_files(key, record, thorough)
        except DataError as error:
            warnings.warn(f"{error}. It counts as not computed", RuntimeWarning, stacklevel=2)
            return None
        return record

    def _check_files(self, key: str, record: Mapping[str, Any], thorough: bool) -> None:
        """Everything a record refers to must be there and whole."""
        if record["hardware"] not in self._whole:
            self.read_hardware(record["hardware"])
            self._whole.add(record["hardware"])
        files, path = record["files"], self._arrays(key)
        if files and not (path.exists() and path.stat().st_size == files["bytes"]):
            raise DataError(f"{path}: missing or cut")
        if files and thorough and hashlib.sha256(path.read_bytes()).hexdigest() != files["sha256"]:
            raise DataError(f"{path}: damaged")

    def read_arrays(self, key: str) -> dict[str, NDArray[Any]]:
        """Arrays kept for a key, by name; empty if none were asked for.

        Raises:
            DataError: the file is damaged.
        """
        path = self._arrays(key)
        if not path.exists():
            return {}
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        except UNREADABLE as error:
            raise DataError(f"{path}: damaged ({error})") from error

    def write_failure(self, key: str, body: Mapping[str, Any]) -> None:
        """Keep why there is no record of a key."""
        write_sealed(self._failure(key), FAILURE_FORM, dict(body))

    def read_failure(self, key: str) -> dict[str, Any] | None:
        """What `write_failure` wrote; None if nothing is known."""
        try:
            body: dict[str, Any] = read_sealed(self._failure(key), FAILURE_FORM)
        except DataError:  # missing, as a rule; a damaged one is as good as none
            return None
        return body

    def forget_failure(self, key: str) -> None:
        """There is a record now."""
        self._failure(key).unlink(missing_ok=True)

    def write_hardware(self, key: str, body: Mapping[str, Any]) -> None:
        """Keep layer descriptions, which all chips of a point share."""
        if not self.has_hardware(key):
            write_sealed(self._hardware(key), HARDWARE_FORM, dict(body))

    def has_hardware(self, key: str) -> bool:
        """True if the layer descriptions of this key are there and whole."""
        try:
            self.read_hardware(key)
        except DataError:
            return False
        return True

    def read_hardware(self, key: str) -> dict[str, Any]:
        """What `write_hardware` wrote.

        Raises:
            DataError: it is missing or damaged.
        """
        body: dict[str, Any] = read_sealed(self._hardware(key), HARDWARE_FORM)
        return body

    def _record(self, key: str) -> Path:
        return self.folder / "chips" / key[:2] / f"{key}.json"

    def _arrays(self, key: str) -> Path:
        return self.folder / "chips" / key[:2] / f"{key}.npz"

    def _failure(self, key: str) -> Path:
        return self.folder / "failed" / f"{key}.json"

    def _hardware(self, key: str) -> Path:
        return self.folder / "hardware" / f"{key}.json"

    def _sweep_up(self) -> None:
        """Remove unfinished files of processes that were killed."""
        for part in self.folder.rglob(f"{PART}*"):
            try:
                if time.time() - part.stat().st_mtime > _ABANDONED:
                    part.unlink()
            except OSError:  # another process was faster
                continue


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot take results; leaves it as it was.

    Raises:
        DataError: something else is in the folder.
        WriteError: it cannot be made, or not be written to.
    """
    new = _missing(folder)
    ResultStore.create(folder)
    _remove_empty(new)


@contextmanager
def created(folder: Path) -> Iterator[ResultStore]:
    """`ResultStore.create`; folders that were made for it go again if the ``with`` block fails.

    Raises:
        DataError: something else is in the folder.
        WriteError: it cannot be made, or not be written to.
    """
    new = _missing(folder)
    try:
        yield ResultStore.create(folder)
    except BaseException:
        _remove_empty(new)
        raise


def _missing(folder: Path) -> list[Path]:
    """The folders that have to be made for this one, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, until one is in use."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
