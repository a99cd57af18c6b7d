"""Networks by name, by factory and checkpoint, or exported; and what each was trained to see."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

from crossohm._names import load_function, names_function, unknown
from crossohm.datasets import Preprocessing, read_preprocessing
from crossohm.errors import DataError, MissingDependencyError, ParameterError, UnsupportedError
from crossohm.models._registry import load_shipped, model_names
from crossohm.models.card import model_card

_RESNETS = {f"resnet{depth}_cifar10": depth for depth in (14, 20, 32, 56)}
_ATTRIBUTE = "crossohm_pairing"
#: Files with networks, by their endings, and the package of their framework.
_FORMATS = {".pt2": "torch", ".keras": "keras", ".h5": "keras", ".hdf5": "keras"}
_OTHER_FORMATS = {
    ".onnx": "there is no well-kept converter from ONNX to PyTorch modules. Export the network with torch.export to a "
    ".pt2 file, or give its Python factory and a checkpoint",
}

Factory = TypeVar("Factory", bound=Callable[..., Any])


@final
@dataclass(frozen=True)
class Pairing:
    """What a network was trained on, and how the images were prepared.

    Attributes:
        dataset: As `crossohm.datasets.load_dataset` knows it.
        preprocessing: How its images were prepared.
    """

    dataset: str
    preprocessing: Preprocessing


def trained_on(dataset: str, preprocessing: str | Mapping[str, Any] | Preprocessing) -> Callable[[Factory], Factory]:
    """Declare, as a decorator of a factory, what the networks it makes were trained to see.

    Args:
        dataset: As `crossohm.datasets.load_dataset` knows it.
        preprocessing: A name of `crossohm.datasets.PREPROCESSINGS`, or a description.

    Raises:
        ParameterError: no such preprocessing.
    """
    pairing = Pairing(dataset, read_preprocessing(preprocessing))

    def declare(factory: Factory) -> Factory:
        setattr(factory, _ATTRIBUTE, pairing)
        return factory

    return declare


def framework_of(name: str | os.PathLike[str]) -> str:
    """The package of a network's framework, as `crossohm.layers.network.front_end` knows it, before it is loaded.

    Of a function of yours it is not known; ``"torch"`` is what most return.
    """
    return _FORMATS.get(Path(name).suffix.lower(), "torch")


def architecture_names() -> tuple[str, ...]:
    """Architectures that `load_model` builds for a checkpoint of yours."""
    return tuple(_RESNETS)


def model_pairing(name: str) -> Pairing | None:
    """What a network was trained to see; None if nobody declared it, and its user must.

    Raises:
        UnknownNameError: no such network.
        DataError: a factory cannot be imported.
    """
    if name in model_names():
        return Pairing(model_card(name).dataset, read_preprocessing("unit"))
    if name in _RESNETS:
        return Pairing("cifar10", read_preprocessing("imagenet_statistics"))
    if names_function(name):
        return getattr(load_function(name), _ATTRIBUTE, None)
    _file_format(name)
    return None


def load_model(
    name: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """A trained network, in eval mode, on the CPU.

    Args:
        name: A shipped network (`model_names`); an architecture (`architecture_names`), which needs a checkpoint;
            ``"module:function"`` or ``"file.py:function"``, a function of yours that returns a ``torch.nn.Module``, a
            ``keras.Model`` or a ``flax.nnx.Module``; a file ``.pt2`` written by ``torch.export.save``; or a file
            ``.keras`` or ``.h5`` of Keras.
        checkpoint: File with the weights (state dictionary): ``.safetensors``, or written by ``torch.save``; for a
            ``keras.Model`` one written by ``save_weights``; for a ``flax.nnx.Module`` one written by
            `crossohm.flax.save_state`. Read without executing it. Not for shipped networks and files of networks, which
            have theirs.
        options: Keyword arguments for the function of yours.

    Raises:
        UnknownNameError: no such network.
        ParameterError: a checkpoint is missing, or has no use; options have no use.
        DataError: a file is damaged or belongs to another network, or a function fails; says what differs.
        UnsupportedError: a file format that cannot be read; says what can.
        MissingDependencyError: PyTorch, or Keras, is not installed.
    """
    text = os.fspath(name)
    if options and not names_function(text):
        raise ParameterError("options", dict(options), f"{text!r} takes none", allowed="for module:function only")
    if text in model_names():
        _refuse_checkpoint(text, checkpoint)
        return load_shipped(text)
    network = _build(text, checkpoint, dict(options or {}))
    if _is_of("keras", network):
        if checkpoint is not None:
            from crossohm.models.keras.files import load_weights

            load_weights(network, Path(checkpoint), text)
        return network
    if _is_of("flax", network):
        if checkpoint is not None:
            from crossohm.flax import load_state

            load_state(network, checkpoint)
        return network
    if checkpoint is not None:
        from crossohm.models.torch.checkpoint import load_checkpoint

        load_checkpoint(network, Path(checkpoint), text)
    return network.eval()


def _is_of(package: str, network: Any) -> bool:
    """True if a class of a network comes from ``package``."""
    return any(kind.__module__.partition(".")[0] == package for kind in type(network).__mro__)


def _build(name: str, checkpoint: Any, options: dict[str, Any]) -> Any:
    """The network without the weights of the checkpoint."""
    if framework_of(name) == "keras":
        _refuse_checkpoint(name, checkpoint)
        return _of_keras(name)
    if name in _RESNETS:
        if checkpoint is None:
            raise ParameterError(
                "checkpoint", None, f"{name} is an architecture without weights of ours",
                remedy="Give the file of its weights",
            )  # fmt: skip
        _require_torch(name)
        from crossohm.models.torch.resnet_cifar10 import ResNetCifar10

        return ResNetCifar10(_RESNETS[name])
    if names_function(name):
        return _call(name, options)
    _file_format(name)
    _refuse_checkpoint(name, checkpoint)
    _require_torch(name)
    from crossohm.models.torch.exported import read_exported

    return read_exported(Path(name))


def _require_torch(name: str) -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise MissingDependencyError("PyTorch", "torch", f"The network {name!r}") from None


def _of_keras(name: str) -> Any:
    try:
        from crossohm.models.keras.files import read_network
    except ImportError:
        raise MissingDependencyError("Keras", "keras", f"The network {name!r}") from None
    return read_network(Path(name))


def _call(name: str, options: dict[str, Any]) -> Any:
    try:
        found = load_function(name)(**options)
    except DataError:
        raise
    except (Exception, SystemExit) as error:  # the function is anyone's and may raise anything
        raise DataError(f"model {name!r}: {type(error).__name__}: {error}") from error
    if not any(_is_of(package, found) for package in ("torch", "keras", "flax")) or not callable(found):
        raise DataError(
            f"model {name!r}: returned a {type(found).__name__}, not a torch.nn.Module, keras.Model or flax.nnx.Module"
        )
    return found


def _file_format(name: str) -> None:
    """Accept names of files that hold networks.

    Raises:
        UnsupportedError: another known format.
        UnknownNameError: not the name of a file at all.
    """
    suffix = Path(name).suffix.lower()
    if suffix in _OTHER_FORMATS:
        raise UnsupportedError(f"{name}: {_OTHER_FORMATS[suffix]}")
    if suffix in (".pth", ".pt", ".safetensors"):
        raise UnsupportedError(f"{name}: holds weights, not a network. Pass it as checkpoint, and a factory as model")
    if suffix not in _FORMATS:
        raise unknown("model", name, (*model_names(), *_RESNETS), "network")


def _refuse_checkpoint(name: str, checkpoint: Any) -> None:
    if checkpoint is not None:
        raise ParameterError("checkpoint", str(checkpoint), f"{name} has its own weights", remedy="Leave it out")
