"""Trained networks of cores in files, and those that come with the package."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from crossohm.chip import TRAINED, ChipSpec, NetworkShape, SlotPattern
from crossohm.datasets import load_dataset
from crossohm.errors import DataError, UnknownNameError
from crossohm.flax import EICNet, Execution, evaluate, load_network, save_network, shipped_network

CHIP = ChipSpec(core_in=16, core_out=16, slot=2, input_bits=3)
PATTERN = SlotPattern(tuple(range(8)), (1, 2, 3, 4, 5, 6, 7, 0), 2)


def network(**choices: object) -> EICNet:
    shape = NetworkShape(CHIP, (30, 32, 16), classes=4, input_bits=3, permute=PATTERN, encoding="bipolar")
    net = EICNet(shape, rngs=nnx.Rngs(3), **choices)  # type: ignore[arg-type]
    net.calibrate(jnp.asarray(np.random.default_rng(0).random((9, 30), np.float32)), Execution())
    return net


@pytest.mark.parametrize("choices", [{}, {"bias": False, "surrogate": "gauss", "width": 0.5}])
@pytest.mark.parametrize("eight_bits", [False, True])
def test_a_network_comes_back_with_its_wiring_and_choices(choices, eight_bits, tmp_path: Path) -> None:
    net, path = network(**choices), tmp_path / "net.safetensors"
    save_network(net, path, eight_bits=eight_bits)
    back = load_network(path)
    assert back.shape == net.shape
    assert [vars(one.comparator)["surrogate"] for one in back.layers] == [choices.get("surrogate", "clip")] * 2
    for name, ours, theirs in zip(
        *zip(*jax.tree_util.tree_leaves_with_path(nnx.state(net)), strict=True),
        jax.tree.leaves(nnx.state(back)), strict=True,
    ):  # fmt: skip
        rounding = 0.5001 / 127 if eight_bits and "weights" in str(name) else 0
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=rounding, err_msg=str(name))


def test_files_that_are_no_networks_are_told(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with pytest.raises(DataError, match="cannot be read"):
        load_network(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        load_network(path)
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2)}, path)
    with pytest.raises(DataError, match="no network of cores"):
        load_network(path)
    with pytest.raises(UnknownNameError, match="eic_mnist"):
        shipped_network("eic_minst")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "lowest"), [*zip(TRAINED, (0.98, 0.975), strict=True)])
def test_shipped_networks_read_digits(shared: Path, name: str, lowest: float) -> None:
    """A thousand test images; 98 and 97.5 % are three deviations of so many below what ten thousand show."""
    data = load_dataset("mnist", data_dir=shared / "data" / "mnist", split="test")
    images = np.pad(np.asarray(data.images)[:1000, 0], ((0, 0), (2, 2), (2, 2)))
    found = evaluate(shipped_network(name), images, np.asarray(data.labels)[:1000], reads=1)
    assert found.mean > lowest
