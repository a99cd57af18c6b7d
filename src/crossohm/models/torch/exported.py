"""Networks exported by ``torch.export`` (``.pt2``): their layers are found in the graph and made modules again.

An exported program is a graph of operations without modules. Convolutions, linear layers and normalisations become
modules at the places their weights came from, so that they can be put on hardware and have their old names; all other
operations stay as they were exported.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from crossohm.errors import DataError

_ATEN = torch.ops.aten
_CONVOLUTIONS = {
    _ATEN.conv1d.default: nn.Conv1d, _ATEN.conv2d.default: nn.Conv2d, _ATEN.conv3d.default: nn.Conv3d,
    _ATEN.conv1d.padding: nn.Conv1d, _ATEN.conv2d.padding: nn.Conv2d, _ATEN.conv3d.padding: nn.Conv3d,
}  # fmt: skip
_NORMS = {3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d, 2: nn.BatchNorm1d}


def read_exported(path: Path) -> nn.Module:
    """The network in an exported program, in eval mode.

    Raises:
        DataError: the file is damaged, could execute code, was exported in training mode, for one batch size only, or
            takes more than one input.
    """
    _refuse_code(path)
    try:
        program = torch.export.load(path)
        module = program.module()
    except Exception as error:  # a damaged file can fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: not an intact exported program of this version of PyTorch ({reason})") from error
    return _rebuilt(path, module).eval()


def _refuse_code(path: Path) -> None:
    """Admit archives of numbers and of JSON only: ``torch.export.load`` would execute what else there is."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
            if len(set(names)) != len(names) or not any(name.startswith("models/") for name in names):
                raise DataError(f"{path}: not an exported program of PyTorch 2.8 or newer; export it again")
            for whole, name in zip(archive.namelist(), names, strict=True):
                _check_member(path, name, lambda whole=whole: archive.read(whole))  # type: ignore[misc]
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # zipfile and JSON fail in many ways
        raise DataError(f"{path}: not an intact exported program ({error}). Fetch it again") from error


def _check_member(path: Path, name: str, read: Callable[[], bytes]) -> None:
    executable = name.startswith("data/aotinductor/") or "/custom_obj" in name or "/opaque" in name
    if name.startswith(("data/weights/", "data/constants/")) and name.endswith("_config.json"):
        executable = any(entry.get("use_pickle") for entry in json.loads(read())["config"].values())
    elif name.endswith(".pt"):
        try:
            torch.load(io.BytesIO(read()), weights_only=True)
        except Exception:  # torch.export.load would now unpickle it with all it orders
            executable = True
    if executable:
        raise DataError(f"{path}: refused, because {name} in it can execute code. Export a network of plain tensors")


def _rebuilt(path: Path, module: Any) -> fx.GraphModule:
    """The same computation with modules for its layers."""
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise DataError(f"{path}: takes {len(inputs)} inputs; a network for images takes one")
    shape = inputs[0].meta["val"].shape
    if isinstance(shape[0], int):
        raise DataError(
            f"{path}: was exported for batches of {shape[0]} only. Export with a dynamic batch: torch.export.export("
            'network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))'
        )
    for node in list(module.graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            module.graph.erase_node(node)
        elif node.op == "call_function":
            _make_module(path, module, node)
        elif node.op == "output":
            _unpack(path, node)
    module.graph.eliminate_dead_code()
    module.graph.set_codegen(fx.graph.CodeGen())
    return fx.GraphModule(module, module.graph)


def _unpack(path: Path, output: fx.Node) -> None:
    answers: Any = output.args[0]
    if len(answers) != 1:
        raise DataError(f"{path}: gives {len(answers)} answers; a classifier gives one")
    output.args = (answers[0],)


def _make_module(path: Path, module: Any, node: fx.Node) -> None:
    """Replace a call of a layer's function by a call of a module, if its weights are stored."""
    if _trains(node):
        raise DataError(f"{path}: was exported in training mode ({node.name}). Call network.eval() before exporting")
    stored: Any = [argument for argument in node.args[1:] if isinstance(argument, fx.Node)]
    layer = _layer(module, node) if stored and all(value.op == "get_attr" for value in stored) else None
    if layer is None:
        return
    place, _, last = str(stored[0].target).rpartition(".")
    if last not in ("weight", "running_mean") or not place or not _is_bare(module, place):
        place = f"{node.name}_layer"
    module.add_submodule(place, layer)
    with module.graph.inserting_before(node):
        call = module.graph.call_module(place, (node.args[0],))
    call.meta = dict(node.meta)
    node.replace_all_uses_with(call)
    module.graph.erase_node(node)


def _is_bare(module: Any, place: str) -> bool:
    """True if nothing but the weights of one layer lies there."""
    return not any(True for _ in module.get_submodule(place).children())


def _layer(module: Any, node: fx.Node) -> nn.Module | None:
    """The layer whose function a node calls; None if it is no layer."""
    names = [argument.name for argument in node.target._schema.arguments]
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    values = {name: _stored(module, value) for name, value in given.items()}
    if node.target is _ATEN.linear.default:
        return _with(nn.Linear(*values["weight"].shape[::-1], bias=values.get("bias") is not None), values)
    if node.target in _CONVOLUTIONS:
        return _convolution(node, values)
    if node.target is _ATEN.batch_norm.default and values.get("running_mean") is not None:
        return _norm(given, values)
    return None


def _convolution(node: fx.Node, values: dict[str, Any]) -> nn.Module:
    weight, groups = values["weight"], values.get("groups", 1)
    options = {name: _pair(values[name]) for name in ("stride", "padding", "dilation") if name in values}
    kind: Any = _CONVOLUTIONS[node.target]
    inputs, outputs, kernel = weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:])
    bias = values.get("bias") is not None
    return _with(kind(inputs, outputs, kernel, groups=groups, bias=bias, **options), values)


def _norm(given: dict[str, Any], values: dict[str, Any]) -> nn.Module:
    kind: Any = _NORMS[given["input"].meta["val"].ndim]
    norm = kind(len(values["running_mean"]), values["eps"], values["momentum"], affine=values["weight"] is not None)
    norm.running_mean.copy_(values["running_mean"])
    norm.running_var.copy_(values["running_var"])
    return _with(norm, values)


def _with(layer: nn.Module, values: dict[str, Any]) -> nn.Module:
    """The layer with weights and bias as stored."""
    for name in ("weight", "bias"):
        if values.get(name) is not None:
            setattr(layer, name, nn.Parameter(values[name].detach()))
    return layer.eval()


def _pair(value: Any) -> Any:
    """A size as modules take it; a size of one number serves all directions."""
    if isinstance(value, str):
        return value
    return value[0] if len(value) == 1 else tuple(value)


def _stored(module: Any, value: Any) -> Any:
    """The tensor that a node reads from the module, or the value itself."""
    if not isinstance(value, fx.Node) or value.op != "get_attr":
        return value
    place, _, last = str(value.target).rpartition(".")
    return getattr(module.get_submodule(place), last)


def _trains(node: fx.Node) -> bool:
    """True for a normalisation or dropout that behaves as in training."""
    flag = {_ATEN.batch_norm.default: 5, _ATEN.dropout.default: 2}.get(node.target)
    return flag is not None and len(node.args) > flag and bool(node.args[flag])
