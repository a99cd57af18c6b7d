"""Trained weights of others: state dictionaries in ``.safetensors`` or PyTorch files, read without executing them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from crossohm.errors import DataError

#: Under these names training scripts put the weights beside the state of the optimiser.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
_SHOWN = 6


def load_checkpoint(network: nn.Module, path: Path, name: str) -> None:
    """Put the weights of a file into a network.

    Names may carry the prefix ``module.`` that data-parallel training adds. Every weight must be there, have its place
    and its shape.

    Args:
        network: The network, changed in place.
        path: ``.safetensors``, or a file written by ``torch.save`` (read with ``weights_only=True``).
        name: Of the network, for messages.

    Raises:
        DataError: the file cannot be read, holds no weights, or those of another network; lists what differs.
    """
    found, wanted = _without_prefix(_read(path)), network.state_dict()
    # Counters of batches seen do not change answers, and old checkpoints lack them.
    missing = [key for key in wanted if key not in found and not key.endswith("num_batches_tracked")]
    extra = [key for key in found if key not in wanted]
    shapes = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    problems = [
        f"{len(items)} {what}: {_listed(items)}"
        for what, items in (("missing", missing), ("without a place in it", extra), ("of another shape", shapes))
        if items
    ]
    if problems:
        raise DataError(f"{path}: not the weights of {name!r}; {'; '.join(problems)}. Check factory and options")
    broken = [key for key, value in found.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise DataError(f"{path}: holds weights that are not finite: {_listed(broken)}")
    network.load_state_dict(found, strict=False)


def _read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in a file, by name."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise DataError(f"{path}: not an intact safetensors file ({error}). Fetch it again") from error
    except Exception as error:  # a damaged file can fail in any way; the message of torch may be a page long
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{path}: not a file of weights that PyTorch reads without executing it ({reason}). "
            "Save the state dictionary: torch.save(network.state_dict(), path), or use safetensors"
        ) from error
    return _state(path, found)


def _state(path: Path, found: Any) -> dict[str, torch.Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not found:
        raise DataError(f"{path}: holds a {type(found).__name__}, not a dictionary of weights by name")
    wrong = [str(key) for key, value in found.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        raise DataError(f"{path}: not a dictionary of weights; {_listed(wrong)} are none. Save network.state_dict()")
    return {str(key): value for key, value in found.items()}


def _without_prefix(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if not all(key.startswith("module.") for key in state):
        return state
    return {key.removeprefix("module."): value for key, value in state.items()}


def _listed(items: list[str]) -> str:
    more = len(items) - _SHOWN
    return ", ".join(items[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
