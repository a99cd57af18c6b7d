"""Networks of others: factory and checkpoint, exported programs, and what does not fit."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional as F

from crossohm import CrossSimParameters
from crossohm.datasets import PREPROCESSINGS, load_dataset
from crossohm.errors import DataError, ParameterError, UnknownNameError, UnsupportedError
from crossohm.models import architecture_names, load_model, model_names, model_pairing
from crossohm.torch import TorchNetwork, from_torch

FACTORY = """
from torch import nn
from crossohm.models import trained_on

@trained_on("cifar10", "symmetric")
def make(width=4):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width * 36, 10))

def plain():
    return nn.Linear(3, 2)

def broken():
    raise KeyError("width")

def number():
    return 5
"""


@pytest.fixture
def nets(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(FACTORY)
    return str(tmp_path / "nets.py")


@pytest.fixture
def trained(tmp_path: Path, nets: str) -> nn.Module:
    torch.manual_seed(3)
    network = load_model(f"{nets}:make")
    torch.save(network.state_dict(), tmp_path / "net.pth")
    return network


# -- residual networks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "correct"), [(14, 795), (20, 807)])
def test_public_checkpoints_classify_the_first_thousand(shared: Path, depth: int, correct: int) -> None:
    name = f"resnet{depth}_cifar10"
    network = load_model(name, checkpoint=shared / "data" / "models" / f"{name}.pth")
    pairing = model_pairing(name)
    assert pairing is not None
    data = load_dataset(
        pairing.dataset, data_dir=shared / "data" / "cifar10", limit=1000, preprocessing=pairing.preprocessing
    )
    answers = TorchNetwork(network).outputs(data.images).argmax(1)
    assert abs((answers == data.labels).sum() - correct) <= 3  # a tie may round the other way


def test_the_normalisation_of_the_training_matters(shared: Path) -> None:
    network = load_model("resnet20_cifar10", checkpoint=shared / "data" / "models" / "resnet20_cifar10.pth")
    found = {}
    for name in ("imagenet_statistics", "unit"):
        data = load_dataset("cifar10", data_dir=shared / "data" / "cifar10", limit=300, preprocessing=name)
        found[name] = (TorchNetwork(network).outputs(data.images).argmax(1) == data.labels).mean()
    assert found["imagenet_statistics"] > found["unit"] + 0.1


@pytest.mark.parametrize("name", architecture_names())
def test_depth_counts_the_layers(name: str, tmp_path: Path) -> None:
    from crossohm.models.torch.resnet_cifar10 import ResNetCifar10

    depth = int(name.removeprefix("resnet").removesuffix("_cifar10"))
    network = ResNetCifar10(depth)
    weighted = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len([layer for layer in weighted if getattr(layer, "kernel_size", None) != (1, 1)]) == depth
    torch.save(network.state_dict(), tmp_path / "w.pth")
    assert load_model(name, checkpoint=tmp_path / "w.pth")(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_an_architecture_needs_weights_and_the_right_ones(shared: Path) -> None:
    with pytest.raises(ParameterError, match="checkpoint = None: resnet20_cifar10 is an architecture without weights"):
        load_model("resnet20_cifar10")
    path = shared / "data" / "models" / "resnet14_cifar10.pth"
    with pytest.raises(DataError, match=r"resnet14_cifar10\.pth: not the weights of 'resnet20_cifar10'; 30 missing"):
        load_model("resnet20_cifar10", checkpoint=path)
    with pytest.raises(DataError, match=r"36 without a place in it: .* and 30 more"):
        load_model("resnet14_cifar10", checkpoint=path.with_name("resnet20_cifar10.pth"))


# -- factory and checkpoint --------------------------------------------------------------------------------------------


def test_factory_with_checkpoint(nets: str, trained: nn.Module, tmp_path: Path) -> None:
    again = load_model(f"{nets}:make", checkpoint=tmp_path / "net.pth")
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(again(x), trained(x)) and not again.training
    assert load_model(f"{nets}:make", options={"width": 7})[0].out_channels == 7


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {key: value for key, value in state.items() if "batches" not in key},
    ],
)
def test_usual_wrappings_are_undone(
    nets: str, trained: nn.Module, tmp_path: Path, wrap: Callable[[dict[str, object]], dict[str, object]]
) -> None:
    torch.save(wrap(trained.state_dict()), tmp_path / "w.pt")
    again = load_model(f"{nets}:make", checkpoint=tmp_path / "w.pt")
    assert torch.equal(again[3].weight, trained[3].weight)


def test_safetensors(nets: str, trained: nn.Module, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    again = load_model(f"{nets}:make", checkpoint=tmp_path / "w.safetensors")
    assert torch.equal(again[0].weight, trained[0].weight)


def test_what_differs_is_listed(nets: str, trained: nn.Module, tmp_path: Path) -> None:
    state = dict(trained.state_dict())
    state["head.weight"] = state.pop("3.weight")
    state["0.bias"] = torch.zeros(5)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(DataError) as caught:
        load_model(f"{nets}:make", checkpoint=tmp_path / "w.pth")
    for part in ("1 missing: 3.weight", "1 without a place in it: head.weight", "0.bias (5,) instead of (4,)", "w.pth"):
        assert part in str(caught.value)


class Order:
    """Pickles as an order to make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_checkpoint_is_not_executed(nets: str, tmp_path: Path) -> None:
    torch.save({"0.weight": Order(tmp_path / "made")}, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"w\.pth: not a file of weights that PyTorch reads without executing it"):
        load_model(f"{nets}:make", checkpoint=tmp_path / "w.pth")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pth", b"", "not a file of weights"),
        ("w.pth", b"<html>", "not a file of weights"),
        ("w.safetensors", b"12345678{}", "not an intact safetensors file"),
        ("w.safetensors", b"", "not an intact safetensors file"),
        ("w.pth", None, "cannot be read"),
        ("w.safetensors", None, "w.safetensors"),
    ],
)
def test_damaged_checkpoints(nets: str, tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_model(f"{nets}:make", checkpoint=tmp_path / name)


def test_cut_and_changed_checkpoints(nets: str, trained: nn.Module, tmp_path: Path) -> None:
    whole = (tmp_path / "net.pth").read_bytes()
    for size in range(0, len(whole), len(whole) // 40):
        (tmp_path / "w.pth").write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"w\.pth"):
            load_model(f"{nets}:make", checkpoint=tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("held", "message"),
    [(torch.zeros(3), "holds a Tensor"), ({"a": 3}, "a are none"), ([1], "holds a list"), ({}, "holds a dict")],
)
def test_files_of_something_else(nets: str, tmp_path: Path, held: object, message: str) -> None:
    torch.save(held, tmp_path / "w.pth")
    with pytest.raises(DataError, match=message):
        load_model(f"{nets}:make", checkpoint=tmp_path / "w.pth")


def test_weights_must_be_finite(nets: str, trained: nn.Module, tmp_path: Path) -> None:
    state = trained.state_dict()
    state["3.bias"][2] = float("nan")
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(DataError, match=r"not finite: 3\.bias"):
        load_model(f"{nets}:make", checkpoint=tmp_path / "w.pth")


@pytest.mark.parametrize(("function", "message"), [("broken", "KeyError: 'width'"), ("number", "returned a int")])
def test_factories_that_fail_are_named(nets: str, function: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"nets\.py:{function}.*{message}"):
        load_model(f"{nets}:{function}")
    with pytest.raises(DataError, match="unexpected keyword argument 'widht'"):
        load_model(f"{nets}:make", options={"widht": 3})


# -- names and pairings ------------------------------------------------------------------------------------------------


def test_unknown_names_and_other_formats() -> None:
    with pytest.raises(UnknownNameError, match=r"resnet20_cifar10.*Did you mean 'resnet20_cifar10'"):
        load_model("resnet20_cifar")
    with pytest.raises(UnsupportedError, match=r"net\.onnx: there is no well-kept converter.*torch\.export"):
        load_model("net.onnx")
    with pytest.raises(ParameterError, match="has its own weights"):
        load_model("net.h5", checkpoint="w.h5")
    with pytest.raises(UnsupportedError, match="Pass it as checkpoint"):
        load_model("net.pth")
    with pytest.raises(ParameterError, match="has its own weights"):
        load_model("digits_cnn", checkpoint="w.pth")
    with pytest.raises(ParameterError, match="takes none"):
        load_model("digits_cnn", options={"width": 3})


def test_pairings(nets: str) -> None:
    for name in model_names():
        pairing = model_pairing(name)
        assert pairing is not None and pairing.preprocessing == PREPROCESSINGS["unit"]
    assert (found := model_pairing(f"{nets}:make")) and found.preprocessing == PREPROCESSINGS["symmetric"]
    assert model_pairing(f"{nets}:plain") is None
    assert model_pairing("net.pt2") is None
    with pytest.raises(UnknownNameError):
        model_pairing("resnet")


# -- exported programs -------------------------------------------------------------------------------------------------


class Everything(nn.Module):
    """All kinds of layers, names with dots, a functional activation, a layer used twice, a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8))
        self.twice = nn.Conv2d(8, 8, 3, padding="same", padding_mode="zeros")
        self.deep = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), groups=8)
        self.norm = nn.BatchNorm2d(8, affine=False)
        self.drop = nn.Dropout(0.5)
        self.matrix = nn.Parameter(torch.rand(6, 8))
        self.head = nn.Linear(6, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(self.twice(x)) + self.twice(x)
        x = self.norm(self.deep(x))
        x = F.linear(F.adaptive_avg_pool2d(x, 1).flatten(1), self.matrix)
        return self.head(self.drop(torch.tanh(x)))


def exported(network: nn.Module, path: Path, *, dynamic: bool = True) -> str:
    images = torch.rand(2, 3, 8, 8)
    shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
    torch.export.save(torch.export.export(network, (images,), dynamic_shapes=shapes), path)
    return str(path)


def everything() -> nn.Module:
    torch.manual_seed(1)
    network = Everything()
    network(torch.rand(16, 3, 8, 8))  # gives the normalisations statistics
    return network.eval()


def test_an_exported_program_has_its_layers_again(tmp_path: Path) -> None:
    network = everything()
    again = load_model(exported(network, tmp_path / "net.pt2"))
    x = torch.rand(5, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(again(x), network(x), rtol=1e-5, atol=1e-6)
    assert isinstance(again.get_submodule("stem.0"), nn.Conv2d)
    assert isinstance(again.get_submodule("twice"), nn.Conv2d)
    assert isinstance(again.get_submodule("norm"), nn.BatchNorm2d)
    names = TorchNetwork(again).convertible
    assert {"stem.0", "twice", "deep", "head"} < set(names) and len(names) == 5


def test_an_exported_program_on_ideal_hardware_answers_as_before(tmp_path: Path) -> None:
    network = everything()
    again = load_model(exported(network, tmp_path / "net.pt2"))
    analog = from_torch(again, CrossSimParameters(), fuse_batchnorm=True)
    assert isinstance(analog.get_submodule("stem.1"), nn.Identity)  # the normalisation was folded
    x = torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(analog(x), network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("training", "dynamic", "message"),
    [(True, True, "exported in training mode"), (False, False, "exported for batches of 2 only")],
)
def test_exports_that_would_mislead(tmp_path: Path, training: bool, dynamic: bool, message: str) -> None:
    path = exported(everything().train(training), tmp_path / "net.pt2", dynamic=dynamic)
    with pytest.raises(DataError, match=message):
        load_model(path)


def test_an_export_that_orders_something_is_refused(tmp_path: Path) -> None:
    whole = exported(nn.Flatten(), tmp_path / "net.pt2")
    evil = tmp_path / "evil.pt2"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(evil, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("sample_inputs/model.pt"):
                data = pickle.dumps(Order(tmp_path / "made"), 2)
            target.writestr(name, data)
    with pytest.raises(DataError, match=r"evil\.pt2: refused, because data/sample_inputs/model\.pt in it can execute"):
        load_model(evil)
    assert not (tmp_path / "made").exists()


def test_pickled_weights_in_an_export_are_refused(tmp_path: Path) -> None:
    whole, evil = exported(everything(), tmp_path / "net.pt2"), tmp_path / "evil.pt2"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(evil, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("weights_config.json"):
                config = json.loads(data)
                next(iter(config["config"].values()))["use_pickle"] = True
                data = json.dumps(config).encode()
            target.writestr(name, data)
    with pytest.raises(DataError, match="can execute code"):
        load_model(evil)


def test_damaged_exports(tmp_path: Path) -> None:
    whole = Path(exported(nn.Flatten(), tmp_path / "net.pt2")).read_bytes()
    for content in (b"", b"PK", whole[: len(whole) // 2], whole[:-30]):
        (tmp_path / "cut.pt2").write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.pt2: not an (intact )?exported program"):
            load_model(tmp_path / "cut.pt2")
    with pytest.raises(DataError, match=r"absent\.pt2: cannot be read"):
        load_model(tmp_path / "absent.pt2")
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("a/readme", "text")
    with pytest.raises(DataError, match="export it again"):
        load_model(tmp_path / "other.pt2")
