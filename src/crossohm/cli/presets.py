"""``crossohm presets``: the hardware descriptions that come with crossohm."""

from __future__ import annotations


def presets() -> None:
    """List the hardware descriptions that come with crossohm, for --hardware."""
    from crossohm.cli import tables
    from crossohm.params import CrossSimParameters, preset_names

    found = {name: CrossSimParameters.from_json(name) for name in preset_names()}
    tables.presets_table(found).write()
