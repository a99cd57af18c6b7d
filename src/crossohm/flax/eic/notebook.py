"""The rules of the notebook that networks of cores come from, defects and all: something to compare with."""

from __future__ import annotations

import math

import jax
from flax import nnx

from crossohm.chip import ChipSpec, NetworkShape, SlotPattern
from crossohm.flax.eic.augment import Augmentation
from crossohm.flax.eic.net import EICNet
from crossohm.flax.eic.training import Recipe

#: Its two permutations of slots, the same in every layer; slot 10 of a core is always zero.
WIRING = SlotPattern(
    (10, 3, 2, 5, 15, 14, 7, 8, 11, 4, 6, 12, 0, 1, 13, 9), (2, 1, 12, 10, 9, 7, 11, 15, 8, 0, 6, 3, 13, 4, 14, 5), 16
)
#: Its ``tau``, which softens permutations: in effect a gain.
TAU = 10.0


def notebook_network(sizes: tuple[int, ...] = (1024, 2048, 256), *, input_bits: int = 8, seed: int = 0) -> EICNet:
    """A network of the notebook's modules, to be trained by `notebook_recipe`.

    Accumulators scale by column sums; wiring and the gain of softened permutations are the notebook's; weights have no
    limits, and are as small as its initialiser makes them; comparators have no thresholds; scores are the first
    columns.

    Args:
        sizes: Inputs, and outputs of each layer.
        input_bits: Of each input.
        seed: Of the weights.
    """
    shape = NetworkShape(ChipSpec(input_bits=input_bits), sizes, readout="first", permute=WIRING, input_bits=input_bits)
    rngs = nnx.Rngs(seed)
    net, initial = EICNet(shape, rngs=rngs, bias=False, kind="column_sum"), nnx.initializers.glorot_normal()
    for layer in net.layers:
        layer.comparator.gain[...] = jax.numpy.float32(_gain(TAU, shape.chip.slots))
        for cores in (layer.dense, layer.accumulator):
            cores.w_max = math.inf
            cores.weights[...] = initial(rngs.params(), cores.weights[...].shape)
    return net


def notebook_recipe(epochs: int, *, seed: int = 0) -> Recipe:
    """How such a network is trained: one pattern of noise for all steps, nothing calibrated, images as they are."""
    still = Augmentation(rotation=0.0, scale=0.0, shear=0.0, shift=0.0)
    return Recipe(epochs, rate=2e-3, sd=0.05, augmentation=still, seed=seed, calibrate=False, noise="frozen")


def _gain(tau: float, slots: int) -> float:
    """What the difference of two softened permutations of slots is, in units of that of the hard ones."""
    return (math.exp(tau) - 1) / (math.exp(tau) + slots - 1)
