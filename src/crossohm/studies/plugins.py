"""Device and converter models in a user's own Python file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from crossohm.errors import DataError


def load_plugin(path: str | Path) -> None:
    """Execute a Python file that registers models with ``@device``, ``@adc`` or ``@dac``.

    Installed packages need no such call: they announce their models as entry points.

    Raises:
        DataError: there is no such file, or it cannot be executed.
    """
    file = Path(path)
    if not file.is_file():
        raise DataError(f"{file}: no such file; give the path of a Python file that registers models")
    name = f"crossohm_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise DataError(f"{file}: not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's own code may raise anything
        del sys.modules[name]
        raise DataError(f"{file}: {type(error).__name__}: {error}") from error
