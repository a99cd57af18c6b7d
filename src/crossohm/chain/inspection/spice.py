"""The arrays of a core as SPICE netlists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crossohm.chain.inspection.stimulus import Stimulus, stimuli
from crossohm.chain.programming.state import CoreState
from crossohm.circuits.grid.netlist import netlist
from crossohm.errors import DataError, UnsupportedError


def to_spice(
    state: CoreState, path: str | Path, x: Any, operation: str = "mvm", *, input_slice: int | None = None
) -> list[Path]:
    """Write one netlist per physical array (one per pair, if interleaved) for one input vector.

    A netlist has the programmed conductances, unit lines and wires of its array and gives the line currents before
    limits, subtraction and ADCs; read noise is not in it. Files of the same names are replaced.

    Args:
        state: The core.
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
    files = [_file(state, stimulus, input_slice) for stimulus in stimuli(state, x, operation, input_slice)]
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{folder}, or a folder it lies in, is a file; pass a folder for the netlists") from None
    for name, text in files:
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name, _ in files]


def _file(state: CoreState, stimulus: Stimulus, input_slice: int | None) -> tuple[str, str]:
    """Name and text of one netlist."""
    if stimulus.setup.law is not None:
        raise UnsupportedError(
            "xbar.device.nonlinear_IV.enable = True: the resistors of a netlist are linear; set it to False"
        )
    network, device = stimulus.network, stimulus.setup.params.xbar.device
    text = netlist(
        network.g,
        stimulus.voltages,
        network.wires,
        r_min=device.Rmin,
        v_read=device.Vread,
        gated=network.gated,
        unused=network.unused,
        unused_at=network.unused_at,
        title="\n".join(_heading(state, stimulus, input_slice)),
    )
    return _file_name(state, stimulus, input_slice), text


def _file_name(state: CoreState, stimulus: Stimulus, input_slice: int | None) -> str:
    """``<core>_<operation>_array<r>_<c>_slice<s>[_plus|_minus|_pair][_input<k>].cir``."""
    setup, network = stimulus.setup, stimulus.network
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", state.name)
    sign = (
        "_pair" if setup.interleaved else ("_plus", "_minus")[network.signs.start] if setup.mapping.signs == 2 else ""
    )
    bits = "" if input_slice is None else f"_input{input_slice}"
    r, c = stimulus.partition
    return f"{name}_{setup.operation}_array{r}_{c}_slice{network.weight_slice}{sign}{bits}.cir"


def _heading(state: CoreState, stimulus: Stimulus, input_slice: int | None) -> Iterator[str]:
    """What the netlist is and how its lines and currents relate to the matrix."""
    block, setup, network = stimulus.block, stimulus.setup, stimulus.network
    device, operation = block.params.xbar.device, setup.operation
    outputs, inputs = operation.order("row", "column")
    first_output, first_input = operation.order(block.rows.start, block.columns.start)
    unit = "line 0 is the unit line, then " if setup.units is not None else ""
    yield f"array {network.name}"
    yield f"core {state.name}, seed {state.seed}, {setup.operation.product}, partition {stimulus.partition}"
    yield f"input lines: matrix {inputs}s from {first_input + network.inputs.start} on"
    yield f"output lines: {unit}matrix {outputs}s from {first_output + network.outputs.start} on"
    yield (
        f"normalised current 1 = v_read / r_min = {device.Vread!r} V / {device.Rmin!r} ohm "
        f"= {device.Vread / device.Rmin:.9g} A"
    )
    if input_slice is not None:
        weight = setup.drive.dac.plane_weights[input_slice]
        yield f"input slice {input_slice} of {len(setup.drive.dac.plane_weights)}, weight {weight:.9g} in the input"
    if setup.noise is not None:
        yield "conductances without read noise"
