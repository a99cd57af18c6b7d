"""Programmed chips on disk: safetensors arrays with JSON metadata, never pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from crossohm.chain.blocks import Block
from crossohm.chain.programmed import Programmed
from crossohm.errors import DataError
from crossohm.params import CrossSimParameters

FORMAT = "crossohm-core-1"
_ARRAYS = ("target", "conductance")


def save_blocks(path: str | Path, blocks: tuple[Block, ...], facts: dict[str, Any]) -> None:
    """Write programmed arrays, hardware and ``facts`` about the core to one file, bit for bit."""
    tensors: dict[str, np.ndarray] = {}
    headers = []
    for index, block in enumerate(blocks):
        record = block.record
        for what in _ARRAYS:
            tensors[f"{index}/{what}"] = np.ascontiguousarray(getattr(record, what))
        tensors |= {f"{index}/units/{name}": np.ascontiguousarray(value) for name, value in record.units.items()}
        tensors |= {f"{index}/mismatch/{name}": np.ascontiguousarray(value) for name, value in record.mismatch.items()}
        headers.append(
            {
                "rows": _pair(block.rows),
                "columns": _pair(block.columns),
                "params": block.params.as_dict(),
                "name": record.name,
                "seed": record.seed,
                "writes": record.writes,
                "row_parts": [_pair(part) for part in record.row_parts],
                "column_parts": [_pair(part) for part in record.column_parts],
                "limits": [limit.hex() for limit in record.limits],
            }
        )
    metadata = {"format": FORMAT, "core": json.dumps(facts), "blocks": json.dumps(headers, default=int)}
    save_file(tensors, str(path), metadata=metadata)


def load_blocks(path: str | Path) -> tuple[tuple[Block, ...], dict[str, Any]]:
    """Read what `save_blocks` wrote.

    Raises:
        DataError: the file is missing, damaged, or no saved core.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; give the path that AnalogCore.save wrote")
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise DataError(f"{path}: not a saved core (format {metadata.get('format')!r}, expected {FORMAT!r})")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        headers = json.loads(metadata["blocks"])
        blocks = tuple(_block(index, header, tensors) for index, header in enumerate(headers))
        return blocks, json.loads(metadata["core"])
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: damaged or incomplete core file ({error}); save the core again") from error


def _block(index: int, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> Block:
    prefix = f"{index}/"
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    record = Programmed(
        name=header["name"],
        seed=header["seed"],
        writes=header["writes"],
        row_parts=tuple(slice(*part) for part in header["row_parts"]),
        column_parts=tuple(slice(*part) for part in header["column_parts"]),
        limits=(float.fromhex(header["limits"][0]), float.fromhex(header["limits"][1])),
        target=own["target"],
        conductance=own["conductance"],
        units=_group(own, "units/"),
        mismatch=_group(own, "mismatch/"),
    )
    params = CrossSimParameters(**header["params"])
    return Block(slice(*header["rows"]), slice(*header["columns"]), params, record)


def _group(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _pair(part: slice) -> tuple[int, int]:
    return part.start, part.stop
