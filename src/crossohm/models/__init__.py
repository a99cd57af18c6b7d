"""Small networks trained by us, to have something real to put on simulated hardware.

    >>> from crossohm.models import load_model, model_card
    >>> network = load_model("digits_cnn")  # torch.nn.Module in eval mode
    >>> model_card("digits_cnn").parameters
    6622

The weights are safetensors files in this package; the scripts that made them are ``examples/train_*.py``. PyTorch is
imported when a network is built, not before.
"""

from crossohm.models._registry import load_model, model_names
from crossohm.models.card import ModelCard, model_card

__all__ = ["ModelCard", "load_model", "model_card", "model_names"]
