"""Networks in files of Keras: ``.keras``, and HDF5 of all its eras. Nothing in a file is ever executed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras

from crossohm.errors import DataError, UnsupportedError
from crossohm.keras.configuration import Cleaned, cleaned
from crossohm.keras.layers.layer import chips_to_come
from crossohm.layers.given import users_level

#: Entry of HDF5 files, and member of ``.keras`` files, that describes the network.
_HDF5_ENTRY, _KERAS_MEMBER = "model_config", "config.json"


def load_model(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A network from a file, not compiled.

    What only training needs (optimizer, losses, metrics) is not read; regularizers, constraints and initializers that
    this process does not know are dropped.

    Args:
        path: ``.keras``, or HDF5 as written by Keras 1 to 3 and tf.keras.
        custom_objects: Layers and functions of yours by the name they have in the file.

    Raises:
        DataError: the file cannot be read, is damaged, or holds no network.
        UnsupportedError: the network has layers or functions this process does not know, or its file holds code.

    Warns:
        RuntimeWarning: names what was dropped.
    """
    place, custom = Path(path), dict(custom_objects or {})
    read, write, ending = _format(place)
    with keras.saving.custom_object_scope(custom):
        found = cleaned(_described(place, read), str(place))
        with tempfile.TemporaryDirectory() as folder:
            model = _loaded(_rewritten(place, found, write, Path(folder) / f"network{ending}"), place, custom)
    if found.dropped:
        message = (
            f"{place}: objects this process does not know, which only training needs, are left out: "
            f"{', '.join(found.dropped)}; to keep them, pass custom_objects"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=users_level())
    return model


def _format(place: Path) -> tuple[Callable[[Path], str], Callable[[Path, Path, str], None], str]:
    """What reads and changes the description in a file, and how such files end."""
    if place.is_dir():
        raise UnsupportedError(
            f"{place}: a folder (a TensorFlow SavedModel?) is no network that Keras 3 can rebuild; load it with the "
            "tf.keras that wrote it and save it as .keras or .h5"
        )
    try:
        with place.open("rb"):
            pass
        if zipfile.is_zipfile(place):
            return _read_keras, _write_keras, ".keras"
        if h5py.is_hdf5(place):
            return _read_hdf5, _write_hdf5, ".h5"
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror or error})") from error
    raise DataError(f"{place}: neither a .keras file (zip) nor HDF5, or damaged. Save the network with model.save")


def _described(place: Path, read: Callable[[Path], str]) -> dict[str, Any]:
    """The configuration of the network in a file."""
    try:
        found = json.loads(read(place))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{place}: holds no description of a network, or a damaged one ({first_line(error)}). Files of "
            "save_weights hold weights only: build the network and call load_weights"
        ) from error
    if not isinstance(found, dict) or "class_name" not in found:
        raise DataError(f"{place}: its description is none of a Keras network. Save the network with model.save")
    return found


def _rewritten(place: Path, found: Cleaned, write: Callable[[Path, Path, str], None], copy: Path) -> Path:
    """The file itself if Keras can read it as it is, or a copy with another description."""
    if not found.changed and place.name.endswith(copy.suffix):
        return place
    try:
        write(place, copy, json.dumps(found.config))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{place}: damaged ({first_line(error)}). Fetch it again") from error
    return copy


def _loaded(file: Path, place: Path, custom: dict[str, Any]) -> Any:
    try:
        with chips_to_come():
            return keras.saving.load_model(file, custom_objects=custom, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file, or a layer of anyone's, fails in any way
        raise DataError(
            f"{place}: Keras cannot rebuild the network ({type(error).__name__}: {first_line(error)}). The file is "
            "damaged, or was written by a version of Keras that this one does not understand"
        ) from error


def _read_keras(place: Path) -> str:
    with zipfile.ZipFile(place) as archive:
        return archive.read(_KERAS_MEMBER).decode()


def _write_keras(place: Path, copy: Path, config: str) -> None:
    with zipfile.ZipFile(place) as archive, zipfile.ZipFile(copy, "w") as new:
        for member in archive.infolist():
            new.writestr(member, config if member.filename == _KERAS_MEMBER else archive.read(member))


def _read_hdf5(place: Path) -> str:
    with h5py.File(place) as file:
        text = file.attrs[_HDF5_ENTRY]
        return text.decode() if isinstance(text, bytes) else str(text)


def _write_hdf5(place: Path, copy: Path, config: str) -> None:
    shutil.copyfile(place, copy)
    copy.chmod(0o600)
    with h5py.File(copy, "r+") as file:
        file.attrs[_HDF5_ENTRY] = config


def first_line(error: BaseException) -> str:
    """What an error says, without its details."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
