"""A study as a tree of plain values: short forms written out, and settings assigned by path."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from crossohm.errors import ParameterError
from crossohm.params import CrossSimParameters
from crossohm.params.text import join
from crossohm.studies.file.sections import SHORT_FORMS, LayerSection, Study

#: First names of hardware parameters; a path that begins with one of them means hardware.set.
HARDWARE_GROUPS = tuple(CrossSimParameters.model_fields)

_LAYER_FIELDS = tuple(name for name in LayerSection.model_fields if name != "set")
_DEEPEST = 100


def written_out(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the tree with short forms in full, and with hardware parameters by dotted path.

    What has the wrong type is left as it is: validation names it.
    """
    full = copy.deepcopy(dict(tree))
    for name, section in full.items():
        if section is None and name in Study.model_fields and name != "name":
            full[name] = {}  # an empty section
        elif name in SHORT_FORMS and not isinstance(section, dict):
            full[name] = {field: section for field in SHORT_FORMS[name]}
    metric, hardware = full.get("metric"), full.get("hardware")
    if isinstance(metric, dict) and isinstance(metric.get("top_k"), int):
        metric["top_k"] = [metric["top_k"]]
    metrics = full.get("metrics")
    if isinstance(metrics, str | list | tuple):
        several = [metrics] if isinstance(metrics, str) else metrics
        full["metrics"] = [{"name": one} if isinstance(one, str) else one for one in several]
    if isinstance(hardware, dict):
        for group in (hardware, *_groups(hardware.get("layers"))):
            if isinstance(group.get("set"), dict):
                group["set"] = dict(flat(group["set"]))
    return full


def _groups(layers: Any) -> Iterator[dict[str, Any]]:
    if isinstance(layers, dict):
        yield from (layer for layer in layers.values() if isinstance(layer, dict))


def flat(values: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Dotted paths of the single values in nested groups; later ones win where a path comes twice."""
    for name, value in values.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from flat(value, join(prefix, name), depth + 1)
        else:
            yield join(prefix, name), value


def assign(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set one value of a written-out tree.

    Args:
        tree: Is changed.
        path: ``xbar.adc.mvm.bits`` (hardware of all layers), ``conv*:xbar.adc.mvm.bits`` (of layers whose names match),
            ``conv*:digital``, or a path in the study such as ``calibration.percentile``.
        value: Anything; validation of the tree follows.

    Raises:
        ParameterError: the path leads into a single value. Unknown names are left to the validation of the tree.
    """
    *sections, name = _way(path)
    target = tree
    for section in sections:
        target = _section(target, section, path)
    if sections and sections[-1] == "set" and isinstance(value, dict):
        target |= dict(flat(value, name))
    elif not sections and name in SHORT_FORMS and not isinstance(value, dict):
        _section(target, name, path).update({field: value for field in SHORT_FORMS[name]})
    else:
        target[name] = value


def _way(path: str) -> list[str]:
    """Sections of the tree on the way to a setting, and its name; hardware parameters keep their dots."""
    pattern, colon, rest = path.partition(":")
    if colon:
        layer = ["hardware", "layers", pattern]
        return [*layer, rest] if rest in _LAYER_FIELDS else [*layer, "set", rest]
    if path.partition(".")[0] in HARDWARE_GROUPS:
        return ["hardware", "set", path]
    if path.startswith("hardware.set."):
        return ["hardware", "set", path.removeprefix("hardware.set.")]
    return path.split(".")


def _section(tree: dict[str, Any], name: str, path: str) -> dict[str, Any]:
    inner = tree.setdefault(name, {})
    if not isinstance(inner, dict):
        raise ParameterError(path, inner, f"{name} is a single value here and has no parts")
    return inner
