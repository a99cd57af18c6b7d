"""Networks and weights in files of Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossohm.errors import DataError
from crossohm.keras.loading import first_line, load_model


def read_network(path: Path) -> Any:
    """The network in a file, see `crossohm.keras.load_model`."""
    return load_model(path)


def load_weights(network: Any, path: Path, name: str) -> None:
    """Put the weights of a file into a network.

    Args:
        network: The network, changed in place.
        path: Written by ``save_weights``.
        name: Of the network, for messages.

    Raises:
        DataError: the file cannot be read, or holds the weights of another network.
    """
    try:
        network.load_weights(path)
    except Exception as error:  # Keras and HDF5 fail in many ways
        raise DataError(
            f"{path}: not the weights of {name!r} ({first_line(error)}). Check factory and options"
        ) from error
