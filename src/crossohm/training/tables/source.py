"""Text files as they come from instruments and people."""

from __future__ import annotations

from pathlib import Path

from crossohm.errors import DataError


def text_of(path: Path) -> str:
    """The text of a file, with line feeds at the ends of lines; a byte order mark is left out.

    Raises:
        DataError: the file is missing, or no text; the message names the line.
    """
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: not a text file: byte {error.start} is no UTF-8") from error
