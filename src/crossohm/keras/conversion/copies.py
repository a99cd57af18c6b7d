"""Copies of models with other layers in the place of some; the originals stay as they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, final

import keras
import numpy as np
from keras.src.models.functional import Functional

from crossohm.errors import CrossOhmError, UnsupportedError
from crossohm.keras.conversion.places import children
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.keras.loading import first_line
from crossohm.layers.array_layer import is_folded

#: Given a layer, what takes its place in the copy, or None: a copy of it.
Substitute = Callable[[Any], Any]
#: Ends of configuration keys whose values are objects: copies have the same ones, whether Keras knows them or not.
_OBJECTS = ("activation", "_initializer", "_regularizer", "_constraint", "function")
#: What helps where a class of one's own cannot be rebuilt.
WAYS_OUT = (
    "Let get_config return all arguments of __init__, and get_build_config those of build; or make the model a "
    "functional one; or write it with analog layers (crossohm.keras.AnalogDense, ...)"
)


def copy_of(model: Any, substitute: Substitute = lambda layer: None) -> Any:
    """A copy of a layer or model with weights of its own, names, graph and trainable flags kept; it is not compiled.

    Args:
        model: A layer, a Sequential, a functional model of any graph, or a model or layer of a class of one's own whose
            configuration (``get_config``) is complete.
        substitute: What takes the place of a layer; it is asked once for each.

    Raises:
        UnsupportedError: a class of one's own cannot be rebuilt; says what it lacks.
    """
    copier = _Copier(substitute)
    twin = copier.of(model)
    copier.finish()
    _follow_flags(model, twin)
    return twin


@final
class _Copier:
    def __init__(self, substitute: Substitute) -> None:
        self._substitute = substitute
        self._made: dict[
            int, tuple[Any, Any]
        ] = {}  # old and new; the old kept alive, so that no identity is used twice
        self._rebuilt: list[tuple[Any, Any]] = []

    def of(self, layer: Any) -> Any:
        """The one copy of a layer, model or operation."""
        if id(layer) not in self._made:
            self._made[id(layer)] = (layer, self._made_of(layer))
        return self._made[id(layer)][1]

    def _made_of(self, layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):  # an operation of a functional model, without weights
            return type(layer).from_config(layer.get_config())
        other = self._substitute(layer)
        if other is not None:
            return other
        if isinstance(layer, AnalogLayer):
            return _same_chip(layer)
        if type(layer) is keras.Sequential:
            return self._sequential(layer)
        if _is_functional(layer):
            return self._functional(layer)
        twin = _of_configuration(layer)
        self._rebuilt.append((layer, twin))
        return twin

    def _sequential(self, model: Any) -> Any:
        inputs = [layer for layer in model._layers[:1] if isinstance(layer, keras.layers.InputLayer)]
        layers = [_of_configuration(layer) for layer in inputs] + [self.of(layer) for layer in model.layers]
        return keras.Sequential(layers, name=model.name)

    def _functional(self, model: Any) -> Any:
        compiled = model.compiled
        model.compiled = False  # Keras would compile the copy with objects made anew, or fail on those it cannot make
        try:
            inputs = keras.tree.map_structure(_input_like, model.input)
            return keras.models.clone_model(model, inputs, clone_function=self.of, call_function=_call)
        finally:
            model.compiled = compiled

    def finish(self) -> None:
        """Give rebuilt layers their weights, and substitutes to what is inside of them.

        Some of them have no weights before the model around them is there.
        """
        while self._rebuilt:
            layer, twin = self._rebuilt.pop(0)
            _take_state(layer, twin)
            self._exchange_inside(layer, twin)

    def _exchange_inside(self, layer: Any, twin: Any) -> None:
        pairs = zip(children(layer).values(), children(twin).values(), strict=True)
        for old, new in list(pairs):
            if id(old) not in self._made:
                other = self._inside(old, new)
                self._made[id(old)] = (old, other)
            other = self._made[id(old)][1]
            if other is not new:
                _exchange(twin, new, other)

    def _inside(self, old: Any, new: Any) -> Any:
        """What stands for ``old`` inside of a rebuilt layer that has ``new`` there, with the weights of ``old``."""
        other = self._substitute(old)
        if other is not None:
            return other
        if isinstance(old, AnalogLayer) or type(old) is keras.Sequential or _is_functional(old):
            return self.of(old)
        self._exchange_inside(old, new)
        return new


def _input_like(tensor: Any) -> Any:
    """An input of a model as another model has it; Keras' own copies are never optional."""
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        name=tensor.name,
        optional=tensor._keras_history.operation.optional,
    )


def _call(layer: Any, *arguments: Any, **options: Any) -> Any:
    """A call as in the original; an identity has no options."""
    return layer(*arguments) if type(layer) is keras.layers.Identity else layer(*arguments, **options)


def _is_functional(model: Any) -> bool:
    """True for models that are their graph: their class adds nothing to how they answer."""
    return isinstance(model, Functional) and type(model).call is Functional.call


def _of_configuration(layer: Any) -> Any:
    """A layer of the same class and configuration, built if Keras knows how."""
    try:
        twin = _made_anew(layer)
        if (layer.built and not twin.built) or len(twin.weights) < len(layer.weights):
            twin.build_from_config(layer.get_build_config())
    except CrossOhmError:
        raise
    except Exception as error:  # the class is anyone's, and may fail in any way
        raise _not_rebuilt(layer, f"{type(error).__name__}: {first_line(error)}") from error
    return twin


def _made_anew(layer: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")  # it is taken as it is
        config, kind = layer.get_config(), type(layer)
    own = {key: getattr(layer, key) for key in config if key.endswith(_OBJECTS) and hasattr(layer, key)}
    if kind is keras.layers.Lambda:
        own |= {"mask": layer.mask, "output_shape": layer._output_shape, "arguments": layer.arguments}
    if any(map(is_foreign, own.values())) and not children(layer):
        return kind(**{**config, **own})
    parts = [type(part) for part in layer._flatten_layers()]
    with keras.saving.custom_object_scope({part.__name__: part for part in parts if is_foreign(part)}):
        return kind.from_config(config)


def is_foreign(value: Any) -> bool:
    """True for functions, classes and objects of classes that do not come with Keras."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).partition(".")[0] not in ("keras", "builtins")


def _take_state(layer: Any, twin: Any) -> None:
    """Give a rebuilt layer equal weights."""
    shapes = [tuple(tuple(weight.shape) for weight in one.weights) for one in (layer, twin)]
    if shapes[0] != shapes[1]:
        raise _not_rebuilt(layer, f"what is made anew has weights of shapes {shapes[1]} instead of {shapes[0]}")
    for own, given in zip(twin.weights, layer.weights, strict=True):
        own.assign(np.array(keras.ops.convert_to_numpy(given)))
    if hasattr(twin, "finalize_state"):
        twin.finalize_state()
    if is_folded(layer):
        twin.batchnorm_folded = True


def _not_rebuilt(layer: Any, reason: str) -> UnsupportedError:
    return UnsupportedError(
        f"{type(layer).__name__} {layer.name!r} cannot be made anew from its configuration ({reason}). {WAYS_OUT}"
    )


def _same_chip(layer: AnalogLayer) -> AnalogLayer:
    """A copy with the same arrays."""
    twin: Any = type(layer).from_config(layer.get_config())
    if layer.built:
        original: Any = layer
        twin.build_from_config(original.get_build_config())
        _take_state(layer, twin)  # inner layers have weights as well
        store: dict[str, Any] = {}
        layer.save_own_variables(store)
        twin.load_own_variables({key: np.array(keras.ops.convert_to_numpy(value)) for key, value in store.items()})
    return twin


def _exchange(owner: Any, old: Any, new: Any) -> None:
    """Put ``new`` wherever ``owner`` refers to ``old``."""
    owner._tracker.replace_tracked_value("layers", old, new)
    found = 0
    for name, value in [*vars(owner).items(), *vars(owner).get("_modules", {}).items()]:
        other = _exchanged(value, old, new)
        if other is not value:
            setattr(owner, name, other)
            found += 1
    if not found:
        raise UnsupportedError(
            f"{type(owner).__name__} {owner.name!r} keeps its layer {old.name!r} where it cannot be exchanged; keep it "
            "in an attribute, a list or a dictionary"
        )
    if keras.backend.backend() == "torch" and owner.built:
        owner._track_variables()


def _exchanged(value: Any, old: Any, new: Any) -> Any:
    """``value`` with ``new`` instead of ``old``; itself where that is nowhere in it."""
    if value is old:
        return new
    if isinstance(value, dict):
        parts = {key: _exchanged(part, old, new) for key, part in value.items()}
        return parts if any(parts[key] is not value[key] for key in parts) else value
    if isinstance(value, list | tuple):
        items = [_exchanged(part, old, new) for part in value]
        changed = any(a is not b for a, b in zip(items, value, strict=True))
        return (items if isinstance(value, list) else tuple(items)) if changed else value
    return value


def _follow_flags(model: Any, twin: Any) -> None:
    """Freeze what is frozen in ``model``; flags of containers act on all they hold, so these come first."""
    if not isinstance(model, keras.Layer) or isinstance(model, keras.layers.InputLayer):
        return
    twin.trainable = model.trainable
    for old, new in zip(children(model).values(), children(twin).values(), strict=False):
        _follow_flags(old, new)
    for given, own in zip(model.weights, twin.weights, strict=False):
        if not children(model):
            own.trainable = given.trainable
