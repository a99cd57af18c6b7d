"""Pulse tables and ramps with random damage: what the tests read in small and ``benchmarks/survival.py`` in full."""

from __future__ import annotations

import io
import math
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from crossohm.errors import DataError
from crossohm.training.tables import (
    PulseTable,
    TableSettings,
    example_ramps,
    read_ramps,
    read_tables,
    table_facts,
    table_from_ramps,
    write_ramps,
    write_tables,
)

#: Cells and fragments that find their way into text files.
ODD = (
    "nan", "inf", "-inf", "1e999", "1e300", "-1e300", "1e-320", "", " ", "0", "-1", "1", "2", "x", "1_000", "0x10",
    "1;2", "\t", '"', '"1', "1,2", "\n", "\r", "\x0c", "\x00", "\u0661", "µ", "1e", "--1", "NaN%", "#DIV/0!", "\ufeff",
)  # fmt: skip
SETTINGS = TableSettings(bins=10, cdf_points=7, g_points=9)


def good(places: int = 1) -> tuple[PulseTable, ...]:
    """Small tables without mistakes."""
    return tuple(table_from_ramps(*example_ramps(4, seed), SETTINGS, title=f"device {seed}") for seed in range(places))


def outcome(folder: Path, number: int) -> str:
    """Damage a file and read it: ``"fine"``, or how well the message says where the damage is.

    Whatever is read is finite; whatever is refused is refused by an error that names the file.
    """
    rng = random.Random(number)
    damage, read = rng.choice(((_text, _read_tables), (_text, _read_tables), (_csv, _read_ramps), (_npz, _read_tables)))
    path = damage(folder, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)  # SET and RESET exchanged
        try:
            read(path)
        except DataError as error:
            message = str(error)
            assert str(folder) in message, f"case {number} names no file: {message}"
            assert "\n" not in message, f"case {number}: {message!r}"
            return f"{damage.__name__.strip('_')}, {'line' if re.search(r':[0-9]+: ', message) else 'file'}"
    return f"{damage.__name__.strip('_')}, fine"


def _read_tables(path: Path) -> None:
    for table in read_tables(path):
        _require_finite(table)


def _read_ramps(path: Path) -> None:
    ramps = read_ramps(path)
    assert all(np.isfinite(ramp).all() for ramp in ramps)
    try:
        table = table_from_ramps(ramps, example_ramps(4)[1], SETTINGS)
    except DataError as error:  # of ramps that do not fit together, which have no one line
        raise DataError(f"{path}: {error}") from error
    _require_finite(table)


def _require_finite(table: PulseTable) -> None:
    for name in ("g", "cdf", "increasing", "decreasing", "mean_up", "mean_down"):
        assert np.isfinite(getattr(table, name)).all(), name
    assert all(math.isfinite(value) for value in _numbers(astuple(table_facts(table))))


def _numbers(values: tuple[Any, ...]) -> Iterator[float]:
    for value in values:
        if isinstance(value, tuple):
            yield from _numbers(value)
        elif value is not None:
            yield value


# -- text ---------------------------------------------------------------------------------------------------------


def _text(folder: Path, rng: random.Random) -> Path:
    write_tables(good(), folder)
    path = folder / rng.choice(("dG_increasing.txt", "dG_decreasing.txt"))
    _damage_text(path, rng)
    return folder


def _csv(folder: Path, rng: random.Random) -> Path:
    path = folder / "set.csv"
    write_ramps(example_ramps(4)[0], path)
    _damage_text(path, rng)
    return path


def _damage_text(path: Path, rng: random.Random) -> None:
    """One to three mistakes, of people, programs and disks."""
    content = path.read_bytes()
    for _ in range(rng.randint(1, 3)):
        content = rng.choice((_cell, _cell, _cell, _lines, _bytes))(content, rng)
    path.write_bytes(content)


def _cell(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    cells = lines[place].split(b",")
    cell = rng.randrange(len(cells))
    odd = rng.choice(ODD).encode()
    cells[cell] = rng.choice((odd, cells[cell] + odd, b"-" + cells[cell].strip(), cells[cell] + b"e9"))
    lines[place] = b",".join(cells)
    return b"\n".join(lines)


def _lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(one, lines[other])
    elif kind == 2:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 3:
        lines = lines[:one]
    else:
        lines[one] = b",".join(lines[one].split(b",")[: rng.randrange(5)])
    return b"\n".join(lines)


def _bytes(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return content
    place = rng.randrange(len(content))
    kind = rng.randrange(4)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + rng.randbytes(rng.randint(1, 4)) + content[place + 1 :]
    if kind == 2:
        return content[:place] + content[place + rng.randint(1, 40) :]
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


# -- archives -------------------------------------------------------------------------------------------------------


def _npz(folder: Path, rng: random.Random) -> Path:
    path = folder / "devices.npz"
    write_tables(good(rng.randint(1, 2)), path)
    rng.choice((_file, _members, _arrays))(path, rng)
    return path


def _file(path: Path, rng: random.Random) -> None:
    """Bytes of the archive: what a disk does."""
    path.write_bytes(_bytes(path.read_bytes(), rng))


def _members(path: Path, rng: random.Random) -> None:
    """Bytes of one array, with checksums that fit."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    content = members[name]
    head = rng.random() < 0.7
    members[name] = _bytes(content[:128], rng) + content[128:] if head else _bytes(content, rng)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


#: What other programs put in place of an array.
_OTHERS: tuple[Callable[[np.ndarray], Any], ...] = (
    lambda values: values.astype(object),
    lambda values: values.astype(str),
    lambda values: values[..., :0],
    lambda values: values[..., :1],
    lambda values: values[..., ::-1],
    lambda values: values[None],
    lambda values: values.ravel()[0],
    lambda values: np.full(values.shape, math.nan),
    lambda values: np.full(values.shape, math.inf),
    lambda values: np.zeros(values.shape),
    lambda values: np.zeros(values.shape, [("a", float)]),
    lambda values: np.ones(values.shape, complex),
    lambda values: np.full(values.shape, np.longdouble("1e4000")),
    lambda values: None,
)


def _arrays(path: Path, rng: random.Random) -> None:
    """Whole arrays: what another program does."""
    with np.load(path) as archive:
        arrays = dict(archive)
    name = rng.choice(sorted(arrays))
    changed = (
        rng.choice(_OTHERS)(arrays[name]) if name != "titles" else rng.choice((np.zeros(2), arrays[name][:0], None))
    )
    if changed is None:
        del arrays[name]
    else:
        arrays[name] = changed
    content = io.BytesIO()
    np.savez(content, **arrays)
    path.write_bytes(content.getvalue())
