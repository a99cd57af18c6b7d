"""What analog layers are in every framework: where parameters lie, how products run, what users choose by name."""

from crossohm.layers.layout import Layout, Placement, View
from crossohm.layers.layouts import convolutional, dense, kernel_of_inputs, kernel_of_outputs, recurrent, shared

__all__ = [
    "Layout",
    "Placement",
    "View",
    "convolutional",
    "dense",
    "kernel_of_inputs",
    "kernel_of_outputs",
    "recurrent",
    "shared",
]
