"""The training scripts run, write what `load_model` can load, and give the same weights for the same seed."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parents[2] / "examples"


def train(output: Path, *options: str) -> bytes:
    """The numbers in the file written; the header before them holds the card, in no fixed order."""
    command = [sys.executable, str(EXAMPLES / "train_digits.py"), "--output", str(output), *options]
    subprocess.run(command, check=True, capture_output=True)
    data = output.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def test_same_seed_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from crossohm.models import _registry, load_model, model_card

    output = tmp_path / "digits_cnn.safetensors"
    first = train(output, "--epochs", "2", "--seed", "5")
    monkeypatch.setattr(_registry, "WEIGHTS", tmp_path)
    load_model("digits_cnn")
    card = model_card("digits_cnn")
    assert card.seed == 5 and "--epochs 2" in card.command
    assert 0.1 < card.accuracy < 1

    assert train(output, "--epochs", "2", "--seed", "5") == first
    assert train(output, "--epochs", "2", "--seed", "6") != first


def test_mnist_script_asks_for_its_data(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES / "train_mnist.py")], capture_output=True, text=True)
    assert done.returncode == 2 and "--data-dir" in done.stderr
