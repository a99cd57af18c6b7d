"""Shipped networks by name. Each is a function in `crossohm.models.torch.networks` and a weight file of its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from crossohm._names import unknown
from crossohm.errors import DataError, MissingDependencyError

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Path(__file__).with_name("weights")

_NAMES = ("digits_cnn", "mnist_cnn")


def model_names() -> tuple[str, ...]:
    """Networks that come with crossohm, trained: names for `load_model` and `model_card`."""
    return _NAMES


def load_shipped(name: str) -> nn.Module:
    """The trained network called ``name``, in eval mode, float32, on the CPU.

    Raises:
        UnknownNameError: no such network.
        MissingDependencyError: PyTorch is not installed.
        DataError: the weight file is damaged or belongs to another architecture.
    """
    path = weight_file(name)
    network = build_model(name)
    from safetensors.torch import load_file  # imports torch

    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:  # torch: RuntimeError for names and shapes that differ
        raise DataError(f"{path}: not the weights of {name!r} ({error}). Reinstall crossohm") from error
    return network.eval()


def build_model(name: str) -> nn.Module:
    """The untrained network called ``name``, in training mode; what the training scripts start from.

    Raises:
        UnknownNameError: no such network.
        MissingDependencyError: PyTorch is not installed.
    """
    weight_file(name)
    try:
        from crossohm.models.torch import networks
    except ImportError:
        raise MissingDependencyError("PyTorch", "torch", f"The network {name!r}") from None
    builder = getattr(networks, name)
    network: nn.Module = builder()
    return network


def weight_file(name: str) -> Path:
    """Where the weights of the network called ``name`` lie.

    Raises:
        UnknownNameError: no such network.
    """
    if name not in _NAMES:
        raise unknown("model", name, _NAMES, "network")
    return WEIGHTS / f"{name}.safetensors"
