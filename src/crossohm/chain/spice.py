"""The arrays of a core as SPICE netlists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from crossohm.backends import backend_of, is_array
from crossohm.chain.blocks import Block, block_parts
from crossohm.chain.contraction import Dense
from crossohm.chain.drive import Drive
from crossohm.chain.dtypes import joint_dtype
from crossohm.chain.job import Job, make_job
from crossohm.chain.programmed import OPERATIONS, array_name
from crossohm.chain.wired import unused_rows, wires_of_slice
from crossohm.circuits.grid.netlist import netlist
from crossohm.errors import CrossOhmError, DataError, InputError, ShapeError, UnsupportedError

if TYPE_CHECKING:
    from crossohm.chain.core import AnalogCore


def to_spice(
    core: AnalogCore, path: str | Path, x: Any, operation: str = "mvm", *, input_slice: int | None = None
) -> list[Path]:
    """Write one netlist per physical array (one per pair, if interleaved) for one input vector.

    A netlist has the programmed conductances, unit lines and wires of its array and gives the line currents before
    limits, subtraction and ADCs; read noise is not in it. Files of the same names are replaced.

    Args:
        core: The core.
        path: Folder for the files; made if missing.
        x: Input vector in the user's units, ``(N,)`` for ``"mvm"`` or ``(M,)`` for ``"vmm"``.
        operation: ``"mvm"`` (``core @ x``) or ``"vmm"`` (``x @ core``).
        input_slice: With input bit slicing, the slice to apply, 0 = least significant; None without.

    Returns:
        The files, ordered by partition, slice and sign.

    Raises:
        ShapeError: ``x`` does not fit the core.
        InputError: ``x`` is complex, or holds NaN or infinity.
        CrossOhmError: ``operation`` or ``input_slice`` does not exist.
        UnsupportedError: The core is complex, or its cells are nonlinear.
        DataError: The folder cannot be made.
    """
    if operation not in OPERATIONS:
        raise CrossOhmError(f"operation is {operation!r}; pass 'mvm' (core @ x) or 'vmm' (x @ core)")
    if core.complex_valued:
        raise UnsupportedError(
            "netlists of complex cores are not available; build a core from the real or the imaginary part instead"
        )
    vector = _input_vector(core, x, operation)
    files = [file for block in core.blocks for file in _block_files(core, block, vector, operation, input_slice)]
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{folder}, or a folder it lies in, is a file; pass a folder for the netlists") from None
    for name, text in files:
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name, _ in files]


def _input_vector(core: AnalogCore, x: Any, operation: str) -> np.ndarray:
    """``x`` on the host, in the dtype in which the core would compute."""
    given = x if is_array(x) else np.asarray(x)
    backend = backend_of(given)
    dtype = backend.dtype_name(given)
    length = core.shape[1 if operation == "mvm" else 0]
    if tuple(given.shape) != (length,):
        raise ShapeError(f"x has shape {tuple(given.shape)}; {operation} of a core of shape {core.shape}: ({length},)")
    if not dtype.startswith(("float", "int", "uint", "bool", "bfloat")):
        raise InputError(f"x has dtype {dtype}; a netlist needs real numbers")
    vector = np.asarray(backend.to_numpy(given)).astype(joint_dtype(str(core.dtype), dtype))
    if not np.all(np.isfinite(vector)):
        raise InputError("x holds NaN or infinity; no source applies them, pass finite numbers")
    return vector


def _block_files(
    core: AnalogCore, block: Block, vector: np.ndarray, operation: str, input_slice: int | None
) -> Iterator[tuple[str, str]]:
    """Name and text of every netlist of one block."""
    inputs = block.columns if operation == "mvm" else block.rows
    x = vector[np.newaxis, inputs]
    job = make_job(block.record, block.params, operation, Dense(x.shape[1]), x, tapped=False)
    if job.law is not None:
        raise UnsupportedError(
            "xbar.device.nonlinear_IV.enable = True: the resistors of a netlist are linear; set it to False"
        )
    voltages = _voltages(job.drive, x, input_slice, operation)[0]
    for place in _places(core, block, job):
        yield _file(core, block, job, place, voltages, input_slice)


def _voltages(drive: Drive, x: np.ndarray, input_slice: int | None, operation: str) -> np.ndarray:
    """Normalised array voltages ``(1, features)`` of all bits, or of one input slice."""
    quantised = drive.dac.quantize(drive.normalise(x)[0])
    count = len(drive.dac.plane_weights)
    if not drive.dac.sliced:
        if input_slice is not None:
            raise CrossOhmError(
                f"input_slice is {input_slice!r}, but xbar.dac.{operation}.input_bitslicing is False; pass None"
            )
        return np.asarray(quantised)
    if isinstance(input_slice, bool) or not isinstance(input_slice, int | np.integer) or not 0 <= input_slice < count:
        raise CrossOhmError(
            f"input_slice is {input_slice!r}, and inputs are applied in {count} slices "
            f"(xbar.dac.{operation}.input_bitslicing); pass one of 0 to {count - 1}, 0 = least significant"
        )
    return np.asarray(drive.dac.planes(quantised, input_slice, input_slice + 1)[0])


@final
@dataclass(frozen=True)
class _Place:
    """One network of a job.

    Attributes:
        outputs: Outputs of the array, in the block.
        inputs: Inputs of the array, in the block.
        part: Number of its output partition in the block, as the operation sees it.
        partition: Partition of the core, as in `PhysicalArray`.
        weight_slice: Weight slice.
        signs: Signs in the network: one, or both of an interleaved pair.
        name: Name as in `PhysicalArray`.
    """

    outputs: slice
    inputs: slice
    part: int
    partition: tuple[int, int]
    weight_slice: int
    signs: slice
    name: str


def _places(core: AnalogCore, block: Block, job: Job) -> Iterator[_Place]:
    first = (0, 0)
    if len(core.blocks) > 1:
        first = (block_parts(core.blocks, 0).index(block.rows), block_parts(core.blocks, 1).index(block.columns))
    per_network = job.mapping.signs if job.interleaved else 1
    for row, rows in enumerate(block.record.row_parts):
        for column, columns in enumerate(block.record.column_parts):
            sides = [(row, rows), (column, columns)]
            (part, outputs), (_, inputs) = sides if job.operation == "mvm" else sides[::-1]
            for s in range(job.mapping.slices):
                for k in range(0, job.mapping.signs, per_network):
                    name = f"{block.record.name}/{array_name(row, column, s, k, job.mapping.signs)}"
                    if job.interleaved:
                        name += "-"
                    signs, partition = slice(k, k + per_network), (first[0] + row, first[1] + column)
                    yield _Place(outputs, inputs, part, partition, s, signs, name)


def _file(
    core: AnalogCore, block: Block, job: Job, place: _Place, voltages: np.ndarray, input_slice: int | None
) -> tuple[str, str]:
    g = job.conductance[place.weight_slice, place.signs, place.outputs, place.inputs]
    if job.units is not None:
        unit = job.units[place.weight_slice, np.newaxis, place.part : place.part + 1, place.inputs]
        g = np.concatenate([unit, g], axis=1)
    parasitics, device = block.params.xbar.array.parasitics, block.params.xbar.device
    text = netlist(
        g,
        voltages[place.inputs],
        wires_of_slice(block.params, job.operation, place.weight_slice),
        r_min=device.Rmin,
        v_read=device.Vread,
        gated=parasitics.effective and not parasitics.current_from_input,
        unused=unused_rows(block.params, job.operation, g.shape[2]),
        unused_at=parasitics.selected_rows,
        title="\n".join(_heading(core, block, job, place, input_slice)),
    )
    return _file_name(core, job, place, input_slice), text


def _file_name(core: AnalogCore, job: Job, place: _Place, input_slice: int | None) -> str:
    """``<core>_<operation>_array<r>_<c>_slice<s>[_plus|_minus|_pair][_input<k>].cir``."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", core.name)
    sign = "_pair" if job.interleaved else ("_plus", "_minus")[place.signs.start] if job.mapping.signs == 2 else ""
    bits = "" if input_slice is None else f"_input{input_slice}"
    r, c = place.partition
    return f"{name}_{job.operation}_array{r}_{c}_slice{place.weight_slice}{sign}{bits}.cir"


def _heading(core: AnalogCore, block: Block, job: Job, place: _Place, input_slice: int | None) -> Iterator[str]:
    """What the netlist is and how its lines and currents relate to the matrix."""
    device, forward = block.params.xbar.device, job.operation == "mvm"
    outputs, inputs = ("row", "column") if forward else ("column", "row")
    first_output, first_input = (block.rows.start, block.columns.start)[:: 1 if forward else -1]
    unit = "line 0 is the unit line, then " if job.units is not None else ""
    yield f"array {place.name}"
    yield f"core {core.name}, seed {core.seed}, {'core @ x' if forward else 'x @ core'}, partition {place.partition}"
    yield f"input lines: matrix {inputs}s from {first_input + place.inputs.start} on"
    yield f"output lines: {unit}matrix {outputs}s from {first_output + place.outputs.start} on"
    yield (
        f"normalised current 1 = v_read / r_min = {device.Vread!r} V / {device.Rmin!r} ohm "
        f"= {device.Vread / device.Rmin:.9g} A"
    )
    if input_slice is not None:
        weight = job.drive.dac.plane_weights[input_slice]
        yield f"input slice {input_slice} of {len(job.drive.dac.plane_weights)}, weight {weight:.9g} in the input"
    if job.noise is not None:
        yield "conductances without read noise"
