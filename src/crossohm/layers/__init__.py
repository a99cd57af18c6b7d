"""What analog layers are in every framework: where parameters lie, how products run, what users choose by name."""

from crossohm.layers.layout import Layout, Placement, View
from crossohm.layers.layouts import (
    Blocks,
    CellParameters,
    convolutional,
    dense,
    kernel_of_inputs,
    kernel_of_outputs,
    recurrent,
    shared,
)
from crossohm.layers.maps.einsum import ProductEquation

__all__ = [
    "Blocks",
    "CellParameters",
    "Layout",
    "Placement",
    "ProductEquation",
    "View",
    "convolutional",
    "dense",
    "kernel_of_inputs",
    "kernel_of_outputs",
    "recurrent",
    "shared",
]
