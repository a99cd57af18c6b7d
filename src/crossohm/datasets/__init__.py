"""Image data sets for measuring what analog hardware does to a trained network.

    >>> from crossohm.datasets import load_dataset
    >>> test = load_dataset("digits")  # needs scikit-learn, nothing is downloaded
    >>> test.images.shape
    (596, 1, 8, 8)

All others are read from their published files in a folder of yours (``data_dir``). Nothing here imports a
machine-learning framework: a `Dataset` holds NumPy arrays.
"""

from crossohm.datasets._dataset import Dataset
from crossohm.datasets._load import dataset_names, load_dataset
from crossohm.datasets.idx import read_idx
from crossohm.datasets.preprocessing import (
    PREPROCESSINGS,
    Framing,
    Normalisation,
    Preprocessing,
    read_preprocessing,
)

__all__ = [
    "PREPROCESSINGS",
    "Dataset",
    "Framing",
    "Normalisation",
    "Preprocessing",
    "dataset_names",
    "load_dataset",
    "read_idx",
    "read_preprocessing",
]
