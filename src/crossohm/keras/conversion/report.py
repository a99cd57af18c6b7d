"""Which products of a model run on arrays, which stay digital, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from crossohm.errors import ParameterError
from crossohm.keras.conversion.batchnorm import digital_norms
from crossohm.keras.conversion.kinds import ANALOG_KINDS, is_convertible
from crossohm.keras.conversion.places import is_layer, places
from crossohm.layers.report import ConversionReport, ReportedLayer, ReportedNorm, reported

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
        yield from reported(name, layer, is_convertible(layer), _obstacle)


def _obstacle(layer: Any) -> str:
    """Why a layer that is not convertible stays digital; empty if it has no matrices of its own."""
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    matrices = [weight.name for weight in own if len(weight.shape) > 1]
    if not matrices or isinstance(layer, _NO_PRODUCTS):
        return ""
    if getattr(layer, "quantization_mode", None) is not None:
        return f"it is quantised ({layer.quantization_mode}): convert the layer of full precision"
    return ANALOG_KINDS.obstacle(layer, matrices, "keras")
