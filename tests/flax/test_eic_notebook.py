"""The rules of the notebook, kept to compare with: its formulas, taken literally."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from crossohm.chip import ChipSpec, NetworkShape
from crossohm.errors import UnknownNameError
from crossohm.flax import EICNet, Execution, Recipe, Trainer
from crossohm.flax.eic.notebook import WIRING, notebook_network, notebook_recipe


def test_a_network_of_the_notebook_is_its_formulas() -> None:
    """Softened permutations of 16 slots, bits at zero, counts times sums of columns, the first ten of them."""
    net, x = notebook_network((512, 256)), np.random.default_rng(0).random((5, 512), np.float32)
    plus, minus = (jax.nn.softmax(10.0 * np.eye(16)[list(order)]) for order in (WIRING.plus, WIRING.minus))
    lines = np.einsum("ij,bnjl->bnil", plus - minus, x.reshape(5, 2, 16, 16)).reshape(5, 2, 256)
    dense, accumulator = (np.asarray(cores.weights[...]) for cores in (net.layers[0].dense, net.layers[0].accumulator))
    bits = np.einsum("ijkl,bjl->bijk", dense, lines) >= 0
    expected = np.einsum("bijk,imk->bik", bits.astype(np.float32), accumulator)[:, 0, :10]
    np.testing.assert_allclose(net(jnp.asarray(x), Execution()), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dense.std(), 1 / (16 * np.sqrt(2)), rtol=0.01)  # too small by the root of the cores
    assert (WIRING.rank, WIRING.dead_lines) == (14, 16)


@pytest.mark.slow
def test_frozen_noise_is_the_same_in_every_step() -> None:
    """The same images, never moved, and a rate of zero: the loss stays."""
    recipe = replace(notebook_recipe(2), batch=8, rate=0.0, sd=0.5)
    net = EICNet(NetworkShape(ChipSpec(core_in=16, core_out=16, slot=2), (64, 32, 16)), rngs=nnx.Rngs(0))
    trainer = Trainer(net, np.full((8, 8, 8), 0.7, np.float32), np.zeros(8, np.int32), recipe)
    assert trainer.run_epoch() == trainer.run_epoch()


def test_noise_has_a_name() -> None:
    with pytest.raises(UnknownNameError, match=r"recipe\.noise"):
        Recipe(noise="frosen")  # type: ignore[arg-type]
