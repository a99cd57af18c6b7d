"""What must hold between parameters, what probably was not meant, and what has no effect.

`rules` and `advice` register with the root of the tree, which runs them; `idle` finds settings without effect, and
`effects` says so.
"""

from crossohm.params.checks import advice, rules
from crossohm.params.checks.effects import Advice, switched_off, without_effect

__all__ = ["Advice", "advice", "rules", "switched_off", "without_effect"]
