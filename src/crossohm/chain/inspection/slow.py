"""What makes every vector of a network a simulation of its own, and which setting makes it a matrix product again.

Both are asked of the decisions of lowering, on a small stand-in for a layer; no clock has a say.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from crossohm.chain.contraction.contraction import Dense
from crossohm.chain.lowering.setup import Setup, make_setup
from crossohm.chain.operation import Operation
from crossohm.chain.programming.state import program_core
from crossohm.params import CrossSimParameters

#: A layer in small: its weights reach both ends of the cells' range, as those of any layer do.
_WEIGHTS = np.array([[1.0, -0.5], [0.25, -1.0]])

#: What may make products fast, beginning with what changes the hardware least.
_SETTINGS: tuple[tuple[str, Any], ...] = (
    ("simulation.read_noise_sampling", "auto"),
    ("xbar.device.clip_conductance", False),
    ("xbar.array.parasitics.enable", False),
    ("xbar.device.read_noise.enable", False),
    ("xbar.device.nonlinear_IV.enable", False),
    ("xbar.array.parasitics.current_from_input", True),
)


def slow_path(params: CrossSimParameters, operation: str = Operation.MVM) -> str | None:
    """Why products on this hardware take long, and what to set instead; None if they are matrix products.

    Args:
        params: The hardware of a layer.
        operation: ``"mvm"`` or ``"vmm"``.

    Raises:
        ParameterError: the description cannot be built.
    """
    setup = _setup(params, operation)
    if not _is_slow(setup):
        return None
    return f"{_reason(setup)}; fast with {', or '.join(_remedies(params, operation))}{_faster(setup)}"


def _setup(params: CrossSimParameters, operation: str) -> Setup:
    perfect = params.copy()
    perfect.update({f"xbar.device.{error}.enable": False for error in ("programming_error", "drift_error")})
    perfect.update({"core.rows_max": 0, "core.cols_max": 0})
    record = program_core(_WEIGHTS, "float64", (perfect,), 0, "slow path").blocks[0].record
    return make_setup(record, perfect, Operation(operation), Dense(2), np.zeros(1), tapped=False)


def _is_slow(setup: Setup) -> bool:
    return setup.has_networks or setup.samples


def _reason(setup: Setup) -> str:
    if not setup.has_networks:
        return f"every cell is evaluated for every input vector ({setup.sampling_reason or 'nonlinear cells'})"
    if setup.law is not None:
        return "nonlinear cells on wires: every input vector is a network, solved step by step"
    if setup.noise is not None:
        return "read noise on wires: every input vector finds other cells and is a network of its own"
    return "wires with gate-selected rows: every pattern of inputs is a network of its own"


def _faster(setup: Setup) -> str:
    """What shortens the way without leaving it."""
    gated = not setup.params.xbar.array.parasitics.current_from_input
    exact = setup.params.simulation.read_noise_sampling != "first_order"
    if setup.has_networks and setup.noise is not None and setup.law is None and not gated and exact:
        return ", in a third of the time with simulation.read_noise_sampling = 'first_order'"
    return ""


def _remedies(params: CrossSimParameters, operation: str) -> Iterator[str]:
    """The settings that help, or where none does by itself, those that do together."""
    settings = [(path, value) for path, value in _SETTINGS if params.get(path) != value]
    for size in range(1, len(settings) + 1):
        found = []
        for chosen in combinations(settings, size):
            changed = params.copy()
            changed.update(dict(chosen))
            if not _is_slow(_setup(changed, operation)):
                found.append(" and ".join(f"{path} = {value!r}" for path, value in chosen))
        if found:
            yield from found
            return
