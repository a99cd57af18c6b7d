"""PyTorch as `crossohm.layers.network.FrontEnd`."""

from __future__ import annotations

import torch

from crossohm.errors import ParameterError
from crossohm.torch.insitu.learner import learner
from crossohm.torch.network import TorchNetwork

__all__ = ["learner", "network", "require_device", "use_threads"]


def network(
    model: torch.nn.Module, batch_size: int = 250, *, fold_batchnorm: bool = True, device: str | None = None
) -> TorchNetwork:
    """A module as a network."""
    return TorchNetwork(model, batch_size, fold_batchnorm=fold_batchnorm, device=device)


def use_threads(count: int) -> None:
    """Limit PyTorch to a number of CPU threads, in the whole process."""
    torch.set_num_threads(count)


def require_device(name: str, path: str, *, here: bool = True) -> None:
    """Refuse a device that is not there before anything is moved to it.

    Args:
        name: As torch names devices, e.g. ``"cuda:0"``.
        path: Setting that holds the name, for messages.
        here: False: the device is on another machine; only its name is looked at.

    Raises:
        ParameterError: there is no such device, or no numbers come back from it; lists those that there are.
    """
    try:
        device = torch.device(name)
        if here:
            torch.zeros(1, device=device).cpu()
    except Exception as error:  # each kind of device fails in its own way
        said = str(error).splitlines()[0].partition(". ")[0]
        why = "there is no such kind of device" if said.startswith("Expected one of") else said[:100]
        raise ParameterError(
            path, name, f"PyTorch cannot compute there ({why})", allowed=f"on this machine: {', '.join(_available())}"
        ) from None


def _available() -> list[str]:
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]
