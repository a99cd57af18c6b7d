"""Training of networks of cores: compiled once, cut and continued without a difference, and it learns."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from crossohm.chip import ChipSpec, NetworkShape
from crossohm.chip.wiring import Pattern
from crossohm.datasets import load_dataset
from crossohm.errors import DataError
from crossohm.flax import EICNet, Recipe, Trainer, evaluate


def small_trainer(bits: int = 4, permute: Pattern = "cycle") -> Trainer:
    chip = ChipSpec(core_in=16, core_out=16, slot=2, input_bits=bits)
    data = np.random.default_rng(0)
    images, labels = data.random((48, 8, 8), np.float32), data.integers(0, 4, 48).astype(np.int32)
    net = EICNet(NetworkShape(chip, (64, 32, 16), classes=4, input_bits=bits, permute=permute), rngs=nnx.Rngs(0))
    return Trainer(net, images, labels, Recipe(epochs=4, batch=16))


@pytest.mark.slow
def test_a_training_cut_in_two_is_the_uninterrupted_one_and_compiles_once(tmp_path: Path) -> None:
    whole, cut, resumed = small_trainer(), small_trainer(), small_trainer()
    for _ in range(3):
        whole.run_epoch()
    cut.run_epoch()
    cut.save(tmp_path / "cut")
    resumed.load(tmp_path / "cut")
    assert resumed.epoch == 1
    resumed.run_epoch()
    resumed.run_epoch()
    assert whole.traces == 1
    leaves = [jax.tree.leaves(nnx.state(trainer.net)) for trainer in (whole, resumed)]
    assert all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(*leaves, strict=True))
    for layer in whole.net.layers:
        assert float(abs(layer.dense.weights[...]).max()) <= 1


def test_a_damaged_checkpoint_or_one_of_another_training_is_told(tmp_path: Path) -> None:
    trainer, path = small_trainer(), tmp_path / "cut"
    trainer.save(path)
    trainer.recipe = Recipe(epochs=5, batch=16)
    with pytest.raises(DataError, match="recipe"):
        trainer.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        trainer.load(path)


def test_a_training_starts_from_another_of_the_same_wiring_with_other_input_bits(tmp_path: Path) -> None:
    first, second, other = small_trainer(), small_trainer(bits=1), small_trainer(permute="random")
    first.run_epoch()
    first.save(tmp_path / "first")
    second.start_from(tmp_path / "first")
    leaves = [jax.tree.leaves(nnx.state(trainer.net)) for trainer in (first, second)]
    assert all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(*leaves, strict=True))
    assert second.epoch == 0
    with pytest.raises(DataError, match="permute"):
        other.start_from(tmp_path / "first")


@pytest.mark.slow
def test_a_network_of_1024_inputs_learns_digits() -> None:
    data = load_dataset("digits", split="train")
    images = np.kron(np.asarray(data.images)[:, 0], np.ones((4, 4), np.float32))
    labels = np.asarray(data.labels, np.int32)
    shape = NetworkShape(ChipSpec(input_bits=4), (1024, 256), input_bits=4)
    net = EICNet(shape, rngs=nnx.Rngs(0))
    trainer = Trainer(net, images, labels, Recipe(epochs=15, batch=128))
    for _ in range(15):
        trainer.run_epoch()
    test = load_dataset("digits", split="test")
    found = evaluate(net, np.kron(np.asarray(test.images)[:, 0], np.ones((4, 4), np.float32)), np.asarray(test.labels))
    assert found.mean > 0.85
    assert found.averaged[8] >= found.mean - 0.01
