"""Which network a study means, and how its images must be prepared for it."""

from __future__ import annotations

from pathlib import Path

from crossohm.datasets import PREPROCESSINGS, Preprocessing, read_preprocessing
from crossohm.datasets.arrays import SUFFIXES as ARRAY_FILES
from crossohm.datasets.arrays import is_file_of_arrays
from crossohm.errors import ParameterError
from crossohm.models import model_names, model_pairing
from crossohm.models.pairing import model_for
from crossohm.studies.file.sections import DatasetSection, Study

_OWN_FILES = (".pt2", ".keras", ".h5", ".hdf5", *ARRAY_FILES)


def network_name(study: Study, folder: Path) -> str:
    """The network of a study, for `load_model`; files are looked for from the folder of the study.

    Raises:
        ParameterError: a shipped network was trained on other data.
        UnknownNameError: no such network or data set.
        UnsupportedError: none is named, and none was trained on the data set.
    """
    name = study.model.name
    if name is None or name in model_names():
        return model_for(name, study.dataset.name)
    return placed(name, folder)


def placed(name: str, folder: Path) -> str:
    """A name with the folder before it if it is that of a file: ``file.py:function``, ``net.pt2``, ``data.npz``."""
    return name if file_of(name, folder) is None else str(folder / name)


def file_of(name: str, folder: Path) -> Path | None:
    """The file that a name means: of a function ``file.py:function``, or ``net.pt2``, ``data.npz``; None: no file."""
    source, colon, _ = name.rpartition(":")
    path = Path(source if colon else name)
    return folder / path if path.suffix in ((".py",) if colon else _OWN_FILES) else None


def preprocessing_of(study: Study, folder: Path) -> Preprocessing:
    """How the images of a study are prepared: as it says, or as the network declares.

    Data of a function or a file of the user's are taken as they come unless the study says otherwise.

    Raises:
        ParameterError: neither says it, and a guess could be wrong.
    """
    asked: DatasetSection = study.dataset
    if asked.preprocessing is not None:
        return read_preprocessing(asked.preprocessing)
    name = network_name(study, folder)
    pairing = model_pairing(name)
    if pairing is not None and pairing.dataset == asked.name:
        return pairing.preprocessing
    if ":" in asked.name or is_file_of_arrays(asked.name):
        return read_preprocessing("unit")
    declared = "" if pairing is None else f" ({name} was trained on {pairing.dataset!r})"
    raise ParameterError(
        "dataset.preprocessing", None, f"nobody declared how {name} was shown images of {asked.name!r}{declared}",
        allowed=", ".join(PREPROCESSINGS), remedy="Say what it was trained on; unit means values 0..1 as they are",
    )  # fmt: skip
