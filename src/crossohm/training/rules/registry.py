"""Rules by name: the built-in ones, a user's own, and installed plug-ins (``crossohm.training_rules``)."""

from __future__ import annotations

from crossohm._names import Registry
from crossohm.training.rules.model import Rule

RULES: Registry[Rule] = Registry("training rule", "crossohm.training_rules", Rule)
rule = RULES.register
