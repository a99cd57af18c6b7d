"""When, where and with what results were made."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import crossohm

_LIBRARIES = ("numpy", "scipy", "torch", "scikit-learn", "pydantic", "array-api-compat")


def provenance() -> dict[str, Any]:
    """When, where and with which versions results were made."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"crossohm": crossohm.__version__, "python": platform.python_version(), **_versions()},
        "host": {"system": platform.system(), "machine": platform.machine(), "byte_order": sys.byteorder},
    }


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue  # optional
    return found
