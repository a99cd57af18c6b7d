"""Keras on one backend per process: ``KERAS_BACKEND`` chooses it, as for users.

``make test`` runs this folder once per backend, in processes of their own.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("JAX_ENABLE_X64", "true")  # layers in double precision

import keras
import pytest
from keras.src.backend.common import dtypes

# Keras computes parts of float64 layers in single precision, on all backends but TensorFlow; laws are tested in double.
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave laws that do not depend on the backend to the fast ones: on JAX they would take minutes of compilation."""
    if keras.backend.backend() != "jax":
        return
    left_out = [item for item in items if item.get_closest_marker("plain_keras")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def backend() -> str:
    """The backend of this process."""
    return str(keras.backend.backend())
