"""Device and converter models in a user's own Python file."""

from __future__ import annotations

from pathlib import Path

from crossohm._names import execute_file


def load_plugin(path: str | Path) -> None:
    """Execute a Python file that registers models with ``@device``, ``@adc`` or ``@dac``.

    Installed packages need no such call: they announce their models as entry points.

    Raises:
        DataError: there is no such file, or it cannot be executed.
    """
    execute_file(path)
