"""The shipped networks: they load without pickle, and do what their cards say on test images they have never seen."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from crossohm.datasets import load_dataset
from crossohm.errors import DataError, MissingDependencyError, UnknownNameError
from crossohm.models import ModelCard, _registry, load_model, model_card, model_names

torch = pytest.importorskip("torch")

WEIGHTS = _registry.WEIGHTS


def correct(name: str, data_dir: Path | None = None) -> int:
    """Number of test images the network gets right."""
    data = load_dataset(model_card(name).dataset, data_dir=data_dir)
    assert len(data) == model_card(name).test_images
    network = load_model(name)
    with torch.no_grad():
        guesses = [network(part).argmax(1).numpy() for part in torch.from_numpy(data.images).split(1000)]
    return int((np.concatenate(guesses) == data.labels).sum())


def test_digits_network_is_as_accurate_as_its_card() -> None:
    pytest.importorskip("sklearn")
    card = model_card("digits_cnn")
    assert card.accuracy >= 0.985
    assert abs(correct("digits_cnn") - card.accuracy * card.test_images) < 1.5  # one tie may round the other way


def test_mnist_network_is_as_accurate_as_its_card(shared: Path) -> None:
    card = model_card("mnist_cnn")
    assert card.accuracy >= 0.989
    assert abs(correct("mnist_cnn", shared / "data" / "mnist") - card.accuracy * card.test_images) < 3.5


@pytest.mark.parametrize("name", model_names())
def test_network_is_ready_for_inference(name: str) -> None:
    network = load_model(name)
    assert not any(module.training for module in network.modules())
    assert all(value.isfinite().all() for value in network.state_dict().values())
    trained = list(network.parameters())
    assert sum(value.numel() for value in trained) == model_card(name).parameters < 60_000
    assert {value.dtype for value in trained} == {torch.float32}


@pytest.mark.parametrize("name", model_names())
def test_loads_are_independent_and_equal(name: str) -> None:
    first, second = load_model(name), load_model(name)
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)
    with torch.no_grad():
        next(first.parameters()).zero_()
    assert next(second.parameters()).any()


def test_digits_network_has_batchnorm_with_real_statistics() -> None:
    norms = [module for module in load_model("digits_cnn") if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 2
    assert all(norm.running_mean.abs().max() > 0.01 for norm in norms)


@pytest.mark.parametrize("name", model_names())
def test_loading_uses_no_pickle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("pickle was used")

    for target in ("torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler"):
        monkeypatch.setattr(target, refuse)
    load_model(name)


@pytest.mark.parametrize("name", model_names())
def test_weight_file_is_small_safetensors(name: str) -> None:
    data = (WEIGHTS / f"{name}.safetensors").read_bytes()
    assert len(data) < 300_000
    length = int.from_bytes(data[:8], "little")
    assert json.loads(data[8 : 8 + length])["__metadata__"]["name"] == name


def test_every_weight_file_has_a_name_and_nothing_else_is_shipped() -> None:
    assert sorted(path.name for path in WEIGHTS.iterdir()) == sorted(f"{name}.safetensors" for name in model_names())


def test_card_names_a_script_that_exists() -> None:
    for name in model_names():
        script = re.search(r"examples/\w+\.py", model_card(name).command)
        assert script and (Path(__file__).parents[2] / script.group()).is_file()


def test_card_reads_well() -> None:
    card = ModelCard("net", "mnist", 0.9912, 10_000, 12_345, "python train.py", 4, "2.9")
    assert str(card) == (
        "net: 12,345 parameters, 99.12% of the 10,000 test images of mnist right in float32\n"
        "trained with: python train.py (seed 4, torch 2.9)"
    )
    assert ModelCard.from_metadata(card.to_metadata()) == card


@pytest.mark.parametrize("ask", [load_model, model_card, _registry.build_model])
def test_unknown_name_lists_the_valid_ones(ask: object) -> None:
    with pytest.raises(UnknownNameError, match=r"digits_cnn, mnist_cnn.*Did you mean 'mnist_cnn'"):
        ask("mnist_cn")


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "other"])
def test_damaged_weights_are_named(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (WEIGHTS / "digits_cnn.safetensors").read_bytes()
    content = {"empty": b"", "cut": whole[:-4], "other": (WEIGHTS / "mnist_cnn.safetensors").read_bytes()}
    if damage != "absent":
        (tmp_path / "digits_cnn.safetensors").write_bytes(content[damage])
    monkeypatch.setattr(_registry, "WEIGHTS", tmp_path)
    with pytest.raises(DataError, match=r"digits_cnn\.safetensors: not the weights"):
        load_model("digits_cnn")
    if damage != "other":
        with pytest.raises(DataError, match=r"digits_cnn\.safetensors: not a readable weight file"):
            model_card("digits_cnn")


@pytest.mark.parametrize("metadata", [None, {"name": "digits_cnn"}])
def test_weights_without_card(metadata: dict[str, str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(1)}, tmp_path / "digits_cnn.safetensors", metadata=metadata)
    monkeypatch.setattr(_registry, "WEIGHTS", tmp_path)
    with pytest.raises(DataError, match="its card lacks"):
        model_card("digits_cnn")


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "crossohm.models.torch.networks", raising=False)
    monkeypatch.delattr("crossohm.models.torch.networks", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"crossohm\[torch\]"):
        load_model("mnist_cnn")


def test_cards_and_names_do_not_import_torch() -> None:
    code = (
        "import sys; from crossohm.models import model_card, model_names; "
        "[model_card(name) for name in model_names()]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
