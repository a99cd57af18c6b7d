"""Why layers stay digital, and which models have no layers to convert at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from crossohm.errors import ParameterError, UnsupportedError
from crossohm.torch.conversion.kinds import ANALOG_KINDS, MULTIPLYING, is_convertible, kind_of
from crossohm.torch.layers.layer import AnalogLayer
from crossohm.torch.products.calls import PRODUCTS

_LOOKUPS = (nn.Embedding, nn.EmbeddingBag, ParametrizationList)
#: Products as exported graphs have them.
_PRODUCTS = ("linear", "addmm", "mm", "matmul", "bmm", "einsum", "convolution", "conv1d", "conv2d", "conv3d")
#: How to go back from an exported program to layers.
_EXPORTED = (
    "an exported program has operations instead of layers; save it with torch.export.save and load it with "
    "crossohm.models.load_model('net.pt2'), which makes them layers again"
)
_SCRIPTED = "its layers are compiled by torch.jit; convert the Python model it was made from"

#: Why products whose kernels have one name and different values are digital.
ONLY_BY_ORDER = "only the order of computation tells its kernel from others of the same parameter"
_CALL = "call the layer that has the weights instead of its function"
#: Why products of a module's own code are digital, by the function that computes them.
_FUNCTIONS = {
    name: why
    for names, why in (
        ("lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell", _CALL),
        ("multi_head_attention_forward", _CALL),
        ("scaled_dot_product_attention", "attention is one step here; its products written with @ run on arrays"),
        (
            "bilinear",
            "it multiplies three operands at once; torch.einsum('bi,oij,bj->bo', x, weight, y) runs on arrays",
        ),
        (
            "mul mul_ multiply multiply_ __mul__ __rmul__ __imul__",
            "it multiplies number by number; written with linear, @ or einsum it runs on arrays",
        ),
    )
    for name in names.split()
}


def require_layers(model: Any) -> None:
    """Refuse what has no layers that could be converted, though it multiplies.

    Raises:
        ParameterError: ``model`` is no torch module.
        UnsupportedError: it is scripted, traced or exported, or one of its layers has no weights yet.
    """
    if isinstance(model, torch.export.ExportedProgram):
        raise UnsupportedError(f"model of type ExportedProgram: {_EXPORTED}")
    if not isinstance(model, nn.Module):
        raise ParameterError("model", type(model).__name__, "is no model", allowed="torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedError(f"model of type {type(model).__name__}: {_SCRIPTED}")
    if _has_exported_products(model) and not any(_is_layer(module) for module in model.modules()):
        raise UnsupportedError(f"model of type {type(model).__name__}: {_EXPORTED}")
    for name, module in model.named_modules():
        if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
            raise UnsupportedError(
                f"{name or 'the model'} ({type(module).__name__}) has no weights before its first pass; call "
                "model(example) once, then convert"
            )


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, AnalogLayer) or is_convertible(module)


def obstacle_of(module: nn.Module) -> str:
    """Why a layer that is not convertible stays digital; empty if it has no weights."""
    if isinstance(module, torch.jit.ScriptModule):
        return _SCRIPTED if any(parameter.ndim > 1 for parameter in module.parameters()) else ""
    if _has_exported_products(module):
        return _EXPORTED
    if isinstance(module, MULTIPLYING):
        if _computes_weights(module):
            ways = f"{_way_to_parameters(module)}, or convert with an example: from_torch(model, example=inputs)"
            return f"its weights are computed, not parameters; {ways}"
        base = next((kind.__name__ for kind in type(module).__mro__ if kind in ANALOG_KINDS), None)
        if base is not None:
            ways = "register an analog kind for this subclass, or convert with an example"
            return f"only {base} itself is converted: {ways}"
        return "no analog kind stands for it: register one"
    own = [key for key, parameter in module.named_parameters(recurse=False) if parameter.ndim > 1]
    if own and not isinstance(module, _LOOKUPS):
        ways = "register an analog kind if it multiplies, or convert with an example"
        return f"unknown what it does with its {', '.join(own)}: {ways}"
    return ""


def obstacle_of_product(function: str, is_held: bool) -> str:
    """Why arrays cannot compute a product of a module's own code.

    Args:
        function: What computes it.
        is_held: Modules of the model have its parameters.
    """
    if not is_held:
        return "no module of the model has its parameter: keep layers as attributes or in torch.nn.ModuleList"
    if function in PRODUCTS:
        return "its operands are not the matrices and vectors that arrays multiply"
    return _FUNCTIONS.get(function, f"arrays do not know {function}: written with linear, @ or einsum it runs on them")


def obstacle_of_operation(function: str, is_held: bool) -> str:
    """As `obstacle_of_product`, of a product that only torch's dispatcher shows."""
    if is_held and function in PRODUCTS:
        return "it is computed past torch's Python functions, as by torch.jit"
    return obstacle_of_product(function, is_held)


def multiplies(module: nn.Module) -> bool:
    """True if a module that stays digital certainly multiplies."""
    return isinstance(module, (torch.jit.ScriptModule, *MULTIPLYING)) or _has_exported_products(module)


def _computes_weights(module: nn.Module) -> bool:
    """True for a layer of a known kind whose weights are no parameters."""
    return isinstance(module, MULTIPLYING) and (is_parametrized(module) or kind_of(module) is not None)


def _way_to_parameters(module: nn.Module) -> str:
    """What makes the computed weights of a layer parameters again."""
    calls = list(dict.fromkeys(_removals(module)))
    return f"{' and '.join(calls)} makes them parameters" if calls else "make them parameters first"


def _removals(module: nn.Module) -> Iterator[str]:
    for owner in module.modules():
        if is_parametrized(owner):
            for name in owner.parametrizations:
                yield f"torch.nn.utils.parametrize.remove_parametrizations(layer, {name!r})"
        held = owner._parameters.keys() | owner._buffers.keys()
        for ending, call in (("_mask", "prune.remove"), ("_g", "remove_weight_norm"), ("_u", "remove_spectral_norm")):
            for name in sorted(held):
                stem = name.removesuffix(ending)
                if stem not in ("", name) and held & {f"{stem}_orig", f"{stem}_v"}:
                    yield f"torch.nn.utils.{call}(layer, {stem!r})"


def _has_exported_products(module: nn.Module) -> bool:
    """True for a graph of operations in which stored numbers are multiplied."""
    return isinstance(module, fx.GraphModule) and any(
        node.op == "call_function"
        and isinstance(node.target, torch._ops.OpOverload)
        and node.target.overloadpacket.__name__ in _PRODUCTS
        and any(source.op == "get_attr" for source in node.all_input_nodes)
        for node in module.graph.nodes
    )
