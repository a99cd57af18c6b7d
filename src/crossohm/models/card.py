"""What is known about a shipped network. It is stored with the weights by the script that trained them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from safetensors import SafetensorError, safe_open

from crossohm.errors import DataError
from crossohm.models._registry import weight_file


@final
@dataclass(frozen=True)
class ModelCard:
    """A trained network in numbers.

    Args:
        name: As `load_model` knows it.
        dataset: As `crossohm.datasets.load_dataset` knows it.
        accuracy: Share of the test split classified right in float32, 0..1.
        test_images: Size of that test split.
        parameters: Number of trained parameters.
        command: What produced the weights.
        seed: Of initialisation, shuffling, dropout and augmentation.
        torch_version: The PyTorch that trained it.
    """

    name: str
    dataset: str
    accuracy: float
    test_images: int
    parameters: int
    command: str
    seed: int
    torch_version: str

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.parameters:,} parameters, {self.accuracy:.2%} of the {self.test_images:,} "
            f"test images of {self.dataset} right in float32\n"
            f"trained with: {self.command} (seed {self.seed}, torch {self.torch_version})"
        )

    def to_metadata(self) -> dict[str, str]:
        """The card as safetensors metadata, which holds strings only."""
        return {field: str(getattr(self, field)) for field in _READ}

    @staticmethod
    def from_metadata(metadata: dict[str, str]) -> ModelCard:
        """The card stored by `to_metadata`.

        Raises:
            KeyError: an entry is missing.
            ValueError: an entry that should be a number is none.
        """
        return ModelCard(**{field: read(metadata[field]) for field, read in _READ.items()})


_READ = {
    "name": str,
    "dataset": str,
    "accuracy": float,
    "test_images": int,
    "parameters": int,
    "command": str,
    "seed": int,
    "torch_version": str,
}


def model_card(name: str) -> ModelCard:
    """The card of the shipped network called ``name``; PyTorch is not needed for it.

    Raises:
        UnknownNameError: no such network.
        DataError: the weight file is damaged or has no card.
    """
    path = weight_file(name)
    try:
        return ModelCard.from_metadata(_metadata(path))
    except (KeyError, ValueError) as error:
        raise DataError(f"{path}: its card lacks or misstates {error}. Reinstall crossohm") from error


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path}: not a readable weight file ({error}). Reinstall crossohm") from error
