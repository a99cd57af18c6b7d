"""Programmed chips on disk: safetensors arrays with JSON metadata, never pickle."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from crossohm.chain.programming.parts import Block
from crossohm.chain.programming.record import Programmed
from crossohm.chain.programming.state import CoreState
from crossohm.errors import DataError
from crossohm.mapping import build_mapping
from crossohm.params import CrossSimParameters

FORMAT = "crossohm-core-1"


def pack_core(state: CoreState) -> bytes:
    """Programmed arrays, hardware and what else a core is as the content of a safetensors file, bit for bit.

    Conductances that are exactly those asked for are stored once.
    """
    tensors: dict[str, np.ndarray] = {}
    headers = []
    for index, block in enumerate(state.blocks):
        record = block.record
        tensors[f"{index}/matrix"] = np.ascontiguousarray(record.matrix)
        if not np.array_equal(record.target, record.conductance):
            tensors[f"{index}/conductance"] = np.ascontiguousarray(record.conductance)
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
    facts = {"shape": state.shape, "dtype": state.dtype, "seed": state.seed, "name": state.name}
    metadata = {"format": FORMAT, "core": json.dumps(facts), "blocks": json.dumps(headers, default=int)}
    return bytes(save(tensors, metadata=metadata))


def unpack_core(data: bytes, source: str) -> CoreState:
    """Read what `pack_core` made.

    Args:
        data: The bytes.
        source: Where they come from, for messages.

    Raises:
        DataError: the bytes are damaged, or no saved core.
    """
    tensors, metadata = read_tensors(data, source, FORMAT, "core")
    try:
        headers, facts = json.loads(metadata["blocks"]), json.loads(metadata["core"])
        blocks = tuple(_block(i, header, tensors) for i, header in enumerate(headers))
        shape = (facts["shape"][0], facts["shape"][1])
        return CoreState(blocks, shape, facts["dtype"], facts["seed"], facts["name"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise damaged(source, "core", error) from error


def read_tensors(data: bytes, source: str, form: str, what: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata of the content of a safetensors file.

    Raises:
        DataError: the content is damaged, or its format is not ``form``.
    """
    try:
        tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    except (SafetensorError, TypeError, ValueError) as error:
        raise damaged(source, what, error) from error
    if metadata.get("format") != form:
        raise DataError(f"{source}: not a saved {what} (format {metadata.get('format')!r}, expected {form!r})")
    return tensors, metadata


def damaged(source: str, what: str, error: Exception) -> DataError:
    """What to raise when saved bytes make no sense."""
    return DataError(f"{source}: damaged or incomplete saved {what} ({error}); save the {what} again")


def _block(index: int, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> Block:
    prefix = f"{index}/"
    own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    params = CrossSimParameters(**header["params"])
    record = Programmed(
        name=header["name"],
        seed=header["seed"],
        writes=header["writes"],
        row_parts=tuple(slice(*part) for part in header["row_parts"]),
        column_parts=tuple(slice(*part) for part in header["column_parts"]),
        limits=(float.fromhex(header["limits"][0]), float.fromhex(header["limits"][1])),
        mapping=build_mapping(params),
        matrix=own["matrix"],
        conductance=own.get("conductance", np.empty(0)),
        units=_group(own, "units/"),
        mismatch=_group(own, "mismatch/"),
    )
    if "conductance" not in own:
        record = replace(record, conductance=record.target)
    return Block(slice(*header["rows"]), slice(*header["columns"]), params, record)


def _group(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _pair(part: slice) -> tuple[int, int]:
    return part.start, part.stop
