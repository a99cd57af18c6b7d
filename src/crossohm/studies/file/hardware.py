"""Hardware descriptions as a user names them: a preset or a file, and single parameters set by path."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crossohm.errors import ParameterError
from crossohm.params import CrossSimParameters
from crossohm.params.files import relative_to
from crossohm.studies.file.sections import HardwareSection, LayerSection

_WORDS = {"True": True, "False": False, "None": None}


def load_hardware(name: str, overrides: Iterable[str] = ()) -> CrossSimParameters:
    """The hardware called ``name`` with some parameters changed.

    Args:
        name: A preset, or a file whose name ends in ``.json``, ``.yaml`` or ``.yml``.
        overrides: Texts ``path=value``, e.g. ``"xbar.adc.mvm.bits=6"``; see `parse_override`.

    Raises:
        ParameterError: the description or an override is not valid.
        DataError: the file cannot be read.
    """
    is_yaml = Path(name).suffix in (".yaml", ".yml")
    params = CrossSimParameters.from_yaml(name) if is_yaml else CrossSimParameters.from_json(name)
    for text in overrides:
        path, value = parse_override(text)
        params.update({path: value})
    return params


def describe(section: HardwareSection, folder: Path, exceptions: Iterable[LayerSection] = ()) -> CrossSimParameters:
    """The hardware of a study, or of layers for which it makes exceptions.

    Args:
        section: The hardware of all layers.
        folder: Where relative file names start.
        exceptions: Those that apply, in order; later ones win.

    Raises:
        ParameterError: a parameter is unknown or has a wrong value.
        DataError: a file cannot be read.
    """
    base, changes = section.base, dict(section.set)
    for layer in exceptions:
        base = layer.base or base
        changes |= layer.set
    beside = folder / base
    params = load_hardware(str(beside) if os.path.isfile(beside) else base)  # any text may be asked about
    with relative_to(folder):
        params.update(changes)
    return params


def parse_override(text: str) -> tuple[str, Any]:
    """Path and value of ``path=value``.

    The value is JSON (``8``, ``1e4``, ``true``, ``null``, ``[-1, 1]``), ``True``, ``False`` or ``None``; anything else
    is taken as text, so that names need no quotes.

    Raises:
        ParameterError: it is not of this form.
    """
    path, equals, value = (part.strip() for part in text.partition("="))
    if not (path and equals and value):
        raise ParameterError("--set", text, "not of the form path=value", allowed="e.g. xbar.adc.mvm.bits=6")
    if value in _WORDS:
        return path, _WORDS[value]
    try:
        return path, json.loads(value)
    except ValueError:
        return path, value
