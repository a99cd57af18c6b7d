"""Networks on chips: cores programmed, comparators with offsets, thresholds calibrated again."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from crossohm.chip import program
from crossohm.errors import ParameterError
from crossohm.flax.chip import Programmed
from crossohm.flax.eic.comparator import NoisyComparator
from crossohm.flax.eic.cores import Cores
from crossohm.flax.eic.execution import Execution
from crossohm.flax.eic.net import EICNet
from crossohm.params import CrossSimParameters


def on_chip(
    net: EICNet, params: CrossSimParameters, seed: int, inputs: Any, *, comparator_offset: float = 0.0
) -> EICNet:
    """A copy of a network that is programmed into a chip, for mode ``"device"``; its other modes stay as they are.

    Args:
        net: The network; it stays as it is.
        params: Devices, mapping and wires, see `crossohm.chip.program`.
        seed: The chip: another one for each seed.
        inputs: ``(B, inputs)``, some that the readout's converter is set for: its range is what the network gives for
            them without noise.
        comparator_offset: Standard deviation of the comparators' offsets, in the units of their noise.

    Raises:
        ParameterError: the hardware is none that cores with comparators can have; names the parameter.
        UnsupportedError: wires together with read noise or gate-selected rows.
    """
    copy = nnx.clone(net)
    stages = iter(net.shape.stages)
    for layer in copy.layers:
        offsets = program_cores(layer.dense, params, seed, next(stages).name, comparator_offset)
        layer.comparator.offsets = Programmed(jnp.asarray(offsets.swapaxes(0, 1)))
        offsets = program_cores(layer.accumulator, params, seed, next(stages).name, comparator_offset)
        if layer.decide is not None:
            layer.decide.offsets = Programmed(jnp.asarray(offsets))
    outputs = net.walk(jnp.asarray(inputs), Execution(), lambda comparator, z: None)
    copy.readout_range = Programmed(jnp.stack([outputs.min(), outputs.max()]))
    return copy


def recalibrate(net: EICNet, inputs: Any, *, sd: float = 0.1, seed: int = 0) -> None:
    """Move the thresholds of a programmed network so that each column is compared, on average, as without the chip.

    Bank by bank, front to back, in mode ``"device"`` against mode ``"noisy"``. Only what belongs to the chip changes.

    Args:
        net: What `on_chip` returned.
        inputs: ``(B, inputs)``; some 500 of the training are enough.
        sd: Noise of the comparators.
        seed: Of the noise.

    Raises:
        ParameterError: comparators without thresholds.
        UnsupportedError: nothing was programmed.
    """
    x, key, wanted = jnp.asarray(inputs), jax.random.key(seed), []
    noisy, device = Execution("noisy", sd, key), Execution("device", sd, key)

    def note(comparator: NoisyComparator, z: jax.Array) -> None:
        if comparator.theta is None:
            raise ParameterError("comparator.bias", False, "leaves no thresholds to move", allowed="True")
        wanted.append(comparator.level(z, noisy).mean(0))

    net.walk(x, noisy, note)
    means = iter(wanted)

    def move(comparator: NoisyComparator, z: jax.Array) -> None:
        if comparator.offsets is not None:
            comparator.offsets[...] += next(means) - comparator.level(z, device).mean(0)

    net.walk(x, device, move)


def program_cores(
    cores: Cores, params: CrossSimParameters, seed: int, name: str, comparator_offset: float
) -> np.ndarray:
    """Program the cores of a stage; the offsets of its comparators, in the order of the cores."""
    found = program(
        cores.weights[...], params, seed, name, w_max=cores.w_max, sign=cores.chip.sign,
        comparator_offset=comparator_offset,
    )  # fmt: skip
    cores.effective = Programmed(jnp.asarray(found.effective))
    cores.read_variance = None if found.read_variance is None else Programmed(jnp.asarray(found.read_variance))
    return found.offsets
