"""Resistive networks of arrays: what wires do to currents."""

from crossohm.circuits.grid.conjugate import DrivenNetwork, elimination_work
from crossohm.circuits.grid.ladder import ladder_currents
from crossohm.circuits.grid.newton import GridState, Law, cell_currents, grid_state
from crossohm.circuits.grid.reduction import effective_matrix
from crossohm.circuits.grid.sensitivity import DisturbedNetwork
from crossohm.circuits.grid.wires import Wires

__all__ = [
    "DisturbedNetwork",
    "DrivenNetwork",
    "GridState",
    "Law",
    "Wires",
    "cell_currents",
    "effective_matrix",
    "elimination_work",
    "grid_state",
    "ladder_currents",
]
