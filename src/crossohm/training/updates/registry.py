"""Update models by name: the built-in ones, a user's own, and installed plug-ins (``crossohm.update_models``)."""

from __future__ import annotations

from crossohm._names import Registry
from crossohm.training.updates.model import UpdateModel

UPDATE_MODELS: Registry[UpdateModel] = Registry("update model", "crossohm.update_models", UpdateModel)
update_model = UPDATE_MODELS.register
