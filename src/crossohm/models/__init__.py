"""Trained networks to put on simulated hardware: small ones of ours, and yours.

    >>> from crossohm.models import load_model, model_card
    >>> network = load_model("digits_cnn")  # torch.nn.Module in eval mode
    >>> model_card("digits_cnn").parameters
    6622

A network of yours comes from a factory and a checkpoint, ``load_model("nets.py:make", checkpoint="net.pth")``, from an
exported program, ``load_model("net.pt2")``, or from a file of Keras, ``load_model("net.keras")``. The weights of ours
are safetensors files in this package; the scripts that made them are ``examples/train_*.py``. PyTorch, or Keras, is
imported when a network is built, not before.
"""

from crossohm.models._load import Pairing, architecture_names, framework_of, load_model, model_pairing, trained_on
from crossohm.models._registry import model_names
from crossohm.models.card import ModelCard, model_card

__all__ = [
    "ModelCard",
    "Pairing",
    "architecture_names",
    "framework_of",
    "load_model",
    "model_card",
    "model_names",
    "model_pairing",
    "trained_on",
]
