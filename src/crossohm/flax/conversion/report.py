"""Which products of a model run on arrays, which stay digital, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flax import nnx

from crossohm.errors import ParameterError
from crossohm.flax.batches import forward_of
from crossohm.flax.conversion.batchnorm import norms_of
from crossohm.flax.conversion.kinds import ANALOG_KINDS, is_convertible
from crossohm.flax.conversion.places import places
from crossohm.layers.report import ConversionReport, ReportedLayer, ReportedNorm, reported


def conversion_report(model: Any, example: Any = None) -> ConversionReport:
    """Find out what of ``model`` runs on arrays, before or after conversion, and what becomes of BatchNorm.

    Args:
        model: Digital or analog.
        example: An input of the model, for the uses of its layers: an array, a tuple of positional inputs or a
            dictionary of keyword inputs. Nothing is computed with it.

    Raises:
        ParameterError: ``model`` is no module of Flax NNX.
    """
    require_module(model)
    call = None if example is None else forward_of(model).call_of(example)
    norms = tuple(ReportedNorm(name, reason) for name, (_, reason) in norms_of(model, call).items())
    return ConversionReport(tuple(reported_layers(model)), norms=norms)


def require_module(model: Any) -> None:
    """Refuse what is no model.

    Raises:
        ParameterError: ``model`` is no module of Flax NNX.
    """
    if not isinstance(model, nnx.Module):
        raise ParameterError(
            "model",
            type(model).__name__,
            "is no model of Flax NNX",
            allowed="an nnx.Module",
            remedy="put a model of flax.linen in nnx.bridge.ToNNX, and register analog kinds for what it multiplies",
        )


def reported_layers(model: Any) -> Iterator[ReportedLayer]:
    """The layers with matrices, by name of attributes and number of positions."""
    for name, layer in places(model):
        yield from reported(name, layer, is_convertible(layer), _obstacle)


def _obstacle(module: Any) -> str:
    """Why a module that is not convertible stays digital; empty if it has no matrices of its own."""
    own = {name: value for name, value in vars(module).items() if isinstance(value, nnx.Param)}
    matrices = [name for name, value in own.items() if value.get_value().ndim > 1]
    if not matrices or isinstance(module, nnx.Embed):
        return ""
    if type(module) in ANALOG_KINDS:
        return ANALOG_KINDS[type(module)].obstacle(module)
    return ANALOG_KINDS.obstacle(module, matrices, "flax")
