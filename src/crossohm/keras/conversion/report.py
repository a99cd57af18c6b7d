"""Which products of a model run on arrays, which stay digital, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from crossohm.errors import ParameterError
from crossohm.keras.conversion.batchnorm import digital_norms
from crossohm.keras.conversion.kinds import ANALOG_KINDS, is_convertible
from crossohm.keras.conversion.places import is_layer, places
from crossohm.keras.layers.layer import AnalogLayer
from crossohm.layers.report import ConversionReport, ReportedLayer, ReportedNorm

#: Layers whose matrices are looked up, or scale features.
_NO_PRODUCTS = (keras.layers.Embedding, keras.layers.BatchNormalization, keras.layers.LayerNormalization)


def conversion_report(model: Any) -> ConversionReport:
    """Find out what of ``model`` runs on arrays, before or after conversion, and which BatchNorm is not folded.

    Raises:
        ParameterError: ``model`` is no layer or model of Keras.
    """
    require_layers(model)
    norms = tuple(ReportedNorm(name, reason) for name, reason in digital_norms(model).items())
    return ConversionReport(tuple(reported_layers(model)), norms=norms)


def require_layers(model: Any) -> None:
    """Refuse what is no model.

    Raises:
        ParameterError: ``model`` is no layer or model of Keras.
    """
    if not isinstance(model, keras.Layer):
        raise ParameterError("model", type(model).__name__, "is no model", allowed="a layer or model of Keras 3")


def reported_layers(model: Any) -> Iterator[ReportedLayer]:
    """The layers with matrices, in order of definition."""
    for name, layer in places(model, is_layer):
        kind = type(layer).__name__
        if isinstance(layer, AnalogLayer):
            cores = [matrix.built for matrix in layer.matrices] if layer.built else []
            shapes = tuple((core.shape[0], core.shape[1]) for core in cores)
            yield ReportedLayer(name, kind, shapes, sum(core.array_count for core in cores), "", False)
            continue
        convertible = is_convertible(layer)
        reason = "it can be converted" if convertible else _obstacle(layer)
        if reason:
            yield ReportedLayer(name, kind, (), 0, reason, convertible)


def _obstacle(layer: Any) -> str:
    """Why a layer that is not convertible stays digital; empty if it has no matrices of its own."""
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    matrices = [weight.name for weight in own if len(weight.shape) > 1]
    if not matrices or isinstance(layer, _NO_PRODUCTS):
        return ""
    if getattr(layer, "quantization_mode", None) is not None:
        return f"it is quantised ({layer.quantization_mode}): convert the layer of full precision"
    base = next((kind.__name__ for kind in type(layer).__mro__ if kind in ANALOG_KINDS), None)
    if base is not None:
        return f"only {base} itself is converted: register an analog kind for this subclass"
    if type(layer).__module__.startswith("keras."):
        return "no analog kind stands for it: register one"
    return f"unknown what it does with its {', '.join(matrices)}: register an analog kind if it multiplies"
