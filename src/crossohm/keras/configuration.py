"""The description of a network in a file, looked through before Keras builds anything from it."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, field
from typing import Any, final

import keras

from crossohm.errors import UnsupportedError

#: Ends of keys whose values only training needs, what finds them, and what takes their place.
_TRAINING: dict[str, tuple[Any, Any]] = {
    "_initializer": (keras.initializers.get, "zeros"),
    "_regularizer": (keras.regularizers.get, None),
    "_constraint": (keras.constraints.get, None),
}
#: Layers that hold code, or read it from somewhere.
_CODE = ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "FlaxNnxLayer")
#: Options that old layers have and new ones lack, and the values that have no effect; None: any value.
_GONE: dict[str, tuple[Any, ...] | None] = {
    "groups": (1,),
    "time_major": (False,),
    "ragged": (False, None),
    "sparse": (False, None),
    "renorm": (False, None),
    "virtual_batch_size": (None,),
    "adjustment": (None,),
    "fused": None,
    "implementation": None,
    "input_length": None,
}
_MODELS = ("Functional", "Sequential", "Model")
#: Values of arguments that Keras writes as objects without a class.
_VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__slice__", "__ellipsis__", "__typespec__")


@final
@dataclass
class Cleaned:
    """A description that this process can build a network from.

    Attributes:
        config: The description.
        dropped: What only training needs and this process does not know, e.g. ``kernel_constraint ClipPrecision``.
        missing: What the network needs and this process does not know.
        changed: True if the description is not as it was.
    """

    config: Any
    dropped: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    changed: bool = False


def cleaned(config: dict[str, Any], source: str) -> Cleaned:
    """A description without what only training needs and this process does not know.

    Args:
        config: As in the file; Keras' scope of custom objects counts as known.
        source: The file, for messages.

    Raises:
        UnsupportedError: it holds code, or the network needs objects that are not known.
    """
    found = Cleaned(None)
    found.config = _visited("", config, found, source)
    found.changed = found.config != config
    if found.missing:
        example = ", ".join(f"{name!r}: {name}" for name in sorted({item.split()[-1] for item in found.missing}))
        raise UnsupportedError(
            f"{source}: the network needs what this process does not know: {', '.join(found.missing)}. Pass it, e.g. "
            f"load_model(path, custom_objects={{{example}}}), or register it with "
            "keras.saving.register_keras_serializable"
        )
    return found


def _visited(key: str, value: Any, found: Cleaned, source: str) -> Any:
    """A part of the description, cleaned."""
    for end, (get, instead) in _TRAINING.items():
        if key.endswith(end):
            return _training_only(key, value, found, get, instead)
    if key.endswith("activation"):
        _note_function(key, value, found)
    if isinstance(value, list):
        return [_visited("", part, found, source) for part in value]
    if not isinstance(value, dict):
        return value
    if _is_object(value):
        value = _object(value, found, source)
    return {name: _visited(name, part, found, source) for name, part in value.items()}


def _is_object(value: dict[str, Any]) -> bool:
    return isinstance(value.get("class_name"), str) and "config" in value


def _object(value: dict[str, Any], found: Cleaned, source: str) -> dict[str, Any]:
    """The entry of an object, such as a layer."""
    name, config = value["class_name"], value["config"]
    if name == "__lambda__" or name in _CODE or (name == "Lambda" and _holds_code(config)):
        raise UnsupportedError(
            f"{source}: the file holds code ({name}), which is not executed. Write what it does as a layer of yours "
            "with a name, or, if you trust the file, load it with keras.saving.load_model(path, safe_mode=False) and "
            "pass the network"
        )
    if name == "function":
        _note_function("function", value, found)
    elif not _is_known(value):
        _note(found.missing, f"{'layer' if 'inbound_nodes' in value or 'build_config' in value else 'object'} {name}")
    if name == "Sequential" and isinstance(config, list):  # of Keras before 2.2.3
        config = {"name": "sequential", "layers": config}
    kind = getattr(keras.layers, name, None)
    if "module" not in value and isinstance(config, dict) and kind is not None:
        config = _of_today(kind, config)
    return {**value, "config": config}


def _holds_code(config: Any) -> bool:
    function = config.get("function") if isinstance(config, dict) else None
    return isinstance(function, list) or (isinstance(function, dict) and function.get("class_name") == "__lambda__")


def _is_known(value: dict[str, Any]) -> bool:
    """True if Keras can find the class of an object."""
    name, module = value["class_name"], value.get("module")
    if name in _VALUES:
        return True
    if any(keras.saving.get_registered_object(key) for key in (value.get("registered_name"), name) if key):
        return True
    if "module" in value:
        return str(module).partition(".")[0] in ("keras", "builtins")
    return name in _MODELS or hasattr(keras.layers, name) or hasattr(keras.dtype_policies, name)


def _of_today(kind: type, config: dict[str, Any]) -> dict[str, Any]:
    """Options of a layer of old files that the layer still has, or that would have an effect."""
    known = inspect.signature(kind).parameters
    return {name: value for name, value in config.items() if name in known or not _is_gone(name, value)}


def _is_gone(name: str, value: Any) -> bool:
    if name in _GONE:
        idle = _GONE[name]
        return idle is None or value in idle
    return name != "activity_regularizer" and any(name.endswith(end) for end in _TRAINING)


def _training_only(key: str, value: Any, found: Cleaned, get: Any, instead: Any) -> Any:
    try:
        get(copy.deepcopy(value))
    except Exception:  # objects of others refuse their arguments in any way
        _note(found.dropped, f"{key} {_name(value)}")
        return instead
    return value


def _note_function(key: str, value: Any, found: Cleaned) -> None:
    """Note a function that is not known."""
    if isinstance(value, str):
        name, module = value, ""
    elif isinstance(value, dict) and value.get("class_name") == "function":
        name, module = _name(value), str(value.get("module"))
    else:
        return
    if not (module.startswith("keras") or keras.saving.get_registered_object(name) or _is_builtin(name)):
        _note(found.missing, f"{key} {name}")


def _is_builtin(name: str) -> bool:
    """True if Keras has a function of that name."""
    if hasattr(keras.ops, name):
        return True
    try:
        return keras.activations.get(name) is not None
    except ValueError:
        return False


def _name(value: Any) -> str:
    """What an object is called."""
    if not isinstance(value, dict):
        return str(value)
    return str(value["config"] if value.get("class_name") == "function" else value.get("class_name"))


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)
