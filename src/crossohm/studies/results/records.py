"""Records of one piece of work in a folder: what is there need not be done again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from crossohm.errors import DataError, WriteError
from crossohm.studies.results.sealed import read_sealed, write_sealed


@final
class RecordFolder:
    """Records by name, each with its checksum, and a file that says what work they are of.

    Args:
        folder: Is made by `open_for`.
        work: Name of that file.
        form: Name and version of its format.
    """

    def __init__(self, folder: str | os.PathLike[str], work: str, form: str) -> None:
        self.folder, self._work, self._form = Path(folder), work, form

    def path(self, name: str) -> Path:
        """The file of a record."""
        return self.folder / f"{name}.json"

    def open_for(self, work: Mapping[str, Any]) -> None:
        """Say what work the folder is of.

        Raises:
            DataError: it is of another, or what says so is damaged.
            WriteError: it cannot be written.
        """
        wanted = json.loads(json.dumps(work))
        if self.path(self._work).exists():
            if self.work() != wanted:
                raise DataError(f"{self.folder}: holds the results of another study. Choose another folder")
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(f"{self.folder}: cannot be made ({error.strerror or error})") from error
        write_sealed(self.path(self._work), self._form, wanted)

    def work(self) -> Any:
        """What `open_for` was told, as JSON returns it.

        Raises:
            DataError: nothing was, or it is damaged.
        """
        if not self.path(self._work).exists():
            raise DataError(f"{self.folder}: holds no results (no {self._work}.json)")
        return read_sealed(self.path(self._work), self._form)

    def write(self, name: str, form: str, body: Any) -> None:
        """Keep a record.

        Raises:
            WriteError: it cannot be written.
        """
        write_sealed(self.path(name), form, body)

    def read(self, name: str, form: str) -> Any:
        """A record; None if there is none yet.

        Raises:
            DataError: it is damaged.
        """
        return read_sealed(self.path(name), form) if self.path(name).exists() else None
