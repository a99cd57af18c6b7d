"""Which shipped network belongs to which data set."""

from __future__ import annotations

from crossohm.datasets import dataset_names
from crossohm.errors import ParameterError, UnknownNameError, UnsupportedError
from crossohm.models._registry import model_names
from crossohm.models.card import model_card


def model_for(name: str | None, dataset: str) -> str:
    """The network to use; it must have been trained on the data set.

    Raises:
        ParameterError: it was trained on other data.
        UnknownNameError: no such network or data set.
        UnsupportedError: none is named, and none was trained on the data set.
    """
    if name is None:
        return default_model(dataset)
    trained_on = model_card(name).dataset
    if trained_on != dataset:
        raise ParameterError(
            "model", name, f"was trained on {trained_on!r}, not on {dataset!r}",
            remedy=f"Use the data set {trained_on!r}, or leave the model out",
        )  # fmt: skip
    return name


def default_model(dataset: str) -> str:
    """The shipped network trained on a data set.

    Raises:
        UnknownNameError: no such data set.
        UnsupportedError: there is no network for it.
    """
    for name in model_names():
        if model_card(name).dataset == dataset:
            return name
    if dataset not in dataset_names():
        raise UnknownNameError("dataset", dataset, "no such data set", allowed=", ".join(dataset_names()))
    raise UnsupportedError(f"dataset = {dataset!r}: no shipped network was trained on it. Use digits or mnist")
